// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice What a certificate decides, and the outcomes that no certificate can decide.
contract FinalizeRoundTest is Fixture {
    bytes32 private constant ROOT = keccak256("rewards root");

    uint256 private _taskId;

    function setUp() public override {
        super.setUp();
        _taskId = runningTask();
    }

    // ---- success

    function test_FinalizeRound_MovesHeadAndRewardsAndOpensTheNext() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 digest = pot.outcomeDigest(outcome);
        bytes32 randao = keccak256("randao 1");
        bytes32 seed = keccak256(abi.encode(digest, uint64(1), randao));
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);

        vm.warp(block.timestamp + 5);
        vm.prevrandao(randao);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundFinalized(
            _taskId, 0, digest, 0, outcome.checkpoint, outcome.record, 500_000, ROOT, outcome.rewardsTotal, 1, seed
        );
        vm.prank(stranger); // anybody may relay
        pot.finalizeRound(outcome, certificate);

        IProofOfTraining.Task memory t = pot.task(_taskId);
        assertState(_taskId, IProofOfTraining.TaskState.Running);
        assertEq(t.head, digest, "head");
        assertEq(t.allocated, REWARD, "allocated");
        assertEq(t.claimed, 0, "claimed");
        assertEq(t.round, 1, "round");
        assertEq(t.finalizedRounds, 1, "finalized rounds");
        assertEq(t.roundStartedAt, block.timestamp, "the new round starts now");
        assertEq(t.params.checkpoint, CHECKPOINT, "the initial checkpoint stays on record");
    }

    function test_FinalizeRound_LastRoundCompletesTheTask() public {
        for (uint256 i = 0; i < 4; ++i) {
            finalize(_taskId, ROOT, REWARD);
        }
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskCompleted(_taskId);
        pot.finalizeRound(outcome, certificate);

        IProofOfTraining.Task memory t = pot.task(_taskId);
        assertState(_taskId, IProofOfTraining.TaskState.Completed);
        assertEq(t.finalizedRounds, 5, "finalized rounds");
        assertEq(t.round, 4, "no further round opens");
    }

    /// @dev The last round both completes the task and would cancel it: it is complete.
    function test_FinalizeRound_CompletionOverridesACancelRequest() public {
        for (uint256 i = 0; i < 4; ++i) {
            finalize(_taskId, ROOT, REWARD);
        }
        vm.prank(owner);
        pot.cancelTask(_taskId);
        finalize(_taskId, ROOT, REWARD);
        assertState(_taskId, IProofOfTraining.TaskState.Completed);
    }

    function test_FinalizeRound_ResetsTheCountOfSkips() public {
        skip(_taskId);
        skip(_taskId);
        assertEq(pot.task(_taskId).consecutiveSkips, 2, "skips");
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).consecutiveSkips, 0, "none in a row");
        skip(_taskId);
        skip(_taskId);
        assertState(_taskId, IProofOfTraining.TaskState.Running);
    }

    function test_FinalizeRound_CertificateOfALaterView() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 digest = pot.outcomeDigest(outcome);
        bytes memory signatures = signAll(pot.commitDigest(_taskId, 0, 1, 7, digest), 3);
        bytes32 seed = keccak256(abi.encode(digest, uint64(1), block.prevrandao));
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundFinalized(
            _taskId, 0, digest, 7, outcome.checkpoint, outcome.record, 500_000, ROOT, outcome.rewardsTotal, 1, seed
        );
        pot.finalizeRound(outcome, IProofOfTraining.Certificate(1, 7, signatures));
    }

    /// @dev Allocating nothing, and less than the most, is the validators' good right.
    function testFuzz_FinalizeRound_AllocatesAtMostTheRewardPerRound(uint128 increase) public {
        increase = uint128(bound(increase, 0, REWARD));
        finalize(_taskId, ROOT, increase);
        assertEq(pot.task(_taskId).allocated, increase, "allocated");
    }

    // ---- time

    function test_FinalizeRound_AfterTheFinalizeDeadlineIfNobodySkipped() public {
        (,, uint64 finalizeDeadline) = pot.deadlines(_taskId);
        vm.warp(uint256(finalizeDeadline) + 1000);
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).finalizedRounds, 1, "final");
    }

    function test_FinalizeRound_RevertWhen_TheRoundWasSkipped() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        skip(_taskId);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongRound.selector, 0, 1));
        pot.finalizeRound(outcome, certificate);
    }

    // ---- on-chain reveals

    function test_FinalizeRound_RevertWhen_ARevealIsNotCounted() public {
        _revealOnChain(miners[0]);
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        outcome.chainReveals = 0;
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        (, uint64 revealDeadline,) = pot.deadlines(_taskId);
        vm.warp(revealDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongChainReveals.selector, 0, 1));
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_MoreRevealsAreCountedThanThereAre() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        outcome.chainReveals = 1;
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        (, uint64 revealDeadline,) = pot.deadlines(_taskId);
        vm.warp(revealDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongChainReveals.selector, 1, 0));
        pot.finalizeRound(outcome, certificate);
    }

    /// @dev Until the reveal deadline a late reveal must not be able to void a certificate that was signed before it.
    function test_FinalizeRound_ALateRevealDoesNotVoidTheCertificate() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        (, uint64 revealDeadline,) = pot.deadlines(_taskId);
        _revealOnChain(miners[0]);
        vm.warp(revealDeadline);
        pot.finalizeRound(outcome, certificate);
        assertEq(pot.task(_taskId).finalizedRounds, 1, "final");
    }

    function test_FinalizeRound_EveryRevealCounted() public {
        _revealOnChain(miners[0]);
        _revealOnChain(miners[1]);
        (, uint64 revealDeadline,) = pot.deadlines(_taskId);
        vm.warp(revealDeadline + 1);
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).finalizedRounds, 1, "final");
    }

    // ---- money

    function test_FinalizeRound_RevertWhen_RewardsDecrease() public {
        finalize(_taskId, ROOT, REWARD);
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, 0);
        outcome.rewardsTotal -= 1;
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.RewardsDecreased.selector, REWARD - 1, REWARD));
        pot.finalizeRound(outcome, certificate);
    }

    /// @dev Claims do not make room: the total is cumulative.
    function test_FinalizeRound_RevertWhen_RewardsDecreaseAfterAClaim() public {
        uint128 cumulative = finalizeFor(_taskId, stranger, REWARD);
        claimFor(_taskId, stranger, cumulative, noProof());
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, 0);
        outcome.rewardsTotal = 0;
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.RewardsDecreased.selector, 0, REWARD));
        pot.finalizeRound(outcome, certificate);
    }

    function testFuzz_FinalizeRound_RevertWhen_ARoundAllocatesTooMuch(uint128 increase) public {
        increase = uint128(bound(increase, uint256(REWARD) + 1, type(uint128).max));
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, increase);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.RewardsTooHigh.selector, increase, REWARD));
        pot.finalizeRound(outcome, certificate);
    }

    /// @dev A round that allocated less does not let the next one allocate more.
    function test_FinalizeRound_RevertWhen_UnusedRewardsAreMadeUpFor() public {
        finalize(_taskId, ROOT, 0);
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, 2 * REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.RewardsTooHigh.selector, 2 * REWARD, REWARD));
        pot.finalizeRound(outcome, certificate);
    }

    // ---- task, round, parent

    function test_FinalizeRound_RevertWhen_TaskUnknown() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        outcome.taskId = 99;
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 99));
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_TaskIsNotRunning() public {
        uint256 open = createTask();
        IProofOfTraining.Outcome memory outcome = outcomeOf(open, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcomeOf(_taskId, ROOT, REWARD), 3);
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfTraining.WrongTaskState.selector, open, IProofOfTraining.TaskState.Open)
        );
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_Replayed() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        pot.finalizeRound(outcome, certificate);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongRound.selector, 0, 1));
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_RoundIsAhead() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        outcome.round = 1;
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongRound.selector, 1, 0));
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_ParentIsNotTheHead() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 head = outcome.parent;
        outcome.parent = keccak256("a fork");
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongParent.selector, outcome.parent, head));
        pot.finalizeRound(outcome, certificate);
    }

    // ---- helpers

    function _revealOnChain(address miner) private {
        vm.prank(miner);
        pot.commitGradient(_taskId, 0, sealFor(_taskId, 0, miner, keccak256("cid"), keccak256("salt")));
        vm.prank(miner);
        pot.revealGradient(_taskId, 0, keccak256("cid"), keccak256("salt"));
    }
}
