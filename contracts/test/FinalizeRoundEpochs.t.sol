// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Rounds and epochs: which set certifies a round, and until when.
contract FinalizeRoundEpochsTest is Fixture {
    bytes32 private constant ROOT = keccak256("rewards root");

    uint256 private _taskId;

    function setUp() public override {
        super.setUp();
        _taskId = runningTask();
    }

    /// @dev A round stays with the epoch that was current when it opened; the next one takes the new epoch.
    function test_FinalizeRound_EpochChangeInFlight() public {
        rotate();
        assertEq(pot.task(_taskId).epoch, 1, "the open round keeps its epoch");
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).epoch, 2, "the next round has the new one");
    }

    function test_FinalizeRound_RevertWhen_EpochIsNewerThanTheRound() public {
        rotate();
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes memory signatures = signAll(pot.commitDigest(_taskId, 0, 2, 0, pot.outcomeDigest(outcome)), 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongEpoch.selector, 2, 1));
        pot.finalizeRound(outcome, IProofOfTraining.Certificate(2, 0, signatures));
    }

    function test_FinalizeRound_RevertWhen_EpochIsOlderThanTheRound() public {
        rotate();
        finalize(_taskId, ROOT, REWARD);
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, 0);
        bytes memory signatures = signAll(pot.commitDigest(_taskId, 1, 1, 0, pot.outcomeDigest(outcome)), 3);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongEpoch.selector, 1, 2));
        pot.finalizeRound(outcome, IProofOfTraining.Certificate(1, 0, signatures));
    }

    /// @dev A round takes the current epoch when it opens, however many have gone by.
    function test_FinalizeRound_TakesTheLatestOfSeveralEpochs() public {
        rotate();
        rotate();
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 digest = pot.outcomeDigest(outcome);
        bytes32 seed = keccak256(abi.encode(digest, uint64(1), block.prevrandao));
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RoundFinalized(
            _taskId, 0, digest, 0, outcome.checkpoint, outcome.record, 500_000, ROOT, REWARD, 3, seed
        );
        pot.finalizeRound(outcome, certificate);
        assertEq(pot.task(_taskId).epoch, 3, "the current one");
    }

    /// @dev While no next epoch can exist the registry is not asked; from that second on it is.
    function test_FinalizeRound_KeepsTheEpochThatNobodyReplaced() public {
        vm.warp(registry.epochInfo(1).replaceableAt);
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).epoch, 1, "still current");
        rotate();
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).epoch, 2, "replaced in the very second in which it could be");
    }

    // ---- the end of an epoch

    function test_FinalizeRound_OnTheLastSecondOfTheEpoch() public {
        vm.warp(registry.epochInfo(1).expiresAt);
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).finalizedRounds, 1, "final");
    }

    function test_FinalizeRound_RevertWhen_TheEpochHasExpired() public {
        uint64 expiresAt = registry.epochInfo(1).expiresAt;
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 4);
        vm.warp(uint256(expiresAt) + 1);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.EpochOver.selector, 1, expiresAt));
        pot.finalizeRound(outcome, certificate);
    }

    /// @dev Keys of an expired epoch may belong to nobody any more: the round can only be skipped, which binds the next one to
    ///      the current epoch.
    function test_FinalizeRound_AfterAnExpiredEpochTheTaskGoesOnByASkip() public {
        vm.warp(uint256(registry.epochInfo(1).expiresAt) + 1);
        registry.advanceEpoch("");
        pot.skipRound(_taskId);
        assertEq(pot.task(_taskId).epoch, 2, "the current epoch");
        finalize(_taskId, ROOT, REWARD);
        assertEq(pot.task(_taskId).finalizedRounds, 1, "final");
    }

    /// @dev Without a new epoch the next round is bound to the dead one: skips end the task, and the owner gets the rest.
    function test_SkipRound_WithoutANewEpochTheTaskExpires() public {
        vm.warp(uint256(registry.epochInfo(1).expiresAt) + 1);
        skip(_taskId);
        assertEq(pot.task(_taskId).epoch, 1, "there is no other");
        skip(_taskId);
        skip(_taskId);
        assertState(_taskId, IProofOfTraining.TaskState.Expired);
        assertEq(pot.refund(_taskId), BUDGET, "everything back");
    }

    /// @dev Evidence outlives epochs: the registry itself verifies the certificates of an expired one.
    function test_VerifyCertificate_OfAnExpiredEpoch() public {
        bytes32 digest = keccak256("digest");
        vm.warp(uint256(registry.epochInfo(1).expiresAt) + 1);
        assertEq(registry.verifyCertificate(1, digest, signAll(digest, 3)), 7, "signers");
    }

    /// @dev Every validator of an epoch has left the next one: its certificates count for its rounds alone.
    function test_FinalizeRound_BySetsThatHaveNobodyInCommon() public {
        for (uint256 i = 0; i < 4; ++i) {
            registerValidator(1000 + i);
            vm.prank(operator(voteKeys[i]));
            registry.startUnbonding();
        }
        rotate();
        finalize(_taskId, ROOT, REWARD); // round 0 is the old set's
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, 0);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        pot.finalizeRound(outcome, certificate); // round 1 is not
    }
}
