// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title IProofOfTraining
/// @notice Training tasks, escrow, gradient seals, certified rounds and cumulative rewards.
/// @dev Every content reference on chain is the sha2-256 digest of one raw IPFS block (CIDv1, codec raw): a manifest.
interface IProofOfTraining {
    /// @notice Life of a task: Open until enough miners have joined, Running, then one of four ends.
    enum TaskState {
        None,
        Open,
        Running,
        Completed,
        Cancelled,
        Expired,
        Stopped
    }

    /// @notice What a task is created with.
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
    /// @param stopLossAfter final rounds from which the loss is watched; 0: never
    /// @param stopLoss greatest loss, in millionths, that a watched round may have; one above it stops the task
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
        uint32 stopLossAfter;
        uint64 stopLoss;
    }

    /// @notice State of a task. Before round 0 everything that belongs to a round is zero.
    /// @param owner who paid and is refunded
    /// @param state where the task is in its life
    /// @param cancelRequested the task ends with the open round
    /// @param round number of the open (or last) round; counts skipped rounds too
    /// @param epoch validator epoch whose quorum must certify the open round
    /// @param roundStartedAt timestamp (seconds) at which the round opened
    /// @param createdAt timestamp (seconds) of the creation
    /// @param finalizedRounds rounds that a quorum decided
    /// @param consecutiveSkips rounds skipped since the last final one
    /// @param members miners that joined and did not leave
    /// @param chainReveals on-chain reveals of the open round
    /// @param head digest of the last final outcome, or the genesis digest; it commits to checkpoint and rewards, which the
    ///        events tell
    /// @param allocated total of the cumulative rewards tree
    /// @param claimed part of `allocated` that was paid
    /// @param refunded paid back to the owner
    /// @param params what the task was created with
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
        uint128 allocated;
        uint128 claimed;
        uint128 refunded;
        TaskParams params;
    }

    /// @notice What a round decided. Its EIP-712 hashStruct is the digest that validators vote on and the new head.
    /// @dev Type: Outcome(Decision decision,bytes32 rewardsRoot,uint128 rewardsTotal)Decision(uint256 taskId,uint64 round,
    ///      bytes32 parent,bytes32 checkpoint,bytes32 record,uint64 loss,uint32 accepted,uint32 chainReveals). The rewards stand
    ///      outside, so that a claim proves them from the head with one more word.
    /// @param taskId number of the task
    /// @param round the open round
    /// @param parent `head` of the task before this round
    /// @param checkpoint digest of the manifest of the model after this round
    /// @param record digest of the round record
    /// @param loss mean loss that the accepted miners report, in millionths, rounded; 2^64 - 1 if it is greater
    /// @param accepted number of gradients in the aggregate
    /// @param chainReveals number of on-chain reveals of the round that the outcome counts
    /// @param rewardsRoot root of the cumulative rewards tree after this round
    /// @param rewardsTotal sum of the leaves of that tree
    struct Outcome {
        uint256 taskId;
        uint64 round;
        bytes32 parent;
        bytes32 checkpoint;
        bytes32 record;
        uint64 loss;
        uint32 accepted;
        uint32 chainReveals;
        bytes32 rewardsRoot;
        uint128 rewardsTotal;
    }

    /// @notice A claim to what a leaf of the cumulative rewards tree allows.
    /// @param taskId task in any state
    /// @param account whose leaf it is, and who is paid
    /// @param cumulative amount of the leaf (wei or token units)
    /// @param rewardsTotal of the last final outcome
    /// @param decision hashStruct of the decision of that outcome (`decisionHash`)
    /// @param proof siblings from the leaf to its rewardsRoot
    struct Claim {
        uint256 taskId;
        address account;
        uint128 cumulative;
        uint128 rewardsTotal;
        bytes32 decision;
        bytes32[] proof;
    }

    /// @notice Proof that a quorum committed to an outcome.
    /// @dev Signed type: Commit(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)
    /// @param epoch validator epoch of the signers
    /// @param viewNumber PBFT view in which the quorum committed
    /// @param signatures see INodeRegistry.verifyCertificate
    struct Certificate {
        uint64 epoch;
        uint64 viewNumber;
        bytes signatures;
    }

    /// @notice A task was created and its budget escrowed.
    /// @param taskId number of the task
    /// @param owner who paid
    /// @param params what the task was created with
    event TaskCreated(uint256 indexed taskId, address indexed owner, TaskParams params);
    /// @notice A miner joined.
    /// @param taskId number of the task
    /// @param miner account
    /// @param fromRound first round that it is a member of
    event MinerJoined(uint256 indexed taskId, address indexed miner, uint64 fromRound);
    /// @notice A miner left.
    /// @param taskId number of the task
    /// @param miner account
    /// @param fromRound first round that it is no longer a member of
    event MinerLeft(uint256 indexed taskId, address indexed miner, uint64 fromRound);
    /// @notice A round opened at the start of the task or after a skipped round. After a final round, `RoundFinalized` says it.
    /// @param taskId number of the task
    /// @param round number of the round
    /// @param epoch validator epoch whose quorum must certify the round
    /// @param seed randomness from which every node derives the assignment of samples
    event RoundOpened(uint256 indexed taskId, uint64 indexed round, uint64 epoch, bytes32 seed);
    /// @notice A member sealed its gradient.
    /// @param taskId number of the task
    /// @param round the open round
    /// @param miner member
    /// @param seal the whole commitment
    event GradientCommitted(uint256 indexed taskId, uint64 indexed round, address indexed miner, bytes32 seal);
    /// @notice A member opened its seal on chain; the outcome must count it.
    /// @param taskId number of the task
    /// @param round the open round
    /// @param miner member
    /// @param cidDigest digest of the submission manifest
    /// @param salt what blinded the seal
    event GradientRevealed(
        uint256 indexed taskId, uint64 indexed round, address indexed miner, bytes32 cidDigest, bytes32 salt
    );
    /// @notice A quorum decided the round. Unless one of the ends of the task follows in the same transaction, the next round
    ///         opened with it.
    /// @param taskId number of the task
    /// @param round number of the round
    /// @param digest hashStruct of the outcome: the new head
    /// @param viewNumber PBFT view in which the quorum committed
    /// @param checkpoint digest of the manifest of the new model
    /// @param record digest of the round record
    /// @param loss mean loss in millionths
    /// @param rewardsRoot root of the cumulative rewards tree
    /// @param rewardsTotal sum of the leaves of that tree
    /// @param nextEpoch validator epoch whose quorum must certify the next round; 0 if the task ended
    /// @param nextSeed randomness of the next round; 0 if the task ended
    event RoundFinalized(
        uint256 indexed taskId,
        uint64 indexed round,
        bytes32 digest,
        uint64 viewNumber,
        bytes32 checkpoint,
        bytes32 record,
        uint64 loss,
        bytes32 rewardsRoot,
        uint128 rewardsTotal,
        uint64 nextEpoch,
        bytes32 nextSeed
    );
    /// @notice The round ended without an outcome; head, checkpoint and rewards stay as they were.
    /// @param taskId number of the task
    /// @param round number of the round
    event RoundSkipped(uint256 indexed taskId, uint64 indexed round);
    /// @notice The last round is final.
    /// @param taskId number of the task
    event TaskCompleted(uint256 indexed taskId);
    /// @notice The owner wants to end a running task.
    /// @param taskId number of the task
    /// @param effectiveAfterRound the open round, which is still decided and paid
    event CancelRequested(uint256 indexed taskId, uint64 effectiveAfterRound);
    /// @notice The task ended because its owner cancelled it.
    /// @param taskId number of the task
    event TaskCancelled(uint256 indexed taskId);
    /// @notice The task ended because it did not start in time or skipped too many rounds in a row.
    /// @param taskId number of the task
    event TaskExpired(uint256 indexed taskId);
    /// @notice The task ended because its loss was above the owner's limit.
    /// @param taskId number of the task
    event TaskStopped(uint256 indexed taskId);
    /// @notice Rewards were paid.
    /// @param taskId number of the task
    /// @param account who was paid
    /// @param amount paid now
    /// @param cumulative paid to the account for this task so far
    event RewardClaimed(uint256 indexed taskId, address indexed account, uint256 amount, uint256 cumulative);
    /// @notice The unallocated rest of the budget went back to the owner.
    /// @param taskId number of the task
    /// @param owner who was paid
    /// @param amount paid (wei or token units)
    event TaskRefunded(uint256 indexed taskId, address indexed owner, uint256 amount);

    /// @notice The address given as the registry has no code.
    error RegistryWithoutCode(address registry);
    /// @notice `spec` is zero.
    error ZeroSpec();
    /// @notice `checkpoint` is zero.
    error ZeroCheckpoint();
    /// @notice `rounds` is zero.
    error ZeroRounds();
    /// @notice `minMiners` is zero.
    error ZeroMinMiners();
    /// @notice `maxMiners` is below `minMiners`.
    error MaxMinersTooLow(uint256 maxMiners, uint256 minMiners);
    /// @notice `startWindow` is zero.
    error ZeroStartWindow();
    /// @notice `commitWindow` is zero.
    error ZeroCommitWindow();
    /// @notice `revealWindow` is zero.
    error ZeroRevealWindow();
    /// @notice `finalizeWindow` is zero.
    error ZeroFinalizeWindow();
    /// @notice A window is longer than `maximum` seconds.
    error WindowTooLong(uint256 window, uint256 maximum);
    /// @notice A count is greater than the contract can keep.
    error CountTooHigh(uint256 count, uint256 maximum);
    /// @notice The budget is greater than the contract can keep.
    error BudgetTooHigh(uint256 budget, uint256 maximum);
    /// @notice The loss limit is greater than the contract can keep.
    error StopLossTooHigh(uint256 stopLoss, uint256 maximum);
    /// @notice `budget` does not cover `rewardPerRound * rounds`.
    error BudgetTooLow(uint256 budget, uint256 required);
    /// @notice `token` is an address without code.
    error TokenWithoutCode(address token);
    /// @notice The native value sent must be the budget of a native task and zero for an ERC-20 task.
    error WrongValue(uint256 sent, uint256 expected);
    /// @notice The token did not credit exactly the budget (it takes a fee, for instance).
    error EscrowMismatch(uint256 received, uint256 expected);
    /// @notice There is no such task.
    error UnknownTask(uint256 taskId);
    /// @notice The task's state does not permit this.
    error WrongTaskState(uint256 taskId, TaskState state);
    /// @notice Only the owner of the task may do this.
    error NotTaskOwner(address caller, address owner);
    /// @notice The task is being cancelled already.
    error CancelAlreadyRequested(uint256 taskId);
    /// @notice Only a bonded miner of the registry can join.
    error NotActiveMiner(address account);
    /// @notice A bonded miner cannot be taken out.
    error MinerBonded(address miner);
    /// @notice The miner is a member already.
    error AlreadyMember(uint256 taskId, address miner);
    /// @notice The account is not a member (of the open round, where it acts on one).
    error NotMember(uint256 taskId, address account);
    /// @notice The task has its `maxMiners` members.
    error TaskFull(uint256 taskId, uint256 maxMiners);
    /// @notice The task cannot start while the registry has no validator epoch.
    error NoValidatorEpoch();
    /// @notice The open round is another one.
    error WrongRound(uint64 given, uint64 open);
    /// @notice The commit deadline (timestamp, seconds) has passed.
    error CommitsClosed(uint64 deadline);
    /// @notice The reveal deadline (timestamp, seconds) has passed.
    error RevealsClosed(uint64 deadline);
    /// @notice The round can be skipped only after its finalize deadline (timestamp, seconds).
    error FinalizeDeadlineNotPassed(uint64 deadline);
    /// @notice The task can be expired only from `startDeadline` (timestamp, seconds).
    error StartDeadlineNotPassed(uint64 startDeadline);
    /// @notice The seal is zero.
    error ZeroSeal();
    /// @notice The member has committed in this round already.
    error AlreadyCommitted(uint256 taskId, uint64 round, address miner);
    /// @notice The member has not committed in this round.
    error NotCommitted(uint256 taskId, uint64 round, address miner);
    /// @notice The member has revealed on chain in this round already.
    error AlreadyRevealed(uint256 taskId, uint64 round, address miner);
    /// @notice `cidDigest` and `salt` do not open the seal.
    error SealMismatch(bytes24 committed, bytes24 computed);
    /// @notice The outcome does not build on the task's head.
    error WrongParent(bytes32 given, bytes32 head);
    /// @notice The certificate is of another epoch than the one the open round is bound to.
    error WrongEpoch(uint64 given, uint64 bound);
    /// @notice The outcome does not count every on-chain reveal.
    error WrongChainReveals(uint32 given, uint32 counted);
    /// @notice Cumulative rewards cannot shrink.
    error RewardsDecreased(uint256 given, uint256 allocated);
    /// @notice One round cannot allocate more than `rewardPerRound`.
    error RewardsTooHigh(uint256 increase, uint256 rewardPerRound);
    /// @notice The certificate's epoch has expired (timestamp, seconds): the round can only be skipped.
    error EpochOver(uint64 epoch, uint64 expiresAt);
    /// @notice The caller may not act for the miner.
    error NotDelegateOf(address miner, address caller);
    /// @notice The proof does not lead from the leaf to the task's head.
    error InvalidRewardProof(uint256 taskId, address account, uint256 cumulative);
    /// @notice The account has been paid what its leaf allows, or nothing allocated is left.
    error NothingToClaim(uint256 taskId, address account, uint256 claimed);
    /// @notice Everything was allocated, or the refund has been made already.
    error NothingToRefund(uint256 taskId);

    /// @notice Create and fund a task. Native: value == budget. ERC-20: value == 0 and an allowance of `budget`.
    /// @dev Refuses tokens that credit another amount than the one sent. A token whose balances change by themselves
    ///      (rebasing) endangers the rewards of the tasks that it pays, and of no others.
    /// @param params see TaskParams
    /// @return taskId number of the task, from 1
    function createTask(TaskParams calldata params) external payable returns (uint256 taskId);

    /// @notice Join as a miner; while the task runs, membership starts with the next round.
    /// @dev The join that makes members == minMiners opens round 0.
    /// @param taskId task, Open or Running
    function join(uint256 taskId) external;

    /// @notice `join` by a delegate of the miner.
    /// @param taskId task, Open or Running
    /// @param miner node that the sender is a delegate of
    function joinFor(uint256 taskId, address miner) external;

    /// @notice Leave; while the task runs, the member still belongs to the open round.
    /// @param taskId task, Open or Running
    function leave(uint256 taskId) external;

    /// @notice `leave` by a delegate of the miner.
    /// @param taskId task, Open or Running
    /// @param miner node that the sender is a delegate of
    function leaveFor(uint256 taskId, address miner) external;

    /// @notice Take out a member that is no bonded miner any more: nobody works without a stake that answers for it, and nobody fills
    ///         a task's places with one stake. Anybody may call; it counts as `leave`.
    /// @param taskId task, Open or Running
    /// @param miner member that has started to unbond, or has left the registry
    function evict(uint256 taskId, address miner) external;

    /// @notice Commit to a gradient of the open round, once per member, until the commit deadline.
    /// @dev The event carries the whole seal; the contract keeps its first 24 bytes, which share a storage slot with the
    ///      membership. A second opening of a seal costs 2^96 hashes, a forged one 2^192.
    /// @param taskId running task
    /// @param round the open round
    /// @param seal keccak256(abi.encode(chainid, this, taskId, round, miner, cidDigest, salt))
    function commitGradient(uint256 taskId, uint64 round, bytes32 seal) external;

    /// @notice `commitGradient` by a delegate of the miner.
    /// @param taskId running task
    /// @param round the open round
    /// @param seal with the miner as its author
    /// @param miner member that the sender is a delegate of
    function commitGradientFor(uint256 taskId, uint64 round, bytes32 seal, address miner) external;

    /// @notice Fallback reveal, until the reveal deadline; the outcome must then count it.
    /// @param taskId running task
    /// @param round the open round
    /// @param cidDigest digest of the submission manifest
    /// @param salt blinds the seal
    function revealGradient(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt) external;

    /// @notice `revealGradient` by a delegate of the miner.
    /// @param taskId running task
    /// @param round the open round
    /// @param cidDigest digest of the submission manifest
    /// @param salt blinds the seal
    /// @param miner author of the seal, whose delegate the sender is
    function revealGradientFor(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt, address miner) external;

    /// @notice Finalize the open round with a commit certificate; anybody may relay it.
    /// @dev A certificate that comes after the finalize deadline counts as long as nobody has skipped the round.
    ///      `chainReveals` is checked once the reveal deadline has passed: a reveal cannot make a certificate that was
    ///      signed before it worthless.
    /// @param outcome what the round decided
    /// @param certificate quorum of the round's epoch over `commitDigest`
    function finalizeRound(Outcome calldata outcome, Certificate calldata certificate) external;

    /// @notice Skip the open round after its finalize deadline; expires the task after too many in a row.
    /// @param taskId running task
    function skipRound(uint256 taskId) external;

    /// @notice Expire a task that did not start within its start window.
    /// @param taskId open task
    function expireTask(uint256 taskId) external;

    /// @notice Owner only. Open: at once. Running: when the open round is final or skipped.
    /// @param taskId task, Open or Running
    function cancelTask(uint256 taskId) external;

    /// @notice Pay the account of a claim what its cumulative leaf allows beyond what it has been paid. Anybody may call.
    /// @dev Pays at most what is allocated and unclaimed, whatever the leaves of the tree add up to. Possible for ever,
    ///      also after the end of the task. A further final round makes a new proof necessary.
    /// @param request what is claimed, and its proof
    /// @return amount paid
    function claim(Claim calldata request) external returns (uint256 amount);

    /// @notice Several claims, of any tasks and accounts. Those that have nothing to be paid, or whose proof a further round has
    ///         made worthless, are passed over: nobody can spoil the batch by claiming one of them first. An account that refuses
    ///         native coins makes all of it revert.
    /// @param requests what is claimed
    /// @return amounts paid, in the order of the requests; 0 for those passed over
    function claimMany(Claim[] calldata requests) external returns (uint256[] memory amounts);

    /// @notice Return the unallocated escrow of an ended task to its owner, once. Anybody may call.
    /// @param taskId Completed, Cancelled, Expired or Stopped task
    /// @return amount paid (wei or token units)
    function refund(uint256 taskId) external returns (uint256 amount);

    /// @notice State of a task; all zero (TaskState.None) if it does not exist.
    /// @param taskId number of the task
    function task(uint256 taskId) external view returns (Task memory);

    /// @notice Number of tasks created, which is the number of the latest one.
    function taskCount() external view returns (uint256);

    /// @notice Whether the account is (or was) a member of a round.
    /// @param taskId number of the task
    /// @param round any round, past ones included; of rounds to come: as things stand
    /// @param account miner
    function isMember(uint256 taskId, uint64 round, address account) external view returns (bool);

    /// @notice First 24 bytes of the seal that the miner made in `round`; zero if none.
    /// @dev Only the latest seal of a miner is kept; of earlier rounds the events tell.
    /// @param taskId number of the task
    /// @param round the open round
    /// @param miner member
    function sealOf(uint256 taskId, uint64 round, address miner) external view returns (bytes24);

    /// @notice Amount paid to an account for a task so far (wei or token units).
    /// @param taskId number of the task
    /// @param account who was paid
    function claimedOf(uint256 taskId, address account) external view returns (uint256);

    /// @notice Deadlines of the open (or last) round, as timestamps in seconds; zero before round 0.
    /// @param taskId number of the task
    /// @return commitDeadline last second of commits
    /// @return revealDeadline last second of on-chain reveals
    /// @return finalizeDeadline last second before anybody may skip the round
    function deadlines(uint256 taskId)
        external
        view
        returns (uint64 commitDeadline, uint64 revealDeadline, uint64 finalizeDeadline);

    /// @notice EIP-712 hashStruct of the decision in an outcome, which a claim names.
    /// @param outcome what a round decided
    function decisionHash(Outcome calldata outcome) external view returns (bytes32);

    /// @notice EIP-712 hashStruct of an outcome: the digest that PBFT decides.
    /// @param outcome what a round decided
    function outcomeDigest(Outcome calldata outcome) external view returns (bytes32);

    /// @notice EIP-712 digest that a validator signs to commit to `outcomeHash`.
    /// @param taskId number of the task
    /// @param round round
    /// @param epoch validator epoch of the round
    /// @param viewNumber PBFT view
    /// @param outcomeHash `outcomeDigest` of the outcome
    function commitDigest(uint256 taskId, uint64 round, uint64 epoch, uint64 viewNumber, bytes32 outcomeHash)
        external
        view
        returns (bytes32);

    /// @notice NodeRegistry that knows the miners and whose epochs certify the rounds.
    function registry() external view returns (address);
}
