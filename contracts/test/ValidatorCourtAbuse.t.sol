// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CourtFixture} from "./CourtFixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";
import {IValidatorCourt} from "../src/interfaces/IValidatorCourt.sol";

/// @notice What reporters, culprits and strangers could try. The numbers are those of the list of abuse cases.
contract ValidatorCourtAbuseTest is CourtFixture {
    uint256 private _task;

    function setUp() public override {
        super.setUp();
        _task = runningTask();
    }

    // ---- 6: malleable signatures

    function test_RevertIf_SignatureIsMalleated() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        bytes32 digest = voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, 0, A);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(voteKeys[0], digest);
        evidence.signatureA = abi.encodePacked(r, bytes32(SECP256K1_N - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        _expectNotSigned(evidence);
    }

    /// @dev A second encoding of one vote makes no second vote.
    function test_RevertIf_TwoEncodingsOfOneVote() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        bytes32 digest = voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, 0, A);
        (bytes32 r, bytes32 vs) = vm.signCompact(voteKeys[0], digest);
        (evidence.digestB, evidence.signatureB) = (A, abi.encodePacked(r, vs));
        expectDoubleVoteRevert(evidence, abi.encodeWithSelector(IValidatorCourt.SameDigest.selector, A));
    }

    function testFuzz_ReportDoubleVote_RefusesJunk(bytes calldata junk) public {
        vm.assume(junk.length != 128);
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        evidence.signatureA = junk;
        _expectNotSigned(evidence);
    }

    function test_RevertIf_NoBlsKey() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        evidence.signatureA = new bytes(128);
        expectDoubleVoteRevert(evidence, abi.encodeWithSelector(IValidatorCourt.NoBlsKey.selector, evidence.operator));
    }

    // ---- 11: replay across chain, contract, task, round, epoch, view, phase

    function testFuzz_ReportDoubleVote_ChecksEveryField(uint256 field, uint256 change) public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        field = bound(field, 0, 6);
        change = bound(change, 1, type(uint64).max - 10);
        if (field == 0) evidence.slot.taskId += change;
        // forge-lint: disable-next-line(unsafe-typecast)
        else if (field == 1) evidence.slot.round += uint64(change); // bounded above
        // forge-lint: disable-next-line(unsafe-typecast)
        else if (field == 2) evidence.slot.epoch += uint64(change); // bounded above
        // forge-lint: disable-next-line(unsafe-typecast)
        else if (field == 3) evidence.viewNumber += uint64(change); // bounded above
        else if (field == 4) evidence.digestA = bytes32(uint256(A) ^ change);
        else if (field == 5) evidence.signatureA[change % 64] ^= 0x01;
        else evidence.phase = IValidatorCourt.Phase(change % 2); // a Commit as Propose or Prepare
        _expectNotSigned(evidence);
    }

    function testFuzz_ReportViewChange_ChecksEveryField(uint256 field, uint64 change) public {
        IValidatorCourt.HiddenCommit memory evidence = hiddenCommit(voteKeys[0], _task, 1, B);
        field = bound(field, 0, 6);
        change = uint64(bound(change, 1, type(uint64).max - 10));
        if (field == 0) evidence.slot.taskId += change;
        else if (field == 1) evidence.slot.round += change;
        else if (field == 2) evidence.slot.epoch += change;
        else if (field == 3) evidence.commitDigest = bytes32(uint256(A) ^ change);
        else if (field == 4) evidence.changeView += change;
        else if (field == 5) evidence.preparedDigest = 0;
        else evidence.preparedView = 0;
        prepare(reporter, evidence);
        vm.expectPartialRevert(IValidatorCourt.NotSigned.selector);
        vm.prank(reporter);
        validators.reportViewChange(evidence, SALT);
    }

    function testFuzz_ReportCertificates_ChecksEveryField(uint256 field, uint64 change) public {
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(_task, 7, 14);
        field = bound(field, 0, 4);
        change = uint64(bound(change, 1, type(uint64).max - 10));
        if (field == 0) evidence.slot.taskId += change;
        else if (field == 1) evidence.slot.round += change;
        else if (field == 2) evidence.viewNumber += change;
        else if (field == 3) evidence.digestA = bytes32(uint256(A) ^ change);
        else evidence.certificateB[2 + change % 64] ^= 0x01;
        prepare(reporter, evidence);
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        vm.prank(reporter);
        validators.reportCertificates(evidence, SALT);
    }

    function test_RevertIf_EvidenceIsOfAnotherEpoch() public {
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(_task, 7, 14);
        evidence.slot.epoch = 2;
        expectCertificatesRevert(evidence, abi.encodeWithSelector(INodeRegistry.UnknownEpoch.selector, 2));
    }

    function test_RevertIf_EvidenceIsOfAnotherChain() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        IValidatorCourt.ConflictingCertificates memory both = conflict(_task, 7, 14);
        vm.chainId(block.chainid + 1); // a fork: the court goes on with its code and storage
        _expectNotSigned(evidence);
        prepare(reporter, both);
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        vm.prank(reporter);
        validators.reportCertificates(both, SALT);
    }

    function test_RevertIf_EvidenceIsOfAnotherContract() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Commit(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)"),
                _task,
                uint64(0),
                uint64(1),
                uint64(0),
                A
            )
        );
        bytes32 domain = domainOf("ProofOfTraining", address(validators));
        evidence.signatureA = sign(voteKeys[0], keccak256(abi.encodePacked(hex"1901", domain, structHash)));
        _expectNotSigned(evidence);
    }

    function test_RevertIf_PrepareIsPresentedAsCommit() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        evidence.signatureA = sign(voteKeys[0], voteDigest(IValidatorCourt.Phase.Prepare, evidence.slot, 0, A));
        _expectNotSigned(evidence);
        IValidatorCourt.HiddenCommit memory hidden = hiddenCommit(voteKeys[0], _task, 0, 0);
        hidden.commitSignature =
            sign(voteKeys[0], voteDigest(IValidatorCourt.Phase.Prepare, hidden.slot, hidden.commitView, A));
        prepare(reporter, hidden);
        vm.expectPartialRevert(IValidatorCourt.NotSigned.selector);
        vm.prank(reporter);
        validators.reportViewChange(hidden, SALT);
    }

    // ---- 14: a certificate that comes second is evidence

    function test_ReportCertificates_AfterOneOfThemMadeTheRoundFinal() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_task, keccak256("root"), 1);
        finalizeWith(outcome);
        bytes32 digest = pot.outcomeDigest(outcome);
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(_task, 7, 14);
        (evidence.viewNumber, evidence.digestA) = (0, digest);
        evidence.certificateA = signedBy(pot.commitDigest(_task, 0, 1, 0, digest), 7);
        evidence.certificateB = signedBy(pot.commitDigest(_task, 0, 1, 0, B), 14);
        prepare(reporter, evidence);
        vm.prank(reporter);
        validators.reportCertificates(evidence, SALT);
        assertShares(validators, 2 * VALIDATOR_STAKE, reporter);
    }

    // ---- 17: the culprit leaves

    function test_ReportDoubleVote_ReachesAnUnbondingCulpritUntilHeWithdraws() public {
        uint256 snapshot = block.timestamp;
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        vm.prank(evidence.operator);
        registry.startUnbonding();
        vm.warp(snapshot + UNBONDING + 1); // he could have gone already
        report(reporter, evidence);
        assertEq(stakeOf(evidence.operator), 0, "stake");
    }

    function test_RevertIf_CulpritHasWithdrawn() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        _leave(voteKeys[0]);
        expectDoubleVoteRevert(
            evidence, abi.encodeWithSelector(IValidatorCourt.NotValidatorAccount.selector, evidence.operator)
        );
    }

    function test_RevertIf_CulpritIsBackWithAnotherKey() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        _leave(voteKeys[0]);
        uint256 fresh = _comeBack(evidence.operator);
        bytes32 digest = voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, 0, A);
        expectDoubleVoteRevert(
            evidence, abi.encodeWithSelector(IValidatorCourt.NotSigned.selector, vm.addr(fresh), digest)
        );
    }

    function test_ReportCertificates_PassesOverThoseWhoHaveGone() public {
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(_task, 7, 7);
        _leave(voteKeys[0]);
        _comeBack(operator(voteKeys[0]));
        _leave(voteKeys[1]);
        prepare(reporter, evidence);
        vm.prank(reporter);
        validators.reportCertificates(evidence, SALT);
        assertEq(stakeOf(operator(voteKeys[0])), VALIDATOR_STAKE, "the new registration is untouched");
        assertEq(stakeOf(operator(voteKeys[2])), 0, "who stayed");
        assertShares(validators, VALIDATOR_STAKE, reporter);
    }

    function test_RevertIf_NobodyIsLeftToSlash() public {
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(_task, 7, 7);
        for (uint256 i = 0; i < 3; ++i) {
            _leave(voteKeys[i]);
        }
        expectCertificatesRevert(evidence, abi.encodeWithSelector(IValidatorCourt.NothingToSlash.selector));
    }

    // ---- 18: evidence used twice

    function test_RevertIf_EvidenceIsReplayed() public {
        bytes memory reason = abi.encodeWithSelector(IValidatorCourt.NothingToSlash.selector);
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        report(reporter, evidence);
        expectDoubleVoteRevert(evidence, reason);
        // nor can he who has lost all be bonded again by adding to his stake, for other evidence to take
        vm.deal(evidence.operator, 1 ether);
        vm.expectPartialRevert(INodeRegistry.NodeUnbonding.selector);
        vm.prank(evidence.operator);
        registry.addStake{value: 1 ether}();
        expectViewChangeRevert(hiddenCommit(voteKeys[0], _task, 0, 0), reason);
    }

    // ---- 19: an honest vote in a later view

    function test_RevertIf_VotesAreOfDifferentViews() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        evidence.signatureB = sign(voteKeys[0], voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, 1, B));
        expectDoubleVoteRevert(
            evidence,
            abi.encodeWithSelector(
                IValidatorCourt.NotSigned.selector,
                vm.addr(voteKeys[0]),
                voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, 0, B)
            )
        );
    }

    // ---- 20: the bounty

    function test_RevertIf_ReporterIsFrontRun() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        prepare(reporter, evidence);
        // the thief has seen the reveal in a pending transaction: his commitment is too young, and the other is not his
        bytes32 theirs = validators.doubleVoteCommitment(stranger, evidence, SALT);
        vm.expectRevert(abi.encodeWithSelector(IValidatorCourt.EvidenceNotCommitted.selector, theirs));
        vm.prank(stranger);
        validators.reportDoubleVote(evidence, SALT);
        vm.prank(stranger);
        validators.commitEvidence(theirs);
        vm.expectPartialRevert(IValidatorCourt.RevealTooEarly.selector);
        vm.prank(stranger);
        validators.reportDoubleVote(evidence, SALT);
        report(reporter, evidence);
        assertEq(validators.owedTo(reporter), 0.5 ether, "bounty");
        assertEq(validators.owedTo(stranger), 0, "thief");
    }

    function test_RevertIf_CommitmentIsOfOtherEvidence() public {
        IValidatorCourt.DoubleVote memory blank;
        ready(reporter, validators.doubleVoteCommitment(reporter, blank, SALT));
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        bytes32 commitment = validators.doubleVoteCommitment(reporter, evidence, SALT);
        vm.expectRevert(abi.encodeWithSelector(IValidatorCourt.EvidenceNotCommitted.selector, commitment));
        vm.prank(reporter);
        validators.reportDoubleVote(evidence, SALT);
    }

    /// @dev Who repeats a commitment before its author only spares him the gas.
    function test_CommitEvidence_ByAnotherDoesNotDelayTheReporter() public {
        IValidatorCourt.DoubleVote memory evidence = doubleVote(voteKeys[0], _task);
        ready(stranger, validators.doubleVoteCommitment(reporter, evidence, SALT));
        vm.prank(reporter);
        validators.reportDoubleVote(evidence, SALT);
        assertEq(validators.owedTo(reporter), 0.5 ether, "bounty");
    }

    function test_SelfReport_RecoversThirtyPercentAtMost() public {
        uint256 key = voteKeys[0];
        address culprit = operator(key);
        vm.deal(culprit, BUDGET);
        vm.prank(culprit);
        uint256 own = pot.createTask{value: BUDGET}(defaultParams());
        report(culprit, doubleVote(key, own));
        assertEq(validators.owedTo(culprit), VALIDATOR_STAKE * 3 / 10, "reporter and owner at once");
        assertEq(BURN.balance, VALIDATOR_STAKE * 7 / 10, "burned");
    }

    // ---- internal

    function _expectNotSigned(IValidatorCourt.DoubleVote memory evidence) private {
        prepare(reporter, evidence);
        vm.expectPartialRevert(IValidatorCourt.NotSigned.selector);
        vm.prank(reporter);
        validators.reportDoubleVote(evidence, SALT);
    }

    function _leave(uint256 key) private {
        address who = operator(key);
        vm.prank(who);
        registry.startUnbonding();
        vm.warp(registry.node(who).unbondingAt);
        vm.prank(who);
        registry.withdrawStake();
    }

    function _comeBack(address who) private returns (uint256 key) {
        key = uint256(keccak256(abi.encode("fresh key", who)));
        bytes memory proof = possession(key, who);
        vm.prank(who);
        registry.registerValidator{value: VALIDATOR_STAKE}(vm.addr(key), proof, "http://127.0.0.1:9000");
    }
}
