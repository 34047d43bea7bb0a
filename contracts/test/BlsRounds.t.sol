// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsEpochFixture} from "./BlsEpochFixture.sol";
import {IBlsErrors} from "../src/interfaces/IBlsErrors.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Rounds that an epoch certifies by BLS.
contract BlsRoundsTest is BlsEpochFixture {
    uint256 private constant SIZE = 49;
    uint256 private constant FAULTY = 16;

    function setUp() public override {
        super.setUp();
        bootBlsEpoch(SIZE);
    }

    function test_FinalizeRound_ByBls_NobodyAbsent() public {
        _finalize(0);
    }

    function test_FinalizeRound_ByBls_AThirdAbsent() public {
        _finalize((uint256(1) << FAULTY) - 1);
    }

    function testFuzz_FinalizeRound_ByBls_AnyAbsentees(uint256 seed) public {
        uint256 absentees;
        for (uint256 i = 0; i < FAULTY; ++i) {
            absentees |= uint256(1) << (uint256(keccak256(abi.encode(seed, i))) % SIZE);
        }
        _finalize(absentees);
    }

    function test_FinalizeRound_ByBls_RevertWhen_BelowQuorum() public {
        (IProofOfTraining.Outcome memory outcome, IProofOfTraining.Certificate memory certificate) =
            _certified((uint256(1) << (FAULTY + 1)) - 1);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, SIZE - FAULTY - 1, SIZE - FAULTY)
        );
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_ByBls_RevertWhen_AnotherOutcome() public {
        (IProofOfTraining.Outcome memory outcome, IProofOfTraining.Certificate memory certificate) = _certified(0);
        outcome.record = keccak256("another record");
        vm.expectPartialRevert(IBlsErrors.InvalidAggregateSignature.selector);
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_ByBls_RevertWhen_AnotherView() public {
        (IProofOfTraining.Outcome memory outcome, IProofOfTraining.Certificate memory certificate) = _certified(0);
        certificate.viewNumber = 1;
        vm.expectPartialRevert(IBlsErrors.InvalidAggregateSignature.selector);
        pot.finalizeRound(outcome, certificate);
    }

    function test_FinalizeRound_RevertWhen_EcdsaCertificateInABlsEpoch() public {
        uint256 taskId = runningTask();
        IProofOfTraining.Outcome memory outcome = outcomeOf(taskId, 0, REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, quorum());
        uint256 length = certificate.signatures.length;
        vm.expectRevert(
            abi.encodeWithSelector(IBlsErrors.InvalidBlsCertificateLength.selector, length, (SIZE + 7) / 8 + 128)
        );
        pot.finalizeRound(outcome, certificate);
    }

    function _finalize(uint256 absentees) private {
        (IProofOfTraining.Outcome memory outcome, IProofOfTraining.Certificate memory certificate) =
            _certified(absentees);
        pot.finalizeRound(outcome, certificate);
        assertEq(pot.task(outcome.taskId).head, pot.outcomeDigest(outcome), "head");
        uint256 signers = registry.verifyCertificate(
            2, pot.commitDigest(outcome.taskId, outcome.round, 2, 0, pot.outcomeDigest(outcome)), certificate.signatures
        );
        assertEq(signers, ~absentees & ((uint256(1) << SIZE) - 1), "signers");
    }

    function _certified(uint256 absentees)
        private
        returns (IProofOfTraining.Outcome memory outcome, IProofOfTraining.Certificate memory certificate)
    {
        outcome = outcomeOf(runningTask(), keccak256("root"), REWARD);
        certificate = blsCertificate(outcome, absentees);
    }
}
