// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProofOfTraining} from "./interfaces/IProofOfTraining.sol";
import {ProtocolHashes} from "./libraries/ProtocolHashes.sol";
import {Tasks} from "./libraries/Tasks.sol";
import {Escrow} from "./training/Escrow.sol";
import {Members} from "./training/Members.sol";
import {Rounds} from "./training/Rounds.sol";
import {TaskBook} from "./training/TaskBook.sol";
import {Round} from "./types/Round.sol";

/// @title ProofOfTraining
/// @notice Training tasks from their creation to their end. Their storage is in TaskBook, miners are in Members, certificates in
///         Rounds, money in Escrow. There is no owner, no administrator and no upgrade: a task ends under the code that it began
///         with.
contract ProofOfTraining is Members, Rounds, Escrow {
    using Tasks for Tasks.Data;

    /// @param registry_ NodeRegistry that knows the miners and whose epochs certify the rounds
    constructor(address registry_) TaskBook(registry_) {}

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
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function expireTask(uint256 taskId) external {
        (Tasks.Data storage t, Round round) = _taskIn(taskId, TaskState.Open);
        uint64 startDeadline = uint64(t.createdAt) + t.startWindow;
        if (block.timestamp < startDeadline) revert StartDeadlineNotPassed(startDeadline);
        t.round = _end(round, taskId, TaskState.Expired);
    }
}
