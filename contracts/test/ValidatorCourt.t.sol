// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CourtFixture} from "./CourtFixture.sol";
import {ICourt} from "../src/interfaces/ICourt.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IValidatorCourt} from "../src/interfaces/IValidatorCourt.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {ValidatorCourt} from "../src/ValidatorCourt.sol";

/// @notice What is punished, how it is announced, and who is paid.
contract ValidatorCourtTest is CourtFixture {
    uint256 private _task;

    function setUp() public override {
        super.setUp();
        _task = runningTask();
    }

    // ---- construction

    function test_Constructor_KnowsItsNetwork() public view {
        assertEq(validators.registry(), address(registry), "registry");
        assertEq(validators.training(), address(pot), "training");
    }

    function test_RevertIf_RegistryAsksForNoStake() public {
        INodeRegistry.Config memory config = registryConfig();
        config.minValidatorStake = 0;
        NodeRegistry free = new NodeRegistry(config);
        vm.expectRevert(IValidatorCourt.NoMinimumStake.selector);
        new ValidatorCourt(address(free), address(pot));
    }

    // ---- double votes

    function test_ReportDoubleVote_TakesTheWholeStake() public {
        for (uint256 phase = 0; phase < 3; ++phase) {
            uint256 key = voteKeys[phase];
            report(reporter, doubleVote(key, _task, IValidatorCourt.Phase(phase)));
            INodeRegistry.Node memory node = registry.node(operator(key));
            assertEq(node.stake, 0, "stake");
            assertTrue(node.unbondingAt != 0, "no longer bonded");
            assertShares(validators, (phase + 1) * VALIDATOR_STAKE, reporter);
        }
    }

    function test_ReportDoubleVote_Emits() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        prepare(reporter, evidence);
        bytes32 hash = keccak256(abi.encode(IValidatorCourt.Offence.DoubleVote, evidence));
        vm.expectEmit(address(validators));
        emit IValidatorCourt.OffenceProven(IValidatorCourt.Offence.DoubleVote, _task, reporter, hash, VALIDATOR_STAKE);
        vm.expectEmit(address(validators));
        emit ICourt.SlashDistributed(_task, reporter, owner, 0.5 ether, 2.5 ether, 7 ether);
        vm.prank(reporter);
        validators.reportDoubleVote(evidence, SALT);
    }

    function test_ReportDoubleVote_AcceptsCompactSignatures() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        (bytes32 r, bytes32 vs) =
            vm.signCompact(voteKeys[0], voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, 0, A));
        evidence.signatureA = abi.encodePacked(r, vs);
        report(reporter, evidence);
        assertEq(stakeOf(evidence.operator), 0, "stake");
    }

    function test_ReportDoubleVote_BurnsTheShareOfAnUnknownOwner() public {
        report(reporter, doubleVote(voteKeys[0], 999));
        assertEq(validators.owedTo(reporter), 0.5 ether, "bounty");
        assertEq(BURN.balance, 9.5 ether, "burned");
        assertEq(validators.owedTo(address(0)), 0, "nothing for nobody");
    }

    function test_RevertIf_SameDigestTwice() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        (evidence.digestB, evidence.signatureB) = (evidence.digestA, evidence.signatureA);
        expectDoubleVoteRevert(evidence, abi.encodeWithSelector(IValidatorCourt.SameDigest.selector, A));
    }

    function test_RevertIf_AccusedIsNoValidator() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        for (uint256 i = 0; i < 2; ++i) {
            evidence.operator = i == 0 ? miners[0] : stranger;
            expectDoubleVoteRevert(
                evidence, abi.encodeWithSelector(IValidatorCourt.NotValidatorAccount.selector, evidence.operator)
            );
        }
    }

    function test_RevertIf_SignedByAnother() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        evidence.operator = operator(voteKeys[1]);
        bytes32 digest = voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, 0, A);
        expectDoubleVoteRevert(
            evidence, abi.encodeWithSelector(IValidatorCourt.NotSigned.selector, vm.addr(voteKeys[1]), digest)
        );
    }

    // ---- view changes

    function test_ReportViewChange_PunishesWhatHidesACommit() public {
        _punished(hiddenCommit(voteKeys[0], _task, 0, 0));
        _punished(hiddenCommit(voteKeys[1], _task, 3, 0)); // names nothing, in a later view
        _punished(hiddenCommit(voteKeys[2], _task, 1, A)); // an earlier view, be it the same outcome
        _punished(hiddenCommit(voteKeys[3], _task, 2, B)); // another outcome in the view of the commit
    }

    function test_RevertIf_CommitIsNotHidden() public {
        bytes memory reason = abi.encodeWithSelector(IValidatorCourt.CommitNotHidden.selector);
        expectViewChangeRevert(hiddenCommit(voteKeys[0], _task, 2, A), reason);
        expectViewChangeRevert(hiddenCommit(voteKeys[0], _task, 3, B), reason); // prepared B later: honest
        IValidatorCourt.HiddenCommit memory evidence = hiddenCommit(voteKeys[0], _task, 0, 0);
        for (uint64 view_ = 1; view_ <= 2; ++view_) {
            evidence.changeView = view_; // asked for that view before it committed in it
            resign(voteKeys[0], evidence);
            expectViewChangeRevert(evidence, reason);
        }
    }

    function test_RevertIf_ViewChangeAccusesNoValidator() public {
        IValidatorCourt.HiddenCommit memory evidence = hiddenCommit(voteKeys[0], _task, 0, 0);
        evidence.operator = stranger;
        expectViewChangeRevert(evidence, abi.encodeWithSelector(IValidatorCourt.NotValidatorAccount.selector, stranger));
    }

    // ---- certificates

    function test_ReportCertificates_TakesTheStakesOfEverybodyInBoth() public {
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(_task, 7, 14);
        prepare(reporter, evidence);
        vm.prank(reporter);
        validators.reportCertificates(evidence, SALT);
        for (uint256 i = 0; i < 4; ++i) {
            bool guilty = i == 1 || i == 2;
            assertEq(stakeOf(operator(voteKeys[i])), guilty ? 0 : VALIDATOR_STAKE, "stake");
        }
        assertShares(validators, 2 * VALIDATOR_STAKE, reporter);
    }

    function test_RevertIf_CertificatesAgree() public {
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(_task, 7, 7);
        (evidence.digestB, evidence.certificateB) = (evidence.digestA, evidence.certificateA);
        expectCertificatesRevert(evidence, abi.encodeWithSelector(IValidatorCourt.SameDigest.selector, A));
    }

    function test_RevertIf_CertificateIsBelowQuorum() public {
        expectCertificatesRevert(
            conflict(_task, 7, 6), abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, 2, 3)
        );
    }

    // ---- commitments

    function test_CommitEvidence_Emits() public {
        vm.expectEmit(address(validators));
        emit IValidatorCourt.EvidenceCommitted(A, block.number + 5);
        validators.commitEvidence(A);
        assertEq(validators.revealableFrom(A), block.number + 5, "first block");
    }

    function test_RevertIf_CommittedTwice() public {
        validators.commitEvidence(A);
        vm.expectRevert(abi.encodeWithSelector(IValidatorCourt.EvidenceAlreadyCommitted.selector, A));
        validators.commitEvidence(A);
    }

    function test_RevertIf_EvidenceNotCommitted() public {
        IValidatorCourt.DoubleVote memory vote = doubleVote(voteKeys[0], _task);
        IValidatorCourt.HiddenCommit memory change = hiddenCommit(voteKeys[0], _task, 0, 0);
        IValidatorCourt.ConflictingCertificates memory both = conflict(_task, 7, 14);
        bytes4 reason = IValidatorCourt.EvidenceNotCommitted.selector;
        vm.expectRevert(abi.encodeWithSelector(reason, validators.doubleVoteCommitment(address(this), vote, SALT)));
        validators.reportDoubleVote(vote, SALT);
        vm.expectRevert(abi.encodeWithSelector(reason, validators.viewChangeCommitment(address(this), change, SALT)));
        validators.reportViewChange(change, SALT);
        vm.expectRevert(abi.encodeWithSelector(reason, validators.certificatesCommitment(address(this), both, SALT)));
        validators.reportCertificates(both, SALT);
    }

    function test_RevertIf_RevealedTooEarly() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        prepare(reporter, evidence);
        uint256 first = validators.revealableFrom(validators.doubleVoteCommitment(reporter, evidence, SALT));
        vm.roll(first - 1);
        vm.expectRevert(abi.encodeWithSelector(IValidatorCourt.RevealTooEarly.selector, first));
        vm.prank(reporter);
        validators.reportDoubleVote(evidence, SALT);
    }

    function _punished(IValidatorCourt.HiddenCommit memory evidence) private {
        prepare(reporter, evidence);
        vm.prank(reporter);
        validators.reportViewChange(evidence, SALT);
        assertEq(stakeOf(evidence.operator), 0, "stake");
    }
}
