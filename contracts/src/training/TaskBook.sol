// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {ProtocolHashes} from "../libraries/ProtocolHashes.sol";
import {Rosters} from "../libraries/Rosters.sol";
import {Tasks} from "../libraries/Tasks.sol";
import {Round} from "../types/Round.sol";
import {Terms} from "../types/Terms.sol";

/// @title TaskBook
/// @notice The part of ProofOfTraining that keeps the tasks: storage, access, transitions and views.
abstract contract TaskBook is IProofOfTraining, EIP712 {
    using Rosters for Rosters.Member;
    using Tasks for Tasks.Data;

    INodeRegistry internal immutable REGISTRY;

    uint256 internal _taskCount;
    mapping(uint256 taskId => Tasks.Data) internal _tasks;
    mapping(uint256 taskId => mapping(address miner => Rosters.Member)) internal _members;
    mapping(uint256 taskId => mapping(address account => uint128 amount)) internal _claimed;

    /// @param registry_ NodeRegistry that knows the miners and whose epochs certify the rounds
    constructor(address registry_) EIP712("ProofOfTraining", "1") {
        if (registry_.code.length == 0) revert RegistryWithoutCode(registry_);
        REGISTRY = INodeRegistry(registry_);
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
        Terms terms = t.terms;
        if (round.commitDeadline() == 0) return (0, 0, 0);
        return (round.commitDeadline(), terms.revealDeadline(round), terms.finalizeDeadline(round));
    }

    /// @inheritdoc IProofOfTraining
    function decisionHash(Outcome calldata outcome) external pure returns (bytes32) {
        return ProtocolHashes.decisionHash(outcome);
    }

    /// @inheritdoc IProofOfTraining
    function outcomeDigest(Outcome calldata outcome) public pure returns (bytes32) {
        bytes32 decision = ProtocolHashes.decisionHash(outcome);
        return ProtocolHashes.outcomeHash(decision, outcome.rewardsRoot, outcome.rewardsTotal);
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

    // ---- transitions. Each returns the changed Round, which the caller stores.

    function _open(Tasks.Data storage t, Round round, uint256 taskId, uint32 number) internal returns (Round opened) {
        uint64 epoch = REGISTRY.currentEpoch();
        if (epoch == 0) revert NoValidatorEpoch();
        bytes32 seed;
        (opened, seed) = _openNext(round, t.terms, t.head, epoch, number);
        emit RoundOpened(taskId, number, epoch, seed);
    }

    function _openNext(Round round, Terms terms, bytes32 head, uint64 epoch, uint32 number)
        internal
        view
        returns (Round, bytes32 seed)
    {
        seed = ProtocolHashes.roundSeed(head, number);
        return (round.opened(number, epoch, block.timestamp + terms.commitWindow()), seed);
    }

    function _end(Round round, uint256 taskId, TaskState state) internal returns (Round) {
        if (state == TaskState.Completed) emit TaskCompleted(taskId);
        else if (state == TaskState.Cancelled) emit TaskCancelled(taskId);
        else if (state == TaskState.Stopped) emit TaskStopped(taskId);
        else emit TaskExpired(taskId);
        return round.withState(state);
    }

    // ---- access

    function _knownTask(uint256 taskId) internal view returns (Tasks.Data storage t, Round round) {
        t = _tasks[taskId];
        round = t.round;
        if (round.state() == TaskState.None) revert UnknownTask(taskId);
    }

    function _taskIn(uint256 taskId, TaskState state) internal view returns (Tasks.Data storage t, Round round) {
        (t, round) = _knownTask(taskId);
        if (round.state() != state) revert WrongTaskState(taskId, round.state());
    }

    function _liveTask(uint256 taskId) internal view returns (Tasks.Data storage t, Round round) {
        (t, round) = _knownTask(taskId);
        if (!round.isLive()) revert WrongTaskState(taskId, round.state());
    }

    function _openRoundOf(uint256 taskId, uint64 number) internal view returns (Tasks.Data storage t, Round round) {
        t = _tasks[taskId];
        round = t.round;
        if (!round.isOpen(number)) {
            _taskIn(taskId, TaskState.Running);
            revert WrongRound(number, round.number());
        }
    }
}
