// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Joining, leaving, and membership of any round.
contract RosterTest is Fixture {
    // ---- join

    function test_Join_OpenTask() public {
        uint256 taskId = createTask();
        address miner = newMiner();
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerJoined(taskId, miner, 0);
        join(taskId, miner);

        assertState(taskId, IProofOfTraining.TaskState.Open);
        assertEq(pot.task(taskId).members, 1, "members");
        assertTrue(pot.isMember(taskId, 0, miner), "member of round 0");
    }

    function test_Join_TheLastNeededStartsTheTask() public {
        bootEpoch(4);
        uint256 taskId = createTask();
        join(taskId, newMiner());
        address last = newMiner();
        bytes32 seed = keccak256(abi.encode(pot.task(taskId).head, uint64(0), block.prevrandao));
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerJoined(taskId, last, 0);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundOpened(taskId, 0, 1, seed);
        join(taskId, last);

        IProofOfTraining.Task memory t = pot.task(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Running);
        assertEq(t.round, 0, "round");
        assertEq(t.epoch, 1, "epoch");
        assertEq(t.roundStartedAt, block.timestamp, "roundStartedAt");
        (uint64 commitDeadline, uint64 revealDeadline, uint64 finalizeDeadline) = pot.deadlines(taskId);
        assertEq(commitDeadline, block.timestamp + COMMIT_WINDOW, "commit deadline");
        assertEq(revealDeadline, commitDeadline + REVEAL_WINDOW, "reveal deadline");
        assertEq(finalizeDeadline, revealDeadline + FINALIZE_WINDOW, "finalize deadline");
    }

    function test_Join_RunningTaskFromTheNextRound() public {
        uint256 taskId = runningTask();
        address miner = newMiner();
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerJoined(taskId, miner, 1);
        join(taskId, miner);

        assertFalse(pot.isMember(taskId, 0, miner), "not of the open round");
        assertTrue(pot.isMember(taskId, 1, miner), "of the next");
        assertEq(pot.task(taskId).round, 0, "no new round opens");
    }

    function test_Join_RevertWhen_TaskUnknown() public {
        address miner = newMiner();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 1));
        join(1, miner);
    }

    function test_Join_RevertWhen_TaskEnded() public {
        uint256 taskId = createTask();
        vm.prank(owner);
        pot.cancelTask(taskId);
        address miner = newMiner();
        vm.expectRevert(_wrongState(taskId, IProofOfTraining.TaskState.Cancelled));
        join(taskId, miner);
    }

    function test_Join_RevertWhen_NotAMiner() public {
        uint256 taskId = createTask();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotActiveMiner.selector, stranger));
        join(taskId, stranger);
    }

    function test_Join_RevertWhen_MinerIsUnbonding() public {
        uint256 taskId = createTask();
        address miner = newMiner();
        vm.prank(miner);
        registry.startUnbonding();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotActiveMiner.selector, miner));
        join(taskId, miner);
    }

    function test_Join_RevertWhen_Validator() public {
        bootEpoch(4);
        uint256 taskId = createTask();
        address validator = operator(voteKeys[0]);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotActiveMiner.selector, validator));
        join(taskId, validator);
    }

    function test_Join_RevertWhen_AlreadyMember() public {
        uint256 taskId = createTask();
        address miner = newMiner();
        join(taskId, miner);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.AlreadyMember.selector, taskId, miner));
        join(taskId, miner);
    }

    function test_Join_RevertWhen_Full() public {
        uint256 taskId = runningTask();
        join(taskId, newMiner());
        join(taskId, newMiner());
        address fifth = newMiner();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.TaskFull.selector, taskId, 4));
        join(taskId, fifth);

        vm.prank(miners[0]);
        pot.leave(taskId);
        join(taskId, fifth); // the place is free again
        assertEq(pot.task(taskId).members, 4, "members");
    }

    function test_Join_RevertWhen_ItWouldStartWithoutAnEpoch() public {
        uint256 taskId = createTask();
        join(taskId, newMiner());
        address last = newMiner();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NoValidatorEpoch.selector));
        join(taskId, last);

        bootEpoch(4);
        join(taskId, last);
        assertState(taskId, IProofOfTraining.TaskState.Running);
    }

    // ---- leave

    function test_Leave_OpenTask() public {
        uint256 taskId = createTask();
        address miner = newMiner();
        join(taskId, miner);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerLeft(taskId, miner, 0);
        _leave(taskId, miner);

        assertEq(pot.task(taskId).members, 0, "members");
        assertFalse(pot.isMember(taskId, 0, miner), "not a member of round 0");
    }

    function test_Leave_RunningTaskAfterTheOpenRound() public {
        uint256 taskId = runningTask();
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerLeft(taskId, miners[0], 1);
        _leave(taskId, miners[0]);

        assertEq(pot.task(taskId).members, 1, "members");
        assertTrue(pot.isMember(taskId, 0, miners[0]), "still of the open round");
        assertFalse(pot.isMember(taskId, 1, miners[0]), "not of the next");
    }

    function test_Leave_BeforeTheFirstRoundOfTheMembership() public {
        uint256 taskId = runningTask();
        address miner = newMiner();
        join(taskId, miner);
        _leave(taskId, miner);
        assertFalse(pot.isMember(taskId, 0, miner), "never");
        assertFalse(pot.isMember(taskId, 1, miner), "never");
        assertEq(pot.task(taskId).members, 2, "members");
    }

    function test_Leave_RevertWhen_TaskUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 9));
        _leave(9, stranger);
    }

    function test_Leave_RevertWhen_TaskEnded() public {
        uint256 taskId = createTask();
        address miner = newMiner();
        join(taskId, miner);
        vm.prank(owner);
        pot.cancelTask(taskId);
        vm.expectRevert(_wrongState(taskId, IProofOfTraining.TaskState.Cancelled));
        _leave(taskId, miner);
    }

    function test_Leave_RevertWhen_NeverJoined() public {
        uint256 taskId = createTask();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, taskId, stranger));
        _leave(taskId, stranger);
    }

    function test_Leave_RevertWhen_Twice() public {
        uint256 taskId = runningTask();
        _leave(taskId, miners[0]);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, taskId, miners[0]));
        _leave(taskId, miners[0]);
    }

    // ---- joining again

    function test_Rejoin_InTheRoundOfLeavingChangesNothing() public {
        uint256 taskId = runningTask();
        _leave(taskId, miners[0]);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerJoined(taskId, miners[0], 1);
        join(taskId, miners[0]);
        assertTrue(pot.isMember(taskId, 0, miners[0]), "round 0");
        assertTrue(pot.isMember(taskId, 1, miners[0]), "round 1");
    }

    function test_Rejoin_AfterAbsence() public {
        uint256 taskId = runningTask();
        _leave(taskId, miners[0]); // member of round 0
        finalize(taskId, 0, 0);
        finalize(taskId, 0, 0);
        join(taskId, miners[0]); // in round 2: member from round 3
        bool[5] memory expected = [true, false, false, true, true];
        for (uint64 round = 0; round < 5; ++round) {
            assertTrue(pot.isMember(taskId, round, miners[0]) == expected[round], "membership of the round");
        }
    }

    function test_Rejoin_DoesNotBringBackAnOldSeal() public {
        uint256 taskId = runningTask();
        bytes32 seal = keccak256("seal");
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 0, seal);
        _leave(taskId, miners[0]);
        finalize(taskId, 0, 0);
        join(taskId, miners[0]); // in round 1, from round 2
        assertEq(pot.sealOf(taskId, 1, miners[0]), bytes24(0), "no seal in the round of absence");
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, taskId, miners[0]));
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 1, seal);
    }

    /// @dev Leaving and joining again in one round is no way to a second commit.
    function test_Rejoin_DoesNotAllowASecondCommit() public {
        uint256 taskId = runningTask();
        bytes32 seal = keccak256("seal");
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 0, seal);
        _leave(taskId, miners[0]);
        join(taskId, miners[0]);
        assertEq(pot.sealOf(taskId, 0, miners[0]), prefix(seal), "the seal stays");
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.AlreadyCommitted.selector, taskId, 0, miners[0]));
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 0, keccak256("another seal"));
    }

    function test_EmptyTask_CanStillBeSkippedAndExpired() public {
        uint256 taskId = runningTask();
        _leave(taskId, miners[0]);
        _leave(taskId, miners[1]);
        assertEq(pot.task(taskId).members, 0, "members");
        skip(taskId);
        skip(taskId);
        skip(taskId);
        assertState(taskId, IProofOfTraining.TaskState.Expired);
        assertEq(pot.refund(taskId), BUDGET, "everything back");
    }

    function test_EmptyTask_CanBeJoinedAgain() public {
        uint256 taskId = runningTask();
        _leave(taskId, miners[0]);
        _leave(taskId, miners[1]);
        skip(taskId);
        join(taskId, miners[0]);
        skip(taskId);
        assertTrue(pot.isMember(taskId, 2, miners[0]), "member again");
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 2, keccak256("seal"));
    }

    /// @dev Random comings and goings of two miners against a plain record of who was a member in which round.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_Membership_OfEveryRound(uint256 choices) public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        (params.rounds, params.budget) = (40, 40 * REWARD);
        uint256 taskId = createTask(params);
        start(taskId);

        bool[2] memory staying = [true, true];
        bool[2][20] memory was;
        for (uint64 round = 0; round < 20; ++round) {
            (was[round][0], was[round][1]) = (staying[0], staying[1]);
            for (uint256 step = 0; step < 4; ++step) {
                choices = uint256(keccak256(abi.encode(choices)));
                uint256 who = choices & 1;
                if (choices & 2 == 0) continue;
                if (staying[who]) _leave(taskId, miners[who]);
                else join(taskId, miners[who]);
                staying[who] = !staying[who];
            }
            finalize(taskId, 0, 0);
        }
        for (uint64 round = 0; round < 20; ++round) {
            assertTrue(pot.isMember(taskId, round, miners[0]) == was[round][0], "membership of the first");
            assertTrue(pot.isMember(taskId, round, miners[1]) == was[round][1], "membership of the second");
        }
        uint256 members = (staying[0] ? 1 : 0) + (staying[1] ? 1 : 0);
        assertEq(pot.task(taskId).members, members, "members");
    }

    function test_IsMember_OfStrangersAndUnknownTasks() public {
        uint256 taskId = runningTask();
        assertFalse(pot.isMember(taskId, 0, stranger), "stranger");
        assertFalse(pot.isMember(99, 0, miners[0]), "unknown task");
        assertTrue(pot.isMember(taskId, type(uint32).max - 1, miners[0]), "as things stand");
        assertFalse(pot.isMember(taskId, type(uint64).max, miners[0]), "no such round can come");
    }

    // ---- helpers

    function _leave(uint256 taskId, address miner) private {
        vm.prank(miner);
        pot.leave(taskId);
    }

    function _wrongState(uint256 taskId, IProofOfTraining.TaskState actual) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IProofOfTraining.WrongTaskState.selector, taskId, actual);
    }
}
