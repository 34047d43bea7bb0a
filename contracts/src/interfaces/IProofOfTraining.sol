// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title IProofOfTraining
/// @notice Training tasks, escrow, gradient seals, certified rounds and cumulative rewards.
/// @dev Every content reference on chain is the sha2-256 digest of one raw IPFS block (CIDv1, codec raw): a manifest.
interface IProofOfTraining {
    enum TaskState {
        None,
        Open,
        Running,
        Completed,
        Cancelled,
        Expired
    }

    /// @param spec digest of the task spec (canonical JSON)
    /// @param checkpoint digest of the manifest of the initial model
    /// @param token ERC-20 that pays, or zero for the native coin
    /// @param budget amount escrowed at creation (wei or token units)
    /// @param rewardPerRound most that one finalized round may allocate; rewardPerRound * rounds <= budget
    /// @param rounds finalized rounds after which the task is Completed
    /// @param minMiners members with which the task starts by itself
    /// @param maxSkips consecutive skipped rounds that are tolerated; one more expires the task
    /// @param startWindow seconds after creation from which anybody may expire a task that has not started
    /// @param commitWindow seconds from the opening of a round to its commit deadline
    /// @param revealWindow seconds from the commit deadline to the reveal deadline
    /// @param finalizeWindow seconds from the reveal deadline until anybody may skip the round
    struct TaskParams {
        bytes32 spec;
        bytes32 checkpoint;
        address token;
        uint128 budget;
        uint128 rewardPerRound;
        uint32 rounds;
        uint32 minMiners;
        uint32 maxMiners;
        uint32 maxSkips;
        uint32 startWindow;
        uint32 commitWindow;
        uint32 revealWindow;
        uint32 finalizeWindow;
    }

    /// @param round number of the open round; counts skipped rounds too
    /// @param epoch validator epoch whose quorum must certify the open round
    /// @param head digest of the last final outcome, or the genesis digest
    /// @param seed randomness of the open round
    /// @param allocated total of the cumulative rewards tree
    struct Task {
        address owner;
        TaskState state;
        bool cancelRequested;
        uint64 round;
        uint64 epoch;
        uint64 roundStartedAt;
        uint64 createdAt;
        uint32 finalizedRounds;
        uint32 consecutiveSkips;
        uint32 members;
        uint32 chainReveals;
        bytes32 head;
        bytes32 seed;
        bytes32 checkpoint;
        bytes32 rewardsRoot;
        uint128 allocated;
        uint128 claimed;
        uint128 refunded;
        TaskParams params;
    }

    /// @notice What a round decided. Its EIP-712 hashStruct is the digest that validators vote on.
    /// @dev Type: Outcome(uint256 taskId,uint64 round,bytes32 parent,bytes32 checkpoint,bytes32 record,
    ///      bytes32 rewardsRoot,uint128 rewardsTotal,uint32 accepted,uint32 chainReveals)
    /// @param parent `head` of the task before this round
    /// @param record digest of the round record
    /// @param rewardsRoot root of the cumulative rewards tree after this round
    /// @param rewardsTotal sum of the leaves of that tree
    /// @param accepted number of gradients in the aggregate
    /// @param chainReveals number of on-chain reveals of the round that the outcome counts
    struct Outcome {
        uint256 taskId;
        uint64 round;
        bytes32 parent;
        bytes32 checkpoint;
        bytes32 record;
        bytes32 rewardsRoot;
        uint128 rewardsTotal;
        uint32 accepted;
        uint32 chainReveals;
    }

    /// @dev Signed type: Commit(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)
    /// @param viewNumber PBFT view in which the quorum committed
    /// @param signatures see INodeRegistry.verifyCertificate
    struct Certificate {
        uint64 epoch;
        uint64 viewNumber;
        bytes signatures;
    }

