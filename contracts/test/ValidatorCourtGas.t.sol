// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CourtFixture} from "./CourtFixture.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {IBlsErrors} from "../src/interfaces/IBlsErrors.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IValidatorCourt} from "../src/interfaces/IValidatorCourt.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";

/// @notice Evidence of real size, by both schemes, and what it costs.
contract ValidatorCourtGasTest is CourtFixture {
    /// @dev EIP-7825 caps a transaction.
    uint256 private constant MOST_GAS = 1 << 24;

    function test_Gas_DoubleVote() public {
        bootEpoch(4);
        _registerBlsKey(voteKeys[1]);
        report(reporter, doubleVote(voteKeys[0], 1));
        _print("double vote, ECDSA");
        IValidatorCourt.DoubleVote memory evidence = _blsDoubleVote(voteKeys[1]);
        report(reporter, evidence);
        _print("double vote, BLS");
        assertEq(stakeOf(evidence.operator), 0, "stake");
    }

    function test_Gas_ViewChange() public {
        bootEpoch(4);
        IValidatorCourt.HiddenCommit memory evidence = hiddenCommit(voteKeys[0], 1, 0, 0);
        prepare(reporter, evidence);
        vm.prank(reporter);
        validators.reportViewChange(evidence, SALT);
        _print("hidden commit, ECDSA");
    }

    function test_RevertIf_BlsVoteIsAnothersOrOfAnotherDomain() public {
        bootEpoch(4);
        _registerBlsKey(voteKeys[0]);
        _registerBlsKey(voteKeys[1]);
        IValidatorCourt.DoubleVote memory evidence = _blsDoubleVote(voteKeys[0]);
        evidence.operator = operator(voteKeys[1]);
        _expectNotSigned(evidence);
        evidence = _blsDoubleVote(voteKeys[0]);
        evidence.viewNumber = 1;
        _expectNotSigned(evidence);
        evidence = _blsDoubleVote(voteKeys[0]);
        bytes32 digest = voteDigest(evidence.phase, evidence.slot, 0, A);
        evidence.signatureA = BlsSigner.sign(Bls12381.POSSESSION, digest, _secret(voteKeys[0]));
        _expectNotSigned(evidence);
        evidence.signatureA = new bytes(128);
        expectDoubleVoteRevert(evidence, abi.encodeWithSelector(IBlsErrors.InfiniteBlsSignature.selector));
    }

    function test_Gas_CertificatesOf4() public {
        _convictAll(4);
    }

    function test_Gas_CertificatesOf7() public {
        _convictAll(7);
    }

    function test_Gas_CertificatesOf100() public {
        _convictAll(100);
    }

    /// @dev All of 50 by BLS, with f absent from each certificate, others from the one than from the other.
    function test_Gas_CertificatesOf50ByBls() public {
        for (uint256 i = 0; i < 50; ++i) {
            uint256 key = _voteKey(i);
            registerValidator(key);
            _registerBlsKey(key);
        }
        registry.advanceEpoch("");
        address[] memory keys = registry.epochValidators(1);
        assertEq(uint256(registry.epochInfo(1).scheme), uint256(INodeRegistry.Scheme.Bls), "scheme");
        uint256 all = (1 << 50) - 1;
        uint256 signersA = all >> 16;
        uint256 signersB = all & ~uint256(0xffff);
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(1, 0, 0);
        evidence.certificateA = _blsCertificate(keys, pot.commitDigest(1, 0, 1, 3, A), signersA);
        evidence.certificateB = _blsCertificate(keys, pot.commitDigest(1, 0, 1, 3, B), signersB);
        _reportAll(evidence);
        _print("certificates of 50, BLS, 16 absent from each, 18 slashed");
        for (uint256 i = 0; i < 50; ++i) {
            bool guilty = (signersA & signersB) >> i & 1 == 1;
            assertEq(stakeOf(registry.operatorOf(keys[i])), guilty ? 0 : VALIDATOR_STAKE, "stake");
        }
    }

    // ---- internal

    /// @dev Everybody has signed both: the most that can be slashed at once.
    function _convictAll(uint256 size) private {
        bootEpoch(size);
        _reportAll(conflict(1, type(uint256).max, type(uint256).max));
        _print(string.concat("certificates, ECDSA, all slashed, of ", vm.toString(size)));
        for (uint256 i = 0; i < size; ++i) {
            assertEq(stakeOf(operator(voteKeys[i])), 0, "stake");
        }
        assertEq(validators.owedTo(reporter), size * VALIDATOR_STAKE / 20, "bounty");
    }

    function _reportAll(IValidatorCourt.ConflictingCertificates memory evidence) private {
        prepare(reporter, evidence);
        vm.prank(reporter);
        validators.reportCertificates(evidence, SALT);
    }

    /// @dev The call alone, or, with --isolate, the whole transaction.
    function _print(string memory what) private {
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint(what, gas);
        assertLe(gas, MOST_GAS, "fits a transaction");
    }

    function _secret(uint256 key) private pure returns (uint256) {
        return uint256(keccak256(abi.encode("BLS secret", key))) % BlsSigner.ORDER;
    }

    function _registerBlsKey(uint256 key) private {
        address who = operator(key);
        bytes memory point = BlsSigner.publicKey(_secret(key));
        bytes memory proof = BlsSigner.sign(Bls12381.POSSESSION, ownershipDigest(who), _secret(key));
        vm.prank(who);
        registry.registerBlsKey(point, proof);
    }

    function _blsDoubleVote(uint256 key) private view returns (IValidatorCourt.DoubleVote memory evidence) {
        evidence = doubleVote(key, 1);
        bytes32 digestA = voteDigest(evidence.phase, evidence.slot, 0, A);
        bytes32 digestB = voteDigest(evidence.phase, evidence.slot, 0, B);
        evidence.signatureA = BlsSigner.sign(Bls12381.VOTE, digestA, _secret(key));
        evidence.signatureB = BlsSigner.sign(Bls12381.VOTE, digestB, _secret(key));
    }

    function _blsCertificate(address[] memory keys, bytes32 digest, uint256 signers)
        private
        view
        returns (bytes memory)
    {
        bytes memory absentees = new bytes((keys.length + 7) / 8);
        uint256 secret;
        for (uint256 i = 0; i < keys.length; ++i) {
            if (signers >> i & 1 == 0) absentees[i / 8] |= bytes1(uint8(1)) << (i % 8);
            else secret = addmod(secret, _secretOf(keys[i]), BlsSigner.ORDER);
        }
        return bytes.concat(absentees, BlsSigner.sign(Bls12381.VOTE, digest, secret));
    }

    function _secretOf(address voteKey) private pure returns (uint256) {
        uint256 i = 0;
        while (vm.addr(_voteKey(i)) != voteKey) ++i;
        return _secret(_voteKey(i));
    }

    /// @dev As the fixture makes them.
    function _voteKey(uint256 index) private pure returns (uint256) {
        return uint256(keccak256(abi.encode("vote key", index)));
    }

    function _expectNotSigned(IValidatorCourt.DoubleVote memory evidence) private {
        prepare(reporter, evidence);
        vm.expectPartialRevert(IValidatorCourt.NotSignedByBlsKey.selector);
        vm.prank(reporter);
        validators.reportDoubleVote(evidence, SALT);
    }
}
