// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ICourt} from "./ICourt.sol";

/// @title IMinerCourt
/// @notice Takes `minMinerStake` (or what is left) from miners for faults that a quorum has certified and no larger committee has
///         been asked to judge anew in time, and for content that they have committed to and do not publish.
/// @dev Whoever decides gets nothing. Certified faults pay no bounty at all, or the deciders could collect it.
///
///      A demand must be answered by a transaction that carries the whole block, up to 256 KiB: a chain whose nodes do not pass
///      such transactions on, or whose fees for one exceed the deposit by far, needs smaller blocks or a larger deposit.
interface IMinerCourt is ICourt {
    /// @notice Where a case against a miner is.
    enum CaseState {
        None,
        Accused,
        Appealed,
        Closed
    }

    /// @notice Where a demand is.
    enum DemandState {
        None,
        Open,
        Answered,
        Punished
    }

    /// @notice What a demanded block is, which says how it refers to others.
    enum Content {
        Manifest,
        Node,
        Raw
    }

    /// @notice What a quorum says of a miner.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner member of the round
    /// @param record digest of the record that shows the fault
    struct Fault {
        uint256 taskId;
        uint64 round;
        address miner;
        bytes32 record;
    }

    /// @param record digest of the record that the accusation names
    /// @param state where the case is
    /// @param deadline timestamp (seconds) of the last second to appeal, or to uphold
    /// @param appellant who has paid the deposit; zero before the appeal
    struct Case {
        bytes32 record;
        CaseState state;
        uint64 deadline;
        address appellant;
    }

    /// @param taskId number of the task
    /// @param miner who must answer
    /// @param round round of the task
    /// @param state where the demand is
    /// @param content what the block is
    /// @param target digest of the block; of a manifest that is not published yet, the seal
    /// @param demander who has paid the deposit
    /// @param deadline timestamp (seconds) of the last second of the answer; after it, of the last second of further demands
    struct Demand {
        uint256 taskId;
        address miner;
        uint64 round;
        DemandState state;
        Content content;
        bytes32 target;
        address demander;
        uint64 deadline;
    }

    /// @notice A quorum accuses a miner.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    /// @param record digest of the record that shows the fault
    /// @param deadline timestamp (seconds) of the last second to appeal
    event Accused(uint256 indexed taskId, uint64 indexed round, address indexed miner, bytes32 record, uint64 deadline);
    /// @notice A larger committee must judge anew.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    /// @param appellant who has paid the deposit
    /// @param deadline timestamp (seconds) of the last second to uphold
    event Appealed(
        uint256 indexed taskId, uint64 indexed round, address indexed miner, address appellant, uint64 deadline
    );
    /// @notice The miner was punished; an appellant's deposit was burned.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    /// @param taken wei; 0 if the miner has nothing left
    event Convicted(uint256 indexed taskId, uint64 indexed round, address indexed miner, uint256 taken);
    /// @notice The miner was not found guilty a second time; the deposit is the appellant's again.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    event Acquitted(uint256 indexed taskId, uint64 indexed round, address indexed miner);
    /// @notice A block must be published.
    /// @param demandId names the demand
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner who must answer
    /// @param content what the block is
    /// @param target its digest; for a manifest, the seal
    /// @param demander who has paid the deposit
    /// @param deadline timestamp (seconds) of the last second of the answer
    event Demanded(
        bytes32 indexed demandId,
        uint256 indexed taskId,
        address indexed miner,
        uint64 round,
        Content content,
        bytes32 target,
        address demander,
        uint64 deadline
    );
    /// @notice The block stands in the data of this transaction.
    /// @param demandId names the demand
    /// @param digest of the block
    /// @param furtherUntil timestamp (seconds) of the last second to demand what it refers to
    event Published(bytes32 indexed demandId, bytes32 digest, uint64 furtherUntil);
    /// @notice The block was not published in time; the deposit is the demander's again.
    /// @param demandId names the demand
    /// @param taken wei; 0 if the miner has nothing left
    event Punished(bytes32 indexed demandId, uint256 taken);

