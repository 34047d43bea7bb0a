// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "./interfaces/IProofOfTraining.sol";
import {ProtocolHashes} from "./libraries/ProtocolHashes.sol";
import {Rosters} from "./libraries/Rosters.sol";
import {Tasks} from "./libraries/Tasks.sol";
import {Round} from "./types/Round.sol";

/// @title ProofOfTraining
/// @notice Training tasks, escrow, gradient seals, certified rounds and cumulative rewards. There is no owner, no
///         administrator and no upgrade: a task ends under the code that it began with.
contract ProofOfTraining is IProofOfTraining, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using Rosters for Rosters.Member;
    using Tasks for Tasks.Data;

    INodeRegistry private immutable REGISTRY;

    uint256 private _taskCount;
    mapping(uint256 taskId => Tasks.Data) private _tasks;
    mapping(uint256 taskId => mapping(address miner => Rosters.Member)) private _members;
    mapping(uint256 taskId => mapping(address account => uint128 amount)) private _claimed;

    /// @param registry_ NodeRegistry that knows the miners and whose epochs certify the rounds
    constructor(address registry_) EIP712("ProofOfTraining", "1") {
        if (registry_.code.length == 0) revert RegistryWithoutCode(registry_);
        REGISTRY = INodeRegistry(registry_);
    }

    // ---- task owner

    /// @inheritdoc IProofOfTraining
    function createTask(TaskParams calldata params) external payable nonReentrant returns (uint256 taskId) {
        Tasks.validate(params);
        taskId = ++_taskCount;
        bytes32 head = ProtocolHashes.genesisHead(taskId, params.spec, params.checkpoint);
        _tasks[taskId].create(msg.sender, head, params);
        emit TaskCreated(taskId, msg.sender, params);
        _takeIn(params.token, params.budget);
    }

    /// @inheritdoc IProofOfTraining
    function cancelTask(uint256 taskId) external {
        (Tasks.Data storage t, Round round) = _liveTask(taskId);
        if (msg.sender != t.owner) revert NotTaskOwner(msg.sender, t.owner);
        if (round.cancelRequested()) revert CancelAlreadyRequested(taskId);
        if (round.state() == TaskState.Open) {
            t.round = _end(round, taskId, TaskState.Cancelled);
        } else {
            t.round = round.withCancelRequested();
            emit CancelRequested(taskId, round.number());
        }
    }

    /// @inheritdoc IProofOfTraining
    function expireTask(uint256 taskId) external {
        (Tasks.Data storage t, Round round) = _taskIn(taskId, TaskState.Open);
        uint64 startDeadline = uint64(t.createdAt) + t.startWindow;
        if (block.timestamp < startDeadline) revert StartDeadlineNotPassed(startDeadline);
        t.round = _end(round, taskId, TaskState.Expired);
    }

    /// @inheritdoc IProofOfTraining
    function refund(uint256 taskId) external nonReentrant returns (uint256 amount) {
        (Tasks.Data storage t, Round round) = _knownTask(taskId);
        if (round.isLive()) revert WrongTaskState(taskId, round.state());
        uint128 unallocated = t.unallocated;
        if (unallocated == 0) revert NothingToRefund(taskId);
        t.unallocated = 0;
        t.refunded = unallocated;
        address owner = t.owner;
        emit TaskRefunded(taskId, owner, unallocated);
        _payOut(t.token, owner, unallocated);
        return unallocated;
    }

    // ---- miners

    /// @inheritdoc IProofOfTraining
    function join(uint256 taskId) external {
        (Tasks.Data storage t, Round round) = _liveTask(taskId);
        if (!REGISTRY.isActiveMiner(msg.sender)) revert NotActiveMiner(msg.sender);
        Rosters.Member storage member = _members[taskId][msg.sender];
        if (member.isJoined()) revert AlreadyMember(taskId, msg.sender);
        if (t.members == t.maxMiners) revert TaskFull(taskId, t.maxMiners);
        uint32 members = ++t.members;
        uint32 from = round.nextRosterRound();
        member.joinFrom(from);
        emit MinerJoined(taskId, msg.sender, from);
        if (round.state() == TaskState.Open && members == t.minMiners) {
            t.round = _openRound(t, round, taskId, t.head, 0);
        }
    }

    /// @inheritdoc IProofOfTraining
    function leave(uint256 taskId) external {
        (Tasks.Data storage t, Round round) = _liveTask(taskId);
        Rosters.Member storage member = _members[taskId][msg.sender];
        if (!member.isJoined()) revert NotMember(taskId, msg.sender);
        --t.members;
        uint32 from = round.nextRosterRound();
        member.leaveFrom(from);
        emit MinerLeft(taskId, msg.sender, from);
    }

    /// @inheritdoc IProofOfTraining
    function commitGradient(uint256 taskId, uint64 round, bytes32 seal) external {
        (, Round open) = _openRoundOf(taskId, round);
        uint64 deadline = open.commitDeadline();
        if (block.timestamp > deadline) revert CommitsClosed(deadline);
        _members[taskId][msg.sender].commit(taskId, open.number(), seal);
        emit GradientCommitted(taskId, round, msg.sender, seal);
    }

    /// @inheritdoc IProofOfTraining
    function revealGradient(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt) external {
        (Tasks.Data storage t, Round open) = _openRoundOf(taskId, round);
        uint64 deadline = t.revealDeadline(open);
        if (block.timestamp > deadline) revert RevealsClosed(deadline);
        bytes32 seal = ProtocolHashes.seal(taskId, round, msg.sender, cidDigest, salt);
        _members[taskId][msg.sender].reveal(taskId, open.number(), seal);
        t.round = open.withChainReveal();
        emit GradientRevealed(taskId, round, msg.sender, cidDigest, salt);
    }

    /// @inheritdoc IProofOfTraining
    function claim(uint256 taskId, address account, uint128 cumulative, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 amount)
    {
        Tasks.Data storage t = _tasks[taskId]; // a task that does not exist has no rewards root
        bytes32 leaf = ProtocolHashes.rewardLeaf(taskId, account, cumulative);
        if (!MerkleProof.verifyCalldata(proof, t.rewardsRoot, leaf)) {
            revert InvalidRewardProof(taskId, account, cumulative);
        }
        uint128 claimed = _claimed[taskId][account];
        uint128 unclaimed = t.unclaimed;
        // the cap keeps a tree that promises too much from reaching the escrow of the owner or of other tasks
        amount = Math.min(Math.saturatingSub(cumulative, claimed), unclaimed);
        if (amount == 0) revert NothingToClaim(taskId, account, claimed);
        uint128 paid = SafeCast.toUint128(claimed + amount);
        _claimed[taskId][account] = paid;
        t.unclaimed = SafeCast.toUint128(unclaimed - amount);
        emit RewardClaimed(taskId, account, amount, paid);
        _payOut(t.token, account, amount);
    }

    // ---- rounds

    /// @inheritdoc IProofOfTraining
    function finalizeRound(Outcome calldata outcome, Certificate calldata certificate) external {
        uint256 taskId = outcome.taskId;
        (Tasks.Data storage t, Round round) = _openRoundOf(taskId, outcome.round);
        if (outcome.parent != t.head) revert WrongParent(outcome.parent, t.head);
        if (certificate.epoch != round.epoch()) revert WrongEpoch(certificate.epoch, round.epoch());
        if (outcome.chainReveals != round.chainReveals() && block.timestamp > t.revealDeadline(round)) {
            revert WrongChainReveals(outcome.chainReveals, round.chainReveals());
        }
        bytes32 digest = ProtocolHashes.outcomeHash(outcome);
        bytes32 vote = commitDigest(taskId, outcome.round, certificate.epoch, certificate.viewNumber, digest);
        REGISTRY.verifyCertificate(certificate.epoch, vote, certificate.signatures);

        t.allocate(outcome.rewardsTotal);
        t.head = digest;
        t.checkpoint = outcome.checkpoint;
        t.rewardsRoot = outcome.rewardsRoot;
        round = round.finalized();
        emit RoundFinalized(
            taskId,
            outcome.round,
            digest,
            certificate.viewNumber,
            outcome.checkpoint,
            outcome.record,
            outcome.rewardsRoot,
            outcome.rewardsTotal
        );
        if (round.roundsLeft() == 0) t.round = _end(round, taskId, TaskState.Completed);
        else if (round.cancelRequested()) t.round = _end(round, taskId, TaskState.Cancelled);
        else t.round = _openRound(t, round, taskId, digest, round.number() + 1);
    }

    /// @inheritdoc IProofOfTraining
    function skipRound(uint256 taskId) external {
        (Tasks.Data storage t, Round round) = _taskIn(taskId, TaskState.Running);
        uint64 deadline = t.finalizeDeadline(round);
        if (block.timestamp <= deadline) revert FinalizeDeadlineNotPassed(deadline);
        emit RoundSkipped(taskId, round.number());
        round = round.skipped();
        if (round.cancelRequested()) t.round = _end(round, taskId, TaskState.Cancelled);
        else if (round.skips() > t.maxSkips) t.round = _end(round, taskId, TaskState.Expired);
        else t.round = _openRound(t, round, taskId, t.head, round.number() + 1);
    }

    // ---- views

    /// @inheritdoc IProofOfTraining
    function task(uint256 taskId) external view returns (Task memory) {
        return _tasks[taskId].toView();
    }

    /// @inheritdoc IProofOfTraining
    function taskCount() external view returns (uint256) {
        return _taskCount;
    }

    /// @inheritdoc IProofOfTraining
    function isMember(uint256 taskId, uint64 round, address account) external view returns (bool) {
        return _members[taskId][account].isMemberIn(round);
    }

    /// @inheritdoc IProofOfTraining
    function sealOf(uint256 taskId, uint64 round, address miner) external view returns (bytes24) {
        return _members[taskId][miner].standing.sealIn(round);
    }

    /// @inheritdoc IProofOfTraining
    function claimedOf(uint256 taskId, address account) external view returns (uint256) {
        return _claimed[taskId][account];
    }

    /// @inheritdoc IProofOfTraining
    function deadlines(uint256 taskId)
        external
        view
        returns (uint64 commitDeadline, uint64 revealDeadline, uint64 finalizeDeadline)
    {
        Tasks.Data storage t = _tasks[taskId];
        Round round = t.round;
        if (round.startedAt() == 0) return (0, 0, 0);
        return (round.commitDeadline(), t.revealDeadline(round), t.finalizeDeadline(round));
    }

    /// @inheritdoc IProofOfTraining
    function outcomeDigest(Outcome calldata outcome) external pure returns (bytes32) {
        return ProtocolHashes.outcomeHash(outcome);
    }

    /// @inheritdoc IProofOfTraining
    function commitDigest(uint256 taskId, uint64 round, uint64 epoch, uint64 viewNumber, bytes32 outcomeHash)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(ProtocolHashes.commitHash(taskId, round, epoch, viewNumber, outcomeHash));
    }

    /// @inheritdoc IProofOfTraining
    function registry() external view returns (address) {
        return address(REGISTRY);
    }

    // ---- internal: life cycle. Each returns the changed Round, which the caller stores.

    function _openRound(Tasks.Data storage t, Round round, uint256 taskId, bytes32 head, uint32 number)
        private
        returns (Round)
    {
        uint64 epoch = REGISTRY.currentEpoch();
        if (epoch == 0) revert NoValidatorEpoch();
        bytes32 seed = ProtocolHashes.roundSeed(head, number);
        t.seed = seed;
        emit RoundOpened(taskId, number, epoch, seed);
        return round.opened(number, epoch);
    }

    function _end(Round round, uint256 taskId, TaskState state) private returns (Round) {
        if (state == TaskState.Completed) emit TaskCompleted(taskId);
        else if (state == TaskState.Cancelled) emit TaskCancelled(taskId);
        else emit TaskExpired(taskId);
        return round.withState(state);
    }

    // ---- internal: access to tasks

    function _knownTask(uint256 taskId) private view returns (Tasks.Data storage t, Round round) {
        t = _tasks[taskId];
        round = t.round;
        if (round.state() == TaskState.None) revert UnknownTask(taskId);
    }

    function _taskIn(uint256 taskId, TaskState state) private view returns (Tasks.Data storage t, Round round) {
        (t, round) = _knownTask(taskId);
        if (round.state() != state) revert WrongTaskState(taskId, round.state());
    }

    function _liveTask(uint256 taskId) private view returns (Tasks.Data storage t, Round round) {
        (t, round) = _knownTask(taskId);
        if (!round.isLive()) revert WrongTaskState(taskId, round.state());
    }

    function _openRoundOf(uint256 taskId, uint64 number) private view returns (Tasks.Data storage t, Round round) {
        t = _tasks[taskId];
        round = t.round;
        if (!round.isOpen(number)) {
            _taskIn(taskId, TaskState.Running);
            revert WrongRound(number, round.number());
        }
    }

    // ---- internal: money

    function _takeIn(address token, uint256 amount) private {
        if (token == address(0)) {
            if (msg.value != amount) revert WrongValue(msg.value, amount);
            return;
        }
        if (msg.value != 0) revert WrongValue(msg.value, 0);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = Math.saturatingSub(IERC20(token).balanceOf(address(this)), before);
        if (received != amount) revert EscrowMismatch(received, amount);
    }

    function _payOut(address token, address to, uint256 amount) private {
        if (token == address(0)) Address.sendValue(payable(to), amount);
        else IERC20(token).safeTransfer(to, amount);
    }
}
