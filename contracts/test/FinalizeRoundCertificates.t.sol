// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";
import {ProofOfTraining} from "../src/ProofOfTraining.sol";

/// @notice Certificates that prove nothing about the outcome that they come with.
contract FinalizeRoundCertificatesTest is Fixture {
    bytes32 private constant ROOT = keccak256("rewards root");

    uint256 private _taskId;

    function setUp() public override {
        super.setUp();
        _taskId = runningTask();
    }

    function test_FinalizeRound_RevertWhen_BelowQuorum() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 2);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, 2, 3));
        pot.finalizeRound(outcome, certificate);
    }

    /// @dev The certificate is for one outcome to the last bit: every field is signed.
    function testFuzz_FinalizeRound_RevertWhen_OutcomeWasChanged(uint8 field, bytes32 value) public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD / 2);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        bytes32 before = pot.outcomeDigest(outcome);
        field %= 7;
        if (field == 0) outcome.checkpoint = value;
        if (field == 1) outcome.record = value;
        if (field == 2) outcome.rewardsRoot = value;
        if (field == 3) outcome.rewardsTotal = uint128(bound(uint256(value), 0, REWARD));
        if (field == 4) outcome.accepted = uint32(bound(uint256(value), 0, type(uint32).max));
        if (field == 5) outcome.chainReveals = uint32(bound(uint256(value), 0, type(uint32).max));
        if (field == 6) outcome.loss = uint64(bound(uint256(value), 0, type(uint64).max));
        vm.assume(pot.outcomeDigest(outcome) != before);
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_SignedForAnotherView() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        certificate.viewNumber = 1;
        _expectForeignSignatures(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_SignedForAnotherTask() public {
        uint256 other = createTask();
        join(other, miners[0]);
        join(other, miners[1]);
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 digest = pot.commitDigest(other, 0, 1, 0, pot.outcomeDigest(outcome));
        _expectForeignSignatures(outcome, IProofOfTraining.Certificate(1, 0, signAll(digest, 3)));
    }

    function test_FinalizeRound_RevertWhen_SignedForAnotherRound() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 digest = pot.commitDigest(_taskId, 1, 1, 0, pot.outcomeDigest(outcome));
        _expectForeignSignatures(outcome, IProofOfTraining.Certificate(1, 0, signAll(digest, 3)));
    }

    function test_FinalizeRound_RevertWhen_SignedForAnotherEpoch() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 digest = pot.commitDigest(_taskId, 0, 2, 0, pot.outcomeDigest(outcome));
        _expectForeignSignatures(outcome, IProofOfTraining.Certificate(1, 0, signAll(digest, 3)));
    }

    function test_FinalizeRound_RevertWhen_SignedForAnotherChain() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        vm.chainId(block.chainid + 1); // the same contract after a fork of the chain
        _expectForeignSignatures(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_SignedForAnotherContract() public {
        ProofOfTraining other = new ProofOfTraining(address(registry));
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 digest = other.commitDigest(_taskId, 0, 1, 0, pot.outcomeDigest(outcome));
        _expectForeignSignatures(outcome, IProofOfTraining.Certificate(1, 0, signAll(digest, 3)));
    }

    /// @dev Prepare votes have the same fields as commit votes: only the type tells them apart.
    function test_FinalizeRound_RevertWhen_ThePrepareVotesAreShown() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        bytes32 typeHash = keccak256("Prepare(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)");
        bytes32 vote = keccak256(abi.encode(typeHash, _taskId, 0, 1, 0, pot.outcomeDigest(outcome)));
        bytes32 domain = domainOf("ProofOfTraining", address(pot));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, vote));
        _expectForeignSignatures(outcome, IProofOfTraining.Certificate(1, 0, signAll(digest, 3)));
    }

    /// @dev The decoder does not look at a word that nothing reads: one that is too wide for its field was never signed.
    function test_FinalizeRound_RevertWhen_AWordIsTooWide() public {
        IProofOfTraining.Outcome memory outcome = outcomeOf(_taskId, ROOT, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, 3);
        bytes memory data = abi.encodeCall(pot.finalizeRound, (outcome, certificate));
        data[4 + 6 * 32] = 0x01; // the highest byte of `accepted`
        (bool success, bytes memory reason) = address(pot).call(data);
        assertFalse(success, "refused");
        // forge-lint: disable-next-line(unsafe-typecast)
        assertEq(bytes32(bytes4(reason)), bytes32(INodeRegistry.InvalidSignature.selector), "not what was signed");
    }

    // ---- helpers

    function _expectForeignSignatures(
        IProofOfTraining.Outcome memory outcome,
        IProofOfTraining.Certificate memory certificate
    ) private {
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        pot.finalizeRound(outcome, certificate);
    }
}