    /// @notice A window is zero, or the registry cannot hold a stake for twice as long.
    error InvalidWindow(uint64 window, uint64 evidenceWindow);
    /// @notice The miner was no member of the round.
    error NotMemberOf(uint256 taskId, uint64 round, address miner);
    /// @notice The case is not in a state that permits this.
    error WrongCaseState(CaseState state);
    /// @notice The case is about another record.
    error WrongRecord(bytes32 given, bytes32 record);
    /// @notice The committee must be larger.
    error AppealQuorumNotReached(uint256 signers, uint256 quorum);
    /// @notice The value sent must be the deposit.
    error WrongDeposit(uint256 sent, uint256 deposit);
    /// @notice The deadline (timestamp, seconds) has passed.
    error TooLate(uint64 deadline);
    /// @notice The deadline (timestamp, seconds) must pass first.
    error TooEarly(uint64 deadline);
    /// @notice The miner made no seal in the round, or a later one has replaced it.
    error NoSeal(uint256 taskId, uint64 round, address miner);
    /// @notice The demand is not in a state that permits this.
    error WrongDemandState(DemandState state);
    /// @notice The content is answered or demanded in another way.
    error WrongContent(Content content);
    /// @notice The data are not what is demanded or referred to.
    error WrongData(bytes32 target, bytes32 given);
    /// @notice There is no CID (or none of a raw block or a dag-pb node by sha2-256) at this place.
    error NoLink(uint256 offset);

    /// @notice Open a case: a quorum says that a miner is at fault. Once for a miner and round, ever.
    /// @param fault what it says
    /// @param epoch validator epoch that has not expired
    /// @param certificate quorum of `epoch` over EIP-712 MinerFault(uint256 taskId,uint64 round,address miner,bytes32 record) in
    ///        the domain of ProofOfTraining
    function accuse(Fault calldata fault, uint64 epoch, bytes calldata certificate) external;

    /// @notice Ask for a larger committee, until the deadline, against the deposit. Anybody may.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    function appeal(uint256 taskId, uint64 round, address miner) external payable;

    /// @notice Convict a miner whose case was appealed, until the deadline.
    /// @param fault as in the accusation
    /// @param certificate at least `appealQuorum` validators of the current epoch over EIP-712 MinerFaultUpheld, fields and domain
    ///        as of MinerFault
    function uphold(Fault calldata fault, bytes calldata certificate) external;

    /// @notice Close a case that was appealed and not upheld in time.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    function acquit(uint256 taskId, uint64 round, address miner) external;

    /// @notice Convict a miner whose case nobody has appealed in time.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    function execute(uint256 taskId, uint64 round, address miner) external;

    /// @notice Demand the manifest that a miner has committed to, against the deposit.
    /// @dev From the commit deadline on, while ProofOfTraining keeps the seal. Until `answerWindow` after the finalize deadline if
    ///      the round is the open or last one, until `answerWindow` after the next round has opened if it is the one before that;
    ///      never later: nobody need keep content for ever.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner who has committed in the round
    /// @return demandId names the demand
    function demand(uint256 taskId, uint64 round, address miner) external payable returns (bytes32 demandId);

    /// @notice Demand a block that a published block refers to, against the deposit.
    /// @param parentId answered demand
    /// @param parent data that were published
    /// @param offset where in it the reference is: in a manifest, of a CID's "b"; in a dag-pb node, of the link
    /// @return demandId names the demand
    function demandBlock(bytes32 parentId, bytes calldata parent, uint256 offset)
        external
        payable
        returns (bytes32 demandId);

    /// @notice Answer the demand of a manifest. Anybody may; the miner gets the deposit.
    /// @param demandId names the demand
    /// @param salt opens the seal, with the sha2-256 digest of the manifest
    /// @param manifest the block
    function publish(bytes32 demandId, bytes32 salt, bytes calldata manifest) external;

    /// @notice Answer the demand of a block. Anybody may; the miner gets the deposit.
    /// @param demandId names the demand
    /// @param data the block
    function publishBlock(bytes32 demandId, bytes calldata data) external;

    /// @notice Convict a miner who has not answered in time. The demander gets the bounty and the deposit.
    /// @param demandId names the demand
    function punish(bytes32 demandId) external;

    /// @notice Case against a miner.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner accused
    function caseOf(uint256 taskId, uint64 round, address miner) external view returns (Case memory);

    /// @notice Demand by its name.
    /// @param demandId names the demand
    function demandOf(bytes32 demandId) external view returns (Demand memory);

    /// @notice Name of a demand.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner who must answer
    /// @param digest of the block; zero for the manifest
    function demandIdOf(uint256 taskId, uint64 round, address miner, bytes32 digest) external view returns (bytes32);

    /// @notice Votes that uphold a fault in a set of `size` validators: min(n, quorum + ⌊f / 2⌋ + 1).
    /// @param size number of validators, at least 1
    function appealQuorum(uint256 size) external view returns (uint256);

    /// @notice What a demand or an appeal costs, in wei.
    function deposit() external view returns (uint256);

    /// @notice How long a miner has to publish, in seconds.
    function answerWindow() external view returns (uint64);

    /// @notice How long anybody has to appeal, and then the committee to uphold, in seconds.
    function appealWindow() external view returns (uint64);
}
