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
        Tasks.Data storage t = _liveTask(taskId);
        if (msg.sender != t.owner) revert NotTaskOwner(msg.sender, t.owner);
        if (t.state == TaskState.Open) {
            _end(t, taskId, TaskState.Cancelled);
            return;
        }
        if (t.cancelRequested) revert CancelAlreadyRequested(taskId);
        t.cancelRequested = true;
        emit CancelRequested(taskId, t.round);
    }

    /// @inheritdoc IProofOfTraining
    function expireTask(uint256 taskId) external {
        Tasks.Data storage t = _taskIn(taskId, TaskState.Open);
        uint64 startDeadline = uint64(t.createdAt) + t.startWindow;
        if (block.timestamp < startDeadline) revert StartDeadlineNotPassed(startDeadline);
        _end(t, taskId, TaskState.Expired);
    }

    /// @inheritdoc IProofOfTraining
    function refund(uint256 taskId) external nonReentrant returns (uint256 amount) {
        Tasks.Data storage t = _knownTask(taskId);
        if (t.state == TaskState.Open || t.state == TaskState.Running) revert WrongTaskState(taskId, t.state);
        amount = t.unallocated;
        if (amount == 0) revert NothingToRefund(taskId);
        t.refunded = t.unallocated;
        t.unallocated = 0;
        address owner = t.owner;
        emit TaskRefunded(taskId, owner, amount);
        _payOut(t.token, owner, amount);
    }

    // ---- miners

    /// @inheritdoc IProofOfTraining
    function join(uint256 taskId) external {
        Tasks.Data storage t = _liveTask(taskId);
        if (!REGISTRY.isActiveMiner(msg.sender)) revert NotActiveMiner(msg.sender);
        Rosters.Member storage member = _members[taskId][msg.sender];
        if (member.isJoined()) revert AlreadyMember(taskId, msg.sender);
        if (t.members == t.maxMiners) revert TaskFull(taskId, t.maxMiners);
        uint32 members = ++t.members;
        uint32 from = _nextRound(t);
        member.joinFrom(from);
        emit MinerJoined(taskId, msg.sender, from);
        if (t.state == TaskState.Open && members == t.minMiners) {
            t.state = TaskState.Running;
            _openRound(t, taskId, 0);
        }
    }

    /// @inheritdoc IProofOfTraining
    function leave(uint256 taskId) external {
        Tasks.Data storage t = _liveTask(taskId);
        Rosters.Member storage member = _members[taskId][msg.sender];
        if (!member.isJoined()) revert NotMember(taskId, msg.sender);
        --t.members;
        uint32 from = _nextRound(t);
        member.leaveFrom(from);
        emit MinerLeft(taskId, msg.sender, from);
    }

    /// @inheritdoc IProofOfTraining
    function commitGradient(uint256 taskId, uint64 round, bytes32 seal) external {
        Tasks.Data storage t = _openRoundOf(taskId, round);
        uint64 deadline = t.commitDeadline();
        if (block.timestamp > deadline) revert CommitsClosed(deadline);
        _members[taskId][msg.sender].commit(taskId, t.round, seal);
        emit GradientCommitted(taskId, round, msg.sender, seal);
    }

    /// @inheritdoc IProofOfTraining
    function revealGradient(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt) external {
        Tasks.Data storage t = _openRoundOf(taskId, round);
        uint64 deadline = t.revealDeadline();
        if (block.timestamp > deadline) revert RevealsClosed(deadline);
        bytes32 seal = ProtocolHashes.seal(taskId, round, msg.sender, cidDigest, salt);
        _members[taskId][msg.sender].reveal(taskId, t.round, seal);
        ++t.chainReveals;
        emit GradientRevealed(taskId, round, msg.sender, cidDigest, salt);
    }

    /// @inheritdoc IProofOfTraining
    function claim(uint256 taskId, address account, uint128 cumulative, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 amount)
    {
        Tasks.Data storage t = _knownTask(taskId);
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
        Tasks.Data storage t = _openRoundOf(outcome.taskId, outcome.round);
        if (outcome.parent != t.head) revert WrongParent(outcome.parent, t.head);
        if (certificate.epoch != t.epoch) revert WrongEpoch(certificate.epoch, t.epoch);
        if (outcome.chainReveals != t.chainReveals && block.timestamp > t.revealDeadline()) {
            revert WrongChainReveals(outcome.chainReveals, t.chainReveals);
        }
        bytes32 digest = ProtocolHashes.outcomeHash(outcome);
        REGISTRY.verifyCertificate(
            certificate.epoch,
            commitDigest(outcome.taskId, outcome.round, certificate.epoch, certificate.viewNumber, digest),
            certificate.signatures
        );

        _allocate(t, outcome.rewardsTotal);
        t.head = digest;
        t.checkpoint = outcome.checkpoint;
        t.rewardsRoot = outcome.rewardsRoot;
        t.consecutiveSkips = 0;
        uint32 finalized = ++t.finalizedRounds;
        emit RoundFinalized(
            outcome.taskId,
            outcome.round,
            digest,
            certificate.viewNumber,
            outcome.checkpoint,
            outcome.record,
            outcome.rewardsRoot,
            outcome.rewardsTotal
        );
        if (finalized == t.rounds) _end(t, outcome.taskId, TaskState.Completed);
        else _continue(t, outcome.taskId);
    }

    /// @inheritdoc IProofOfTraining
    function skipRound(uint256 taskId) external {
        Tasks.Data storage t = _taskIn(taskId, TaskState.Running);
        uint64 deadline = t.finalizeDeadline();
        if (block.timestamp <= deadline) revert FinalizeDeadlineNotPassed(deadline);
        emit RoundSkipped(taskId, t.round);
        uint32 skips = t.consecutiveSkips;
        if (skips == t.maxSkips) {
            _end(t, taskId, TaskState.Expired);
        } else {
            t.consecutiveSkips = skips + 1;
            _continue(t, taskId);
        }
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
        return _members[taskId][miner].sealIn(round);
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
        if (t.roundStartedAt == 0) return (0, 0, 0);
        return (t.commitDeadline(), t.revealDeadline(), t.finalizeDeadline());
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

    // ---- internal: life cycle

    /// @dev Opens the next round, unless the owner has asked for the end.
    function _continue(Tasks.Data storage t, uint256 taskId) private {
        if (t.cancelRequested) _end(t, taskId, TaskState.Cancelled);
        else _openRound(t, taskId, t.round + 1);
    }

    function _openRound(Tasks.Data storage t, uint256 taskId, uint32 round) private {
        uint64 epoch = REGISTRY.currentEpoch();
        if (epoch == 0) revert NoValidatorEpoch();
        bytes32 seed = ProtocolHashes.roundSeed(t.head, round);
        t.round = round;
        t.epoch = SafeCast.toUint32(epoch);
        t.roundStartedAt = SafeCast.toUint40(block.timestamp);
        t.chainReveals = 0;
        t.seed = seed;
        emit RoundOpened(taskId, round, epoch, seed);
    }

    function _end(Tasks.Data storage t, uint256 taskId, TaskState state) private {
        t.state = state;
        if (state == TaskState.Completed) emit TaskCompleted(taskId);
        else if (state == TaskState.Cancelled) emit TaskCancelled(taskId);
        else emit TaskExpired(taskId);
    }

    /// @dev Moves what the round earned from the owner's bucket to the earners'. It cannot run dry: createTask made sure
    ///      that the budget covers `rewardPerRound` for every round.
    function _allocate(Tasks.Data storage t, uint128 total) private {
        uint128 before = t.allocated();
        if (total < before) revert RewardsDecreased(total, before);
        uint128 increase = total - before;
        if (increase > t.rewardPerRound) revert RewardsTooHigh(increase, t.rewardPerRound);
        t.unallocated -= increase;
        t.unclaimed += increase;
    }

    /// @dev First round that a change of the roster made now takes effect in.
    function _nextRound(Tasks.Data storage t) private view returns (uint32) {
        return t.state == TaskState.Running ? t.round + 1 : 0;
    }

    // ---- internal: access to tasks

    function _knownTask(uint256 taskId) private view returns (Tasks.Data storage t) {
        t = _tasks[taskId];
        if (t.state == TaskState.None) revert UnknownTask(taskId);
    }

    function _taskIn(uint256 taskId, TaskState state) private view returns (Tasks.Data storage t) {
        t = _knownTask(taskId);
        if (t.state != state) revert WrongTaskState(taskId, t.state);
    }

    function _liveTask(uint256 taskId) private view returns (Tasks.Data storage t) {
        t = _knownTask(taskId);
        if (t.state != TaskState.Open && t.state != TaskState.Running) revert WrongTaskState(taskId, t.state);
    }

    function _openRoundOf(uint256 taskId, uint64 round) private view returns (Tasks.Data storage t) {
        t = _taskIn(taskId, TaskState.Running);
        if (round != t.round) revert WrongRound(round, t.round);
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
