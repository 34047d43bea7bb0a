// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CourtFixture} from "./CourtFixture.sol";
import {IValidatorCourt} from "../src/interfaces/IValidatorCourt.sol";

/// @notice An honest replica goes through random views of a round; every pair of its messages is put before the court.
/// @dev The replica knows one rule: what it has prepared last it names in every later view change. It prepares whatever the
///      view's proposal is, other outcomes than it has committed to included, as PBFT demands.
contract ValidatorCourtHonestTest is CourtFixture {
    uint64 private constant VIEWS = 6;

    struct Vote {
        IValidatorCourt.Phase phase;
        uint64 viewNumber;
        bytes32 digest;
        bytes signature;
    }

    struct Change {
        uint64 viewNumber;
        uint64 preparedView;
        bytes32 preparedDigest;
        bytes signature;
    }

    uint256 private _key;
    Vote[] private _votes;
    Change[] private _changes;

    function setUp() public override {
        super.setUp();
        bootEpoch(4);
        _key = voteKeys[0];
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_HonestReplica_IsNeverSlashable(uint256 seed) public {
        _play(seed);
        for (uint256 i = 0; i < _votes.length; ++i) {
            for (uint256 j = 0; j < _votes.length; ++j) {
                _tryDoubleVote(_votes[i], _votes[j]);
            }
            for (uint256 j = 0; j < _changes.length; ++j) {
                _tryViewChange(_votes[i], _changes[j]);
            }
        }
        assertEq(stakeOf(operator(_key)), VALIDATOR_STAKE, "stake");
    }

    /// @dev The same attempts succeed against a replica that votes twice, or lies once: the test above is able to fail.
    function testFuzz_DoubleVoter_IsSlashable(uint256 seed) public {
        _play(seed);
        IValidatorCourt.Phase phase = IValidatorCourt.Phase(seed % 3);
        _sign(phase, VIEWS, A);
        _sign(phase, VIEWS, B);
        this.attemptDouble(_votes[_votes.length - 2], _votes[_votes.length - 1], phase, VIEWS);
        assertEq(stakeOf(operator(_key)), 0, "stake");
    }

    function testFuzz_LyingReplica_IsSlashable(uint256 seed) public {
        _play(seed);
        uint64 last = VIEWS + 1;
        _sign(IValidatorCourt.Phase.Commit, last, A);
        _signChange(last + 1, last, B);
        vm.expectRevert(IValidatorCourt.CommitNotHidden.selector);
        this.attempt(_votes[_votes.length - 1], Change(last + 1, last, A, ""));
        this.attempt(_votes[_votes.length - 1], _changes[_changes.length - 1]);
        assertEq(stakeOf(operator(_key)), 0, "stake");
    }

    /// @dev Reports the pair; a separate call, so that it can fail.
    function attempt(Vote memory vote, Change memory change) external {
        IValidatorCourt.HiddenCommit memory evidence = IValidatorCourt.HiddenCommit({
            operator: operator(_key),
            slot: slotOf(1),
            commitView: vote.viewNumber,
            commitDigest: vote.digest,
            commitSignature: vote.signature,
            changeView: change.viewNumber,
            preparedView: change.preparedView,
            preparedDigest: change.preparedDigest,
            changeSignature: change.signature
        });
        prepare(address(this), evidence);
        validators.reportViewChange(evidence, SALT);
    }

    function attemptDouble(Vote memory one, Vote memory other, IValidatorCourt.Phase phase, uint64 viewNumber)
        external
    {
        IValidatorCourt.DoubleVote memory evidence = IValidatorCourt.DoubleVote({
            operator: operator(_key),
            phase: phase,
            slot: slotOf(1),
            viewNumber: viewNumber,
            digestA: one.digest,
            digestB: other.digest,
            signatureA: one.signature,
            signatureB: other.signature
        });
        prepare(address(this), evidence);
        validators.reportDoubleVote(evidence, SALT);
    }

    // ---- the replica

    function _play(uint256 seed) private {
        uint64 preparedView;
        bytes32 prepared;
        for (uint64 view_ = 0; view_ < VIEWS; ++view_) {
            uint256 dice = uint256(keccak256(abi.encode(seed, view_)));
            if (view_ != 0 && dice % 4 != 0) _signChange(view_, preparedView, prepared); // it may miss the change
            bytes32 digest = dice >> 8 & 1 == 0 ? A : B;
            uint256 progress = (dice >> 16) % 4; // how far the view comes
            if (dice >> 24 & 1 == 0) _sign(IValidatorCourt.Phase.Propose, view_, digest);
            if (progress > 0) _sign(IValidatorCourt.Phase.Prepare, view_, digest);
            if (progress > 1) (preparedView, prepared) = (view_, digest);
            if (progress > 2) _sign(IValidatorCourt.Phase.Commit, view_, digest);
        }
        _signChange(VIEWS, preparedView, prepared);
    }

    function _sign(IValidatorCourt.Phase phase, uint64 view_, bytes32 digest) private {
        bytes memory signature = sign(_key, voteDigest(phase, slotOf(1), view_, digest));
        _votes.push(Vote(phase, view_, digest, signature));
    }

    function _signChange(uint64 view_, uint64 preparedView, bytes32 prepared) private {
        bytes memory signature = sign(_key, changeDigest(slotOf(1), view_, preparedView, prepared));
        _changes.push(Change(view_, preparedView, prepared, signature));
    }

    // ---- the prosecutor

    function _tryDoubleVote(Vote memory one, Vote memory other) private {
        for (uint256 phase = 0; phase < 3; ++phase) {
            try this.attemptDouble(one, other, IValidatorCourt.Phase(phase), one.viewNumber) {
                assertTrue(false, "an honest pair of votes");
            } catch {}
        }
    }

    function _tryViewChange(Vote memory vote, Change memory change) private {
        try this.attempt(vote, change) {
            assertTrue(false, "an honest view change");
        } catch {}
    }
}
