// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {ProtocolHashes} from "../libraries/ProtocolHashes.sol";
import {Rosters} from "../libraries/Rosters.sol";
import {Tasks} from "../libraries/Tasks.sol";
import {Round} from "../types/Round.sol";
import {TaskBook} from "./TaskBook.sol";

/// @title Members
/// @notice The part of ProofOfTraining for miners and their delegates: joining, leaving, committing, revealing.
abstract contract Members is TaskBook {
    using Rosters for Rosters.Member;

    modifier onlyDelegateOf(address miner) {
        if (!REGISTRY.isDelegate(miner, msg.sender)) revert NotDelegateOf(miner, msg.sender);
        _;
    }

    /// @inheritdoc IProofOfTraining
    function join(uint256 taskId) external {
        _join(taskId, msg.sender);
    }

    /// @inheritdoc IProofOfTraining
    function joinFor(uint256 taskId, address miner) external onlyDelegateOf(miner) {
        _join(taskId, miner);
    }

    /// @inheritdoc IProofOfTraining
    function leave(uint256 taskId) external {
        _leave(taskId, msg.sender);
    }

    /// @inheritdoc IProofOfTraining
    function leaveFor(uint256 taskId, address miner) external onlyDelegateOf(miner) {
        _leave(taskId, miner);
    }

    /// @inheritdoc IProofOfTraining
    function evict(uint256 taskId, address miner) external {
        if (REGISTRY.isActiveMiner(miner)) revert MinerBonded(miner);
        _leave(taskId, miner);
    }

    /// @inheritdoc IProofOfTraining
    function commitGradient(uint256 taskId, uint64 round, bytes32 seal) external {
        _commit(taskId, round, seal, msg.sender);
    }

    /// @inheritdoc IProofOfTraining
    function commitGradientFor(uint256 taskId, uint64 round, bytes32 seal, address miner)
        external
        onlyDelegateOf(miner)
    {
        _commit(taskId, round, seal, miner);
    }

    /// @inheritdoc IProofOfTraining
    function revealGradient(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt) external {
        _reveal(taskId, round, cidDigest, salt, msg.sender);
    }

    /// @inheritdoc IProofOfTraining
    function revealGradientFor(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt, address miner)
        external
        onlyDelegateOf(miner)
    {
        _reveal(taskId, round, cidDigest, salt, miner);
    }

    function _join(uint256 taskId, address miner) private {
        (Tasks.Data storage t, Round round) = _liveTask(taskId);
        if (!REGISTRY.isActiveMiner(miner)) revert NotActiveMiner(miner);
        Rosters.Member storage member = _members[taskId][miner];
        if (member.isJoined()) revert AlreadyMember(taskId, miner);
        if (t.members == t.maxMiners) revert TaskFull(taskId, t.maxMiners);
        uint16 members = ++t.members;
        uint32 from = round.nextRosterRound();
        member.joinFrom(from);
        emit MinerJoined(taskId, miner, from);
        if (round.state() == TaskState.Open && members == t.minMiners) t.round = _open(t, round, taskId, 0);
    }

    function _leave(uint256 taskId, address miner) private {
        (Tasks.Data storage t, Round round) = _liveTask(taskId);
        Rosters.Member storage member = _members[taskId][miner];
        if (!member.isJoined()) revert NotMember(taskId, miner);
        --t.members;
        uint32 from = round.nextRosterRound();
        member.leaveFrom(from);
        emit MinerLeft(taskId, miner, from);
    }

    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function _commit(uint256 taskId, uint64 round, bytes32 seal, address miner) private {
        (, Round open) = _openRoundOf(taskId, round);
        uint64 deadline = open.commitDeadline();
        if (block.timestamp > deadline) revert CommitsClosed(deadline);
        _members[taskId][miner].commit(miner, taskId, open.number(), seal);
        emit GradientCommitted(taskId, round, miner, seal);
    }

    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function _reveal(uint256 taskId, uint64 round, bytes32 cidDigest, bytes32 salt, address miner) private {
        (Tasks.Data storage t, Round open) = _openRoundOf(taskId, round);
        uint64 deadline = t.terms.revealDeadline(open);
        if (block.timestamp > deadline) revert RevealsClosed(deadline);
        bytes32 seal = ProtocolHashes.seal(taskId, round, miner, cidDigest, salt);
        _members[taskId][miner].reveal(miner, taskId, open.number(), seal);
        t.round = open.withChainReveal();
        emit GradientRevealed(taskId, round, miner, cidDigest, salt);
    }
}
