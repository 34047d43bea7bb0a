// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice The ways in which rounds and tasks end without a certificate: skip, expiry, cancel.
contract TaskLifecycleTest is Fixture {
    // ---- skipRound

    function test_SkipRound_OpensTheNextFromTheSameHead() public {
        uint256 taskId = runningTask();
        finalize(taskId, keccak256("root"), REWARD);
        IProofOfTraining.Task memory before = pot.task(taskId);
        bytes32 randao = keccak256("another randao");
        bytes32 seed = keccak256(abi.encode(before.head, uint64(2), randao));
        (,, uint64 deadline) = pot.deadlines(taskId);
        vm.warp(deadline + 1);
        vm.prevrandao(randao);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundSkipped(taskId, 1);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundOpened(taskId, 2, 1, seed);
        vm.prank(stranger);
        pot.skipRound(taskId);

        IProofOfTraining.Task memory t = pot.task(taskId);
        assertEq(t.round, 2, "round");
        assertEq(t.consecutiveSkips, 1, "skips");
        assertEq(t.finalizedRounds, 1, "finalized rounds");
        assertEq(t.roundStartedAt, block.timestamp, "the new round starts now");
        assertEq(t.head, before.head, "head");
        assertEq(t.allocated, before.allocated, "allocated");
    }

    function test_SkipRound_TakesTheCurrentEpoch() public {
        uint256 taskId = runningTask();
        rotate();
        pot.skipRound(taskId);
        assertEq(pot.task(taskId).epoch, 2, "epoch");
    }

    function test_SkipRound_DropsTheRevealsOfTheRound() public {
        uint256 taskId = runningTask();
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 0, sealFor(taskId, 0, miners[0], keccak256("cid"), 0));
        vm.prank(miners[0]);
        pot.revealGradient(taskId, 0, keccak256("cid"), 0);
        skip(taskId);
        assertEq(pot.task(taskId).chainReveals, 0, "reveals");
        assertEq(pot.sealOf(taskId, 1, miners[0]), bytes24(0), "seal");
    }

    function test_SkipRound_OneTooManyExpiresTheTask() public {
        uint256 taskId = runningTask();
        skip(taskId);
        skip(taskId);
        (,, uint64 deadline) = pot.deadlines(taskId);
        vm.warp(deadline + 1);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundSkipped(taskId, 2);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskExpired(taskId);
        pot.skipRound(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Expired);
        assertEq(pot.task(taskId).consecutiveSkips, 3, "skips");
    }

    function test_SkipRound_NoneToleratedExpiresAtOnce() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.maxSkips = 0;
        uint256 taskId = createTask(params);
        start(taskId);
        skip(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Expired);
    }

    function test_SkipRound_RevertWhen_DeadlineNotPassed() public {
        uint256 taskId = runningTask();
        (,, uint64 deadline) = pot.deadlines(taskId);
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.FinalizeDeadlineNotPassed.selector, deadline));
        pot.skipRound(taskId);
    }

    /// @dev The second of two skips in one block finds the deadline of the new round ahead of it.
    function test_SkipRound_RevertWhen_Twice() public {
        uint256 taskId = runningTask();
        skip(taskId);
        (,, uint64 deadline) = pot.deadlines(taskId);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.FinalizeDeadlineNotPassed.selector, deadline));
        pot.skipRound(taskId);
    }

    function test_SkipRound_RevertWhen_TaskIsOpen() public {
        uint256 taskId = createTask();
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(_wrongState(taskId, IProofOfTraining.TaskState.Open));
        pot.skipRound(taskId);
    }

    function test_SkipRound_RevertWhen_TaskEnded() public {
        uint256 taskId = runningTask();
        for (uint256 i = 0; i < 3; ++i) {
            skip(taskId);
        }
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(_wrongState(taskId, IProofOfTraining.TaskState.Expired));
        pot.skipRound(taskId);
    }

    function test_SkipRound_RevertWhen_TaskUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 7));
        pot.skipRound(7);
    }

    // ---- expireTask

    function test_ExpireTask_ThatDidNotStart() public {
        uint256 taskId = createTask();
        join(taskId, newMiner());
        vm.warp(block.timestamp + 1 days);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskExpired(taskId);
        vm.prank(stranger);
        pot.expireTask(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Expired);
        assertEq(pot.refund(taskId), BUDGET, "everything back");
    }

    function test_ExpireTask_RevertWhen_WindowIsOpen() public {
        uint256 taskId = createTask();
        uint64 deadline = uint64(block.timestamp) + 1 days;
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.StartDeadlineNotPassed.selector, deadline));
        pot.expireTask(taskId);
    }

    function test_ExpireTask_RevertWhen_Running() public {
        uint256 taskId = runningTask();
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(_wrongState(taskId, IProofOfTraining.TaskState.Running));
        pot.expireTask(taskId);
    }

    function test_ExpireTask_RevertWhen_TaskUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 0));
        pot.expireTask(0);
    }

    // ---- cancelTask

    function test_CancelTask_OpenEndsAtOnce() public {
        uint256 taskId = createTask();
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskCancelled(taskId);
        vm.prank(owner);
        pot.cancelTask(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Cancelled);
        assertEq(pot.refund(taskId), BUDGET, "everything back");
    }

    function test_CancelTask_RunningEndsWithTheFinalRound() public {
        uint256 taskId = runningTask();
        vm.expectEmit(address(pot));
        emit IProofOfTraining.CancelRequested(taskId, 0);
        vm.prank(owner);
        pot.cancelTask(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Running);
        assertTrue(pot.task(taskId).cancelRequested, "requested");

        IProofOfTraining.Outcome memory outcome = outcomeOf(taskId, keccak256("root"), REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskCancelled(taskId);
        pot.finalizeRound(outcome, certificate);
        assertState(taskId, IProofOfTraining.TaskState.Cancelled);
        assertEq(pot.task(taskId).allocated, REWARD, "the open round was paid");
        assertEq(pot.task(taskId).round, 0, "no further round opens");
    }

    function test_CancelTask_RunningEndsWithTheSkippedRound() public {
        uint256 taskId = runningTask();
        vm.prank(owner);
        pot.cancelTask(taskId);
        (,, uint64 deadline) = pot.deadlines(taskId);
        vm.warp(deadline + 1);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundSkipped(taskId, 0);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskCancelled(taskId);
        pot.skipRound(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Cancelled);
    }

    /// @dev A round of a task that is being cancelled goes on as any other.
    function test_CancelTask_TheOpenRoundGoesOn() public {
        uint256 taskId = runningTask();
        vm.prank(owner);
        pot.cancelTask(taskId);
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 0, keccak256("seal"));
        uint128 cumulative = finalizeFor(taskId, miners[0], REWARD);
        assertEq(claimFor(taskId, miners[0], cumulative, noProof()), REWARD, "paid");
    }

    function test_CancelTask_RevertWhen_NotTheOwner() public {
        uint256 taskId = createTask();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotTaskOwner.selector, stranger, owner));
        vm.prank(stranger);
        pot.cancelTask(taskId);
    }

    function test_CancelTask_RevertWhen_RequestedAlready() public {
        uint256 taskId = runningTask();
        vm.prank(owner);
        pot.cancelTask(taskId);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.CancelAlreadyRequested.selector, taskId));
        vm.prank(owner);
        pot.cancelTask(taskId);
    }

    function test_CancelTask_RevertWhen_Ended() public {
        uint256 taskId = createTask();
        vm.prank(owner);
        pot.cancelTask(taskId);
        vm.expectRevert(_wrongState(taskId, IProofOfTraining.TaskState.Cancelled));
        vm.prank(owner);
        pot.cancelTask(taskId);
    }

    function test_CancelTask_RevertWhen_TaskUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 5));
        vm.prank(owner);
        pot.cancelTask(5);
    }

    // ---- views

    function test_Task_UnknownIsAllZero() public view {
        IProofOfTraining.Task memory nothing;
        assertEq(keccak256(abi.encode(pot.task(1))), keccak256(abi.encode(nothing)), "task");
    }

    function _wrongState(uint256 taskId, IProofOfTraining.TaskState actual) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IProofOfTraining.WrongTaskState.selector, taskId, actual);
    }
}
