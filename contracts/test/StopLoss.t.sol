// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice An owner's limit on the loss: from some final round on, a loss above it ends the task.
contract StopLossTest is Fixture {
    uint64 private constant LIMIT = 1_000_000;

    function test_StopLoss_ALossAboveTheLimitStopsTheTask() public {
        uint256 taskId = _task(1, LIMIT);
        IProofOfTraining.Outcome memory outcome = _outcome(taskId, LIMIT + 1);
        bytes32 digest = pot.outcomeDigest(outcome);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundFinalized(
            taskId, 0, digest, 0, outcome.checkpoint, outcome.record, LIMIT + 1, outcome.rewardsRoot, REWARD, 0, 0
        );
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskStopped(taskId);
        pot.finalizeRound(outcome, certificate);

        assertState(taskId, IProofOfTraining.TaskState.Stopped);
        IProofOfTraining.Task memory t = pot.task(taskId);
        assertEq(t.head, digest, "the round is final");
        assertEq(t.allocated, REWARD, "and paid");
        assertEq(t.round, 0, "no further round opens");
    }

    function test_StopLoss_ALossAtTheLimitGoesOn() public {
        uint256 taskId = _task(1, LIMIT);
        finalizeWith(_outcome(taskId, LIMIT));
        assertState(taskId, IProofOfTraining.TaskState.Running);
    }

    function test_StopLoss_IsNotWatchedBeforeItsRound() public {
        uint256 taskId = _task(3, LIMIT);
        finalizeWith(_outcome(taskId, type(uint64).max));
        finalizeWith(_outcome(taskId, type(uint64).max));
        assertState(taskId, IProofOfTraining.TaskState.Running);
        finalizeWith(_outcome(taskId, LIMIT + 1));
        assertState(taskId, IProofOfTraining.TaskState.Stopped);
    }

    function test_StopLoss_IsWatchedInEveryLaterRound() public {
        uint256 taskId = _task(1, LIMIT);
        finalizeWith(_outcome(taskId, LIMIT));
        finalizeWith(_outcome(taskId, 0));
        finalizeWith(_outcome(taskId, LIMIT + 1));
        assertState(taskId, IProofOfTraining.TaskState.Stopped);
    }

    /// @dev Skipped rounds are no final ones.
    function test_StopLoss_SkippedRoundsDoNotCount() public {
        uint256 taskId = _task(2, LIMIT);
        skip(taskId);
        skip(taskId);
        finalizeWith(_outcome(taskId, LIMIT + 1));
        assertState(taskId, IProofOfTraining.TaskState.Running);
        finalizeWith(_outcome(taskId, LIMIT + 1));
        assertState(taskId, IProofOfTraining.TaskState.Stopped);
    }

    function test_StopLoss_ZeroRoundsMeanNever() public {
        uint256 taskId = _task(0, 0);
        for (uint256 i = 0; i < 5; ++i) {
            finalizeWith(_outcome(taskId, type(uint64).max));
        }
        assertState(taskId, IProofOfTraining.TaskState.Completed);
    }

    function test_StopLoss_ALimitOfZeroStopsAtAnyLoss() public {
        uint256 taskId = _task(1, 0);
        finalizeWith(_outcome(taskId, 0));
        assertState(taskId, IProofOfTraining.TaskState.Running);
        finalizeWith(_outcome(taskId, 1));
        assertState(taskId, IProofOfTraining.TaskState.Stopped);
    }

    function test_StopLoss_CompletionOverridesIt() public {
        uint256 taskId = _task(5, LIMIT);
        for (uint256 i = 0; i < 5; ++i) {
            finalizeWith(_outcome(taskId, LIMIT + 1));
        }
        assertState(taskId, IProofOfTraining.TaskState.Completed);
    }

    function test_StopLoss_ACancelOverridesIt() public {
        uint256 taskId = _task(1, LIMIT);
        vm.prank(owner);
        pot.cancelTask(taskId);
        finalizeWith(_outcome(taskId, LIMIT + 1));
        assertState(taskId, IProofOfTraining.TaskState.Cancelled);
    }

    /// @dev An end as any other: earners claim, the owner gets the rest, nobody can go on.
    function test_StopLoss_PaysEverybody() public {
        uint256 taskId = _task(1, LIMIT);
        finalizeWith(_outcome(taskId, LIMIT + 1));
        assertEq(pot.refund(taskId), BUDGET - REWARD, "the owner");
        assertEq(claimFor(taskId, _earner(), REWARD, noProof()), REWARD, "the earner");
        assertEq(address(pot).balance, 0, "nothing is left");

        bytes memory reason = abi.encodeWithSelector(
            IProofOfTraining.WrongTaskState.selector, taskId, IProofOfTraining.TaskState.Stopped
        );
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(reason);
        pot.skipRound(taskId);
        vm.expectRevert(reason);
        vm.prank(miners[0]);
        pot.leave(taskId);
        vm.expectRevert(reason);
        vm.prank(owner);
        pot.cancelTask(taskId);
    }

    /// @dev The state after any losses is what a plain reading of the rule says.
    function testFuzz_StopLoss_IsTheFirstWatchedRoundAboveTheLimit(uint32 after_, uint64 limit, uint64[5] memory losses)
        public
    {
        after_ = uint32(bound(after_, 0, 6));
        limit = uint64(bound(limit, 0, type(uint48).max));
        uint256 taskId = _task(after_, limit);
        for (uint256 i = 0; i < 5; ++i) {
            finalizeWith(_outcome(taskId, losses[i]));
            bool stops = after_ != 0 && i + 1 >= after_ && losses[i] > limit;
            if (i == 4) return assertState(taskId, IProofOfTraining.TaskState.Completed);
            if (stops) return assertState(taskId, IProofOfTraining.TaskState.Stopped);
            assertState(taskId, IProofOfTraining.TaskState.Running);
        }
    }

    // ---- helpers

    function _task(uint32 after_, uint64 limit) private returns (uint256 taskId) {
        IProofOfTraining.TaskParams memory params = defaultParams();
        (params.stopLossAfter, params.stopLoss) = (after_, limit);
        taskId = createTask(params);
        start(taskId);
    }

    /// @dev Allocates one reward to the earner.
    function _outcome(uint256 taskId, uint64 loss) private view returns (IProofOfTraining.Outcome memory outcome) {
        uint128 earned = pot.task(taskId).allocated + REWARD;
        bytes32 leaf = keccak256(abi.encodePacked(keccak256(abi.encode(taskId, _earner(), earned))));
        outcome = outcomeOf(taskId, leaf, REWARD);
        outcome.loss = loss;
    }

    function _earner() private pure returns (address) {
        return address(0xA11CE);
    }
}