    event TaskCreated(uint256 indexed taskId, address indexed owner, TaskParams params);
    event MinerJoined(uint256 indexed taskId, address indexed miner, uint64 fromRound);
    event MinerLeft(uint256 indexed taskId, address indexed miner, uint64 fromRound);
    event RoundOpened(uint256 indexed taskId, uint64 indexed round, uint64 epoch, bytes32 seed);
    event GradientCommitted(uint256 indexed taskId, uint64 indexed round, address indexed miner, bytes32 seal);
    event GradientRevealed(
        uint256 indexed taskId, uint64 indexed round, address indexed miner, bytes32 cidDigest, bytes32 salt
    );
    event RoundFinalized(
        uint256 indexed taskId,
        uint64 indexed round,
        bytes32 digest,
        uint64 viewNumber,
        bytes32 checkpoint,
        bytes32 record,
        bytes32 rewardsRoot,
        uint128 rewardsTotal
    );
    event RoundSkipped(uint256 indexed taskId, uint64 indexed round);
    event TaskCompleted(uint256 indexed taskId);
    event CancelRequested(uint256 indexed taskId, uint64 effectiveAfterRound);
    event TaskCancelled(uint256 indexed taskId);
    event TaskExpired(uint256 indexed taskId);
    event RewardClaimed(uint256 indexed taskId, address indexed account, uint256 amount, uint256 cumulative);
    event TaskRefunded(uint256 indexed taskId, address indexed owner, uint256 amount);

    /// @notice Create and fund a task. Native: value == budget. ERC-20: value == 0 and an allowance of `budget`.
    function createTask(TaskParams calldata params) external payable returns (uint256 taskId);

    /// @notice Join as a miner; while the task runs, membership starts with the next round.
    /// @dev The join that makes members == minMiners opens round 0.
    function join(uint256 taskId) external;
    /// @notice Leave; while the task runs, the member still belongs to the open round.
    function leave(uint256 taskId) external;

    /// @notice Commit to a gradient of the open round, once per member, until the commit deadline.
    /// @param seal keccak256(abi.encode(chainid, this, taskId, round, miner, cidDigest, salt))
    function commitGradient(uint256 taskId, uint64 round, bytes32 seal) external;
    /// @notice Fallback reveal, until the reveal deadline; the outcome must then count it.
    function revealGradient(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt) external;

    /// @notice Finalize the open round with a commit certificate; anybody may relay it.
    function finalizeRound(Outcome calldata outcome, Certificate calldata certificate) external;
    /// @notice Skip the open round after its finalize deadline; expires the task after too many in a row.
    function skipRound(uint256 taskId) external;
    /// @notice Expire a task that did not start within its start window.
    function expireTask(uint256 taskId) external;
    /// @notice Owner only. Open: at once. Running: when the open round is final or skipped.
    function cancelTask(uint256 taskId) external;

    /// @notice Pay `account` what its cumulative leaf allows beyond what it has claimed. Anybody may call.
    function claim(uint256 taskId, address account, uint128 cumulative, bytes32[] calldata proof)
        external
        returns (uint256 amount);
    /// @notice Return the unallocated escrow of an ended task to its owner. Anybody may call.
    function refund(uint256 taskId) external returns (uint256 amount);

    function task(uint256 taskId) external view returns (Task memory);
    function taskCount() external view returns (uint256);
    function isMember(uint256 taskId, uint64 round, address account) external view returns (bool);
    /// @notice Seal of the miner in the open round; zero if none.
    function sealOf(uint256 taskId, uint64 round, address miner) external view returns (bytes32);
    function claimedOf(uint256 taskId, address account) external view returns (uint256);
    /// @return commitDeadline last second of commits  @return revealDeadline  @return finalizeDeadline
    function deadlines(uint256 taskId)
        external
        view
        returns (uint64 commitDeadline, uint64 revealDeadline, uint64 finalizeDeadline);
    function outcomeDigest(Outcome calldata outcome) external view returns (bytes32);
    /// @notice EIP-712 digest that a validator signs to commit to `outcomeHash`.
    function commitDigest(uint256 taskId, uint64 round, uint64 epoch, uint64 viewNumber, bytes32 outcomeHash)
        external
        view
        returns (bytes32);
    function registry() external view returns (address);
}
