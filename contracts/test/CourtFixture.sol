// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {Creator} from "./mocks/Creator.sol";
import {ICourt} from "../src/interfaces/ICourt.sol";
import {IValidatorCourt} from "../src/interfaces/IValidatorCourt.sol";
import {CreateAddress} from "../src/libraries/CreateAddress.sol";
import {Votes} from "../src/libraries/Votes.sol";
import {MinerCourt} from "../src/MinerCourt.sol";
import {ValidatorCourt} from "../src/ValidatorCourt.sol";

/// @notice Both courts behind a real registry, and everything that validators sign, hashed here on their own.
abstract contract CourtFixture is Fixture {
    uint64 internal constant ANSWER_WINDOW = 1 hours;
    uint64 internal constant APPEAL_WINDOW = 1 days;
    uint256 internal constant DEPOSIT = 0.1 ether;
    bytes32 internal constant SALT = keccak256("salt");
    bytes32 internal constant A = keccak256("outcome A");
    bytes32 internal constant B = keccak256("outcome B");
    address internal constant BURN = 0x000000000000000000000000000000000000dEaD;

    ValidatorCourt internal validators;
    MinerCourt internal mining;
    address internal reporter = account("reporter");

    function setUp() public virtual override {
        Creator creator = new Creator();
        validatorCourt = CreateAddress.compute(address(creator), 1);
        minerCourt = CreateAddress.compute(address(creator), 2);
        super.setUp();
        bytes memory network = abi.encode(registry, pot);
        creator.create(bytes.concat(codeOf("ValidatorCourt", type(ValidatorCourt).creationCode), network));
        network = bytes.concat(network, abi.encode(ANSWER_WINDOW, APPEAL_WINDOW, DEPOSIT));
        creator.create(bytes.concat(codeOf("MinerCourt", type(MinerCourt).creationCode), network));
        validators = ValidatorCourt(payable(validatorCourt));
        mining = MinerCourt(payable(minerCourt));
    }

    // ---- statements

    function slotOf(uint256 taskId) internal pure returns (Votes.Slot memory) {
        return Votes.Slot({taskId: taskId, round: 0, epoch: 1});
    }

    function typed(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainOf("ProofOfTraining", address(pot)), structHash));
    }

    function voteDigest(IValidatorCourt.Phase phase, Votes.Slot memory slot, uint64 viewNumber, bytes32 digest)
        internal
        view
        returns (bytes32)
    {
        string memory name = phase == IValidatorCourt.Phase.Propose
            ? "Propose"
            : phase == IValidatorCourt.Phase.Prepare ? "Prepare" : "Commit";
        bytes32 typeHash =
            keccak256(abi.encodePacked(name, "(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)"));
        return typed(keccak256(abi.encode(typeHash, slot.taskId, slot.round, slot.epoch, viewNumber, digest)));
    }

    function changeDigest(Votes.Slot memory slot, uint64 viewNumber, uint64 preparedView, bytes32 preparedDigest)
        internal
        view
        returns (bytes32)
    {
        bytes32 typeHash = keccak256(
            "ViewChange(uint256 taskId,uint64 round,uint64 epoch,uint64 view,uint64 preparedView,bytes32 preparedDigest)"
        );
        return typed(
            keccak256(
                abi.encode(typeHash, slot.taskId, slot.round, slot.epoch, viewNumber, preparedView, preparedDigest)
            )
        );
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    // ---- evidence

    function doubleVote(uint256 key, uint256 taskId, IValidatorCourt.Phase phase)
        internal
        view
        returns (IValidatorCourt.DoubleVote memory evidence)
    {
        evidence.operator = operator(key);
        evidence.phase = phase;
        evidence.slot = slotOf(taskId);
        (evidence.digestA, evidence.digestB) = (A, B);
        evidence.signatureA = sign(key, voteDigest(phase, evidence.slot, 0, A));
        evidence.signatureB = sign(key, voteDigest(phase, evidence.slot, 0, B));
    }

    function doubleVote(uint256 key, uint256 taskId) internal view returns (IValidatorCourt.DoubleVote memory) {
        return doubleVote(key, taskId, IValidatorCourt.Phase.Commit);
    }

    /// @dev Commit to A in view 2; a view change to view 4 that names `preparedView` and `preparedDigest`.
    function hiddenCommit(uint256 key, uint256 taskId, uint64 preparedView, bytes32 preparedDigest)
        internal
        view
        returns (IValidatorCourt.HiddenCommit memory evidence)
    {
        evidence.operator = operator(key);
        evidence.slot = slotOf(taskId);
        (evidence.commitView, evidence.commitDigest, evidence.changeView) = (2, A, 4);
        (evidence.preparedView, evidence.preparedDigest) = (preparedView, preparedDigest);
        resign(key, evidence);
    }

    function resign(uint256 key, IValidatorCourt.HiddenCommit memory evidence) internal view {
        evidence.commitSignature = sign(
            key, voteDigest(IValidatorCourt.Phase.Commit, evidence.slot, evidence.commitView, evidence.commitDigest)
        );
        evidence.changeSignature =
            sign(key, changeDigest(evidence.slot, evidence.changeView, evidence.preparedView, evidence.preparedDigest));
    }

    /// @dev Certificates over A and B in view 3 by the validators named in two bitmaps.
    function conflict(uint256 taskId, uint256 signersA, uint256 signersB)
        internal
        view
        returns (IValidatorCourt.ConflictingCertificates memory evidence)
    {
        evidence.slot = slotOf(taskId);
        evidence.viewNumber = 3;
        (evidence.digestA, evidence.digestB) = (A, B);
        evidence.certificateA = signedBy(pot.commitDigest(taskId, 0, 1, 3, A), signersA);
        evidence.certificateB = signedBy(pot.commitDigest(taskId, 0, 1, 3, B), signersB);
    }

    function signedBy(bytes32 digest, uint256 signers) internal view returns (bytes memory certificate) {
        for (uint256 i = 0; i < voteKeys.length; ++i) {
            if (signers >> i & 1 == 1) certificate = bytes.concat(certificate, entry(digest, i));
        }
    }

    // ---- reports, with their commitments

    function ready(address who, bytes32 commitment) internal {
        vm.prank(who);
        validators.commitEvidence(commitment);
        vm.roll(validators.revealableFrom(commitment));
    }

    function report(address who, IValidatorCourt.DoubleVote memory evidence) internal {
        prepare(who, evidence);
        vm.prank(who);
        validators.reportDoubleVote(evidence, SALT);
    }

    function prepare(address who, IValidatorCourt.DoubleVote memory evidence) internal {
        bytes32 commitment = validators.doubleVoteCommitment(who, evidence, SALT);
        if (validators.revealableFrom(commitment) == 0) ready(who, commitment);
    }

    function prepare(address who, IValidatorCourt.HiddenCommit memory evidence) internal {
        bytes32 commitment = validators.viewChangeCommitment(who, evidence, SALT);
        if (validators.revealableFrom(commitment) == 0) ready(who, commitment);
    }

    function prepare(address who, IValidatorCourt.ConflictingCertificates memory evidence) internal {
        bytes32 commitment = validators.certificatesCommitment(who, evidence, SALT);
        if (validators.revealableFrom(commitment) == 0) ready(who, commitment);
    }

    function expectDoubleVoteRevert(IValidatorCourt.DoubleVote memory evidence, bytes memory reason) internal {
        prepare(reporter, evidence);
        vm.expectRevert(reason);
        vm.prank(reporter);
        validators.reportDoubleVote(evidence, SALT);
    }

    function expectViewChangeRevert(IValidatorCourt.HiddenCommit memory evidence, bytes memory reason) internal {
        prepare(reporter, evidence);
        vm.expectRevert(reason);
        vm.prank(reporter);
        validators.reportViewChange(evidence, SALT);
    }

    function expectCertificatesRevert(IValidatorCourt.ConflictingCertificates memory evidence, bytes memory reason)
        internal
    {
        prepare(reporter, evidence);
        vm.expectRevert(reason);
        vm.prank(reporter);
        validators.reportCertificates(evidence, SALT);
    }

    /// @dev Who gets what of `taken`.
    function assertShares(ICourt court, uint256 taken, address bountyTo) internal view {
        uint256 bounty = bountyTo == address(0) ? 0 : taken / 20;
        if (bountyTo != address(0)) assertEq(court.owedTo(bountyTo), bounty, "bounty");
        assertEq(court.owedTo(owner), taken / 4, "compensation");
        assertEq(BURN.balance, taken - bounty - taken / 4, "burned");
        assertEq(address(court).balance, bounty + taken / 4, "held");
    }

    function stakeOf(address who) internal view returns (uint256) {
        return registry.node(who).stake;
    }
}
