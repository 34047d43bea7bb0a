// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsFixture, VmMock} from "./BlsFixture.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {IBlsErrors} from "../src/interfaces/IBlsErrors.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";
import {Quorum} from "../src/libraries/Quorum.sol";

/// @notice Certificates of a set: every quorum of it is accepted, and nothing else.
contract BlsCertificatesTest is BlsFixture {
    uint256 private constant SIZE = 20;
    uint256 private constant QUORUM = 14;
    /// @dev Most keys that fit into the code of one contract (EIP-170), with their sum and a STOP.
    uint256 private constant LARGEST = 126;

    address private _blob;

    function setUp() public override {
        super.setUp();
        _blob = deployEpoch(SIZE);
        assertEq(Quorum.quorum(SIZE), QUORUM, "quorum");
    }

    // ---- accepted

    function testFuzz_Verify_AcceptsEveryQuorum(uint256 seed, bytes32 digest) public view {
        uint256 absentees = _subset(seed, bound(seed, 0, SIZE - QUORUM));
        uint256 signers = _verify(digest, certify(SIZE, absentees, digest));
        assertEq(signers, allOf(SIZE) & ~absentees, "signers");
    }

    /// @dev Every length of the bitmap that a set in the code of one contract can have, and every padding.
    function test_Verify_AcceptsSetsOfAnySize() public {
        for (uint256 size = 1; size <= LARGEST; size += size < 18 ? 1 : 12) {
            address blob = deployEpoch(size);
            for (uint256 absent = 0; absent <= Quorum.maxFaulty(size); absent += 1 + size / 8) {
                uint256 absentees = spread(size, absent);
                bytes memory certificate = certify(size, absentees, DIGEST);
                uint256 signers = harness.verifyBls(blob, OFFSET, size, size - absent, DIGEST, certificate);
                assertEq(signers, allOf(size) & ~absentees, "signers");
            }
        }
    }

    function test_Verify_AcceptsTheLargestSetOfOneContract() public {
        address blob = deployEpoch(LARGEST);
        assertLe(blob.code.length, 24_576, "EIP-170");
        assertGe(blob.code.length + 192, 24_576, "no key more fits");
        uint256 absentees = 1 | (uint256(1) << (LARGEST - 1));
        bytes memory certificate = certify(LARGEST, absentees, DIGEST);
        assertEq(
            harness.verifyBls(blob, OFFSET, LARGEST, LARGEST - 2, DIGEST, certificate),
            allOf(LARGEST) & ~absentees,
            "signers"
        );
    }

    /// @dev Every bit of the word finds its key: all but one absent, then only that one. The code is larger than EIP-170
    ///      allows, which etching does not mind.
    function test_Verify_FindsTheKeyOfEveryBit() public {
        uint256 size = 256;
        bytes[] memory keys = new bytes[](size);
        uint256 all = 0;
        for (uint256 i = 0; i < size; ++i) {
            keys[i] = BlsSigner.pack(BlsSigner.publicKey(secretOf(i)));
            all = addmod(all, secretOf(i), BlsSigner.ORDER);
        }
        address blob = account("epoch of 256");
        vm.etch(blob, harness.aggregate(keys));
        for (uint256 i = 0; i < size; ++i) {
            uint256 others = addmod(all, BlsSigner.ORDER - secretOf(i), BlsSigner.ORDER);
            bytes memory signature = BlsSigner.sign(Bls12381.VOTE, DIGEST, others);
            bytes memory certificate = bytes.concat(bitmap(size, uint256(1) << i), signature);
            assertEq(harness.verifyBls(blob, 0, size, 255, DIGEST, certificate), ~(uint256(1) << i), "one absent");
        }
        bytes memory alone =
            bytes.concat(bitmap(size, ~(uint256(1) << 77)), BlsSigner.sign(Bls12381.VOTE, DIGEST, secretOf(77)));
        assertEq(harness.verifyBls(blob, 0, size, 1, DIGEST, alone), uint256(1) << 77, "one present");
    }

    function testFuzz_Verify_ReadsFromAnyOffset(uint256 offset) public {
        offset = bound(offset, 0, 2_600);
        bytes memory code = _blob.code; // with its STOP
        address blob = harness.deploy(bytes.concat(new bytes(offset), code));
        uint256 absentees = spread(SIZE, 3);
        bytes memory certificate = certify(SIZE, absentees, DIGEST);
        assertEq(
            harness.verifyBls(blob, offset + OFFSET, SIZE, QUORUM, DIGEST, certificate),
            allOf(SIZE) & ~absentees,
            "signers"
        );
    }

    // ---- refused: abuse case 1, the same signature twice

    /// @dev The bitmap cannot name anybody twice, and who signs twice does not stand in for an absentee.
    function test_Verify_RevertWhen_OneSignsForAnother() public {
        uint256 secret = secretOf(1); // instead of validator 0
        for (uint256 i = 1; i < SIZE; ++i) {
            secret = addmod(secret, secretOf(i), BlsSigner.ORDER);
        }
        _expectInvalid(0, bytes.concat(bitmap(SIZE, 0), BlsSigner.sign(Bls12381.VOTE, DIGEST, secret)));
    }

    function test_Verify_RevertWhen_AnAbsenteeIsNotNamed() public {
        bytes memory signature = _signatureOf(certify(SIZE, uint256(1) << 7, DIGEST));
        _expectInvalid(0, bytes.concat(bitmap(SIZE, 0), signature));
        _expectInvalid(uint256(1) << 8, bytes.concat(bitmap(SIZE, uint256(1) << 8), signature));
    }

    // ---- refused: abuse case 2, bits behind the end

    function test_Verify_RevertWhen_AnAbsenteeIsOutOfRange() public {
        bytes memory signature = _signatureOf(certify(SIZE, 0, DIGEST));
        for (uint256 i = SIZE; i < 24; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IBlsErrors.AbsenteeOutOfRange.selector, uint256(1) << i, SIZE));
            _verify(DIGEST, bytes.concat(bitmap(24, uint256(1) << i), signature));
        }
    }

    function test_Verify_RevertWhen_TheSetIsTooLarge() public {
        bytes memory certificate = bytes.concat(new bytes(33), _signatureOf(certify(SIZE, 0, DIGEST)));
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsSetTooLarge.selector, 257, 256));
        harness.verifyBls(_blob, OFFSET, 257, QUORUM, DIGEST, certificate);
    }

    // ---- refused: abuse case 3, too few

    function test_Verify_RevertWhen_OneIsMissingForTheQuorum() public {
        uint256 absentees = spread(SIZE, SIZE - QUORUM + 1);
        bytes memory certificate = certify(SIZE, absentees, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, QUORUM - 1, QUORUM));
        _verify(DIGEST, certificate);
    }

    /// @dev Even if a registry asked for a quorum of nobody.
    function test_Verify_RevertWhen_TheSetIsEmpty() public {
        address empty = harness.deploy(hex"00");
        bytes memory certificate = INFINITY_G1;
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.verifyBls(empty, OFFSET, 0, 0, DIGEST, certificate);
    }

    function test_Verify_RevertWhen_EverybodyIsAbsent() public {
        bytes memory certificate = bytes.concat(bitmap(SIZE, allOf(SIZE)), INFINITY_G1);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.verifyBls(_blob, OFFSET, SIZE, 0, DIGEST, certificate);
    }

    function test_Verify_RevertWhen_TheEpochDoesNotExist() public {
        bytes memory certificate = certify(SIZE, 0, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.verifyBls(account("nobody"), OFFSET, SIZE, QUORUM, DIGEST, certificate);
    }

    // ---- refused: abuse cases 8 and 9, infinity and negation

    function test_Verify_RevertWhen_TheSignatureIsInfinite() public {
        bytes memory certificate = bytes.concat(bitmap(SIZE, 0), INFINITY_G1);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsSignature.selector));
        _verify(DIGEST, certificate);
    }

    function test_Aggregate_RevertWhen_KeysCancelEachOther() public {
        bytes[] memory keys = new bytes[](2);
        keys[0] = BlsSigner.pack(BlsSigner.publicKey(5));
        keys[1] = BlsSigner.pack(BlsSigner.publicKey(BlsSigner.ORDER - 5));
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.aggregate(keys);
    }

    /// @dev What is left of a set may be infinite though its sum is not: here 5 and -5 are present, and 7 is absent.
    function test_Verify_RevertWhen_ThePresentKeysCancelEachOther() public {
        bytes[] memory keys = new bytes[](3);
        keys[0] = BlsSigner.pack(BlsSigner.publicKey(5));
        keys[1] = BlsSigner.pack(BlsSigner.publicKey(7));
        keys[2] = BlsSigner.pack(BlsSigner.publicKey(BlsSigner.ORDER - 5));
        address blob = harness.deploy(harness.aggregate(keys));
        bytes memory certificate = bytes.concat(bitmap(3, 2), INFINITY_G1);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.verifyBls(blob, 0, 3, 2, DIGEST, certificate);
    }

    /// @dev The warning of Bls12381: who registers keys that sum to zero is counted whenever anybody likes. It takes the
    ///      secrets of all of them, so the victims are the culprits themselves.
    function test_Verify_CountsColludersWhoseKeysSumToZero() public {
        bytes[] memory keys = new bytes[](4);
        keys[0] = BlsSigner.pack(BlsSigner.publicKey(secretOf(0)));
        keys[1] = BlsSigner.pack(BlsSigner.publicKey(5));
        keys[2] = BlsSigner.pack(BlsSigner.publicKey(7));
        keys[3] = BlsSigner.pack(BlsSigner.publicKey(BlsSigner.ORDER - 12));
        address blob = harness.deploy(harness.aggregate(keys));
        bytes memory certificate = bytes.concat(bitmap(4, 0), BlsSigner.sign(Bls12381.VOTE, DIGEST, secretOf(0)));
        assertEq(harness.verifyBls(blob, 0, 4, 3, DIGEST, certificate), 15, "all counted");
    }

    // ---- refused: abuse case 10, malformed

    function test_Verify_RevertWhen_LengthIsOff() public {
        bytes memory certificate = certify(SIZE, 0, DIGEST);
        uint256 expected = certificate.length;
        assertEq(expected, 131, "3 bytes of bitmap, 128 of signature");
        bytes[3] memory wrong =
            [bytes.concat(certificate, hex"00"), _signatureOf(certificate), bytes.concat(hex"00", certificate)];
        for (uint256 i = 0; i < wrong.length; ++i) {
            uint256 length = wrong[i].length;
            vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsCertificateLength.selector, length, expected));
            _verify(DIGEST, wrong[i]);
        }
    }

    /// @dev (0, 2) is on the curve and of order 3: the signature would satisfy the pairing equation and be a second encoding.
    function test_Verify_RevertWhen_SignatureIsOffTheSubgroup() public {
        bytes memory low = abi.encodePacked(new bytes(96), uint256(2));
        bytes memory signature = BlsSigner.add(_signatureOf(certify(SIZE, 0, DIGEST)), low);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsPrecompileFailed.selector, address(0x0f)));
        _verify(DIGEST, bytes.concat(bitmap(SIZE, 0), signature));
    }

    function test_Verify_RevertWhen_AStoredKeyIsNoPoint() public {
        address blob = harness.deploy(flip(_blob.code, (OFFSET + 192 * 6) * 8));
        bytes memory certificate = certify(SIZE, uint256(1) << 5, DIGEST);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsPrecompileFailed.selector, address(0x0d)));
        harness.verifyBls(blob, OFFSET, SIZE, QUORUM, DIGEST, certificate);
    }

    /// @dev An empty account in the place of the precompile succeeds and leaves the sum as it was.
    function test_Verify_RevertWhen_TheAdditionIsMissing() public {
        bytes memory certificate = bytes.concat(bitmap(SIZE, 1), _signatureOf(certify(SIZE, 0, DIGEST)));
        VmMock(address(vm)).mockCall(address(0x0d), "", "");
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsPrecompileFailed.selector, address(0x0d)));
        _verify(DIGEST, certificate);
    }

    /// @dev One failure among several additions is enough, even if it answers with the sum that would be right.
    function test_Verify_RevertWhen_OneAdditionFails() public {
        uint256 all = 0;
        for (uint256 i = 0; i < SIZE; ++i) {
            all = addmod(all, secretOf(i), BlsSigner.ORDER);
        }
        bytes memory negated = BlsSigner.publicKey(BlsSigner.ORDER - all);
        bytes memory key = BlsSigner.publicKey(secretOf(0));
        bytes memory sum = BlsSigner.addKeys(negated, key);
        bytes memory certificate = certify(SIZE, 3, DIGEST);
        assertEq(_verify(DIGEST, certificate), allOf(SIZE) & ~uint256(3), "without the failure");
        VmMock(address(vm)).mockCallRevert(address(0x0d), bytes.concat(negated, key), sum);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsPrecompileFailed.selector, address(0x0d)));
        _verify(DIGEST, certificate);
    }

    function testFuzz_Verify_RevertWhen_ABitIsFlipped(uint256 bit, uint256 seed) public view {
        uint256 absentees = _subset(seed, bound(seed, 0, SIZE - QUORUM));
        bytes memory certificate = certify(SIZE, absentees, DIGEST);
        _assertRefused(flip(certificate, bound(bit, 0, certificate.length * 8 - 1)), DIGEST, 2_000_000);
    }

    function testFuzz_Verify_RevertWhen_TheDigestIsAnother(bytes32 digest) public view {
        vm.assume(digest != DIGEST);
        _assertRefused(certify(SIZE, 0, DIGEST), digest, 2_000_000);
    }

    function test_Verify_RevertWhen_SignaturesArePossessions() public {
        uint256 secret = 0;
        for (uint256 i = 0; i < SIZE; ++i) {
            secret = addmod(secret, secretOf(i), BlsSigner.ORDER);
        }
        _expectInvalid(0, bytes.concat(bitmap(SIZE, 0), possessionOf(secret, DIGEST)));
    }

    function testFuzz_Verify_RevertWhen_WrongAndShortOfGas(uint256 gasLimit) public view {
        uint256 absentees = spread(SIZE, 4);
        bytes memory wrong = certify(SIZE, absentees, keccak256("another digest"));
        _assertRefused(wrong, DIGEST, bound(gasLimit, 0, 200_000));
    }

    /// @dev Wherever the gas runs out, in the sum of the keys or behind it, a valid certificate is refused.
    function test_Verify_RevertWhen_GasRunsOutAnywhere() public view {
        bytes memory certificate = certify(SIZE, spread(SIZE, 6), DIGEST);
        for (uint256 limit = 0; limit < 120_000; limit += 300) {
            _assertRefused(certificate, DIGEST, limit);
        }
        assertEq(_verify(DIGEST, certificate), allOf(SIZE) & ~spread(SIZE, 6), "enough gas");
    }

    // ---- aggregate

    function test_Aggregate_IsTheSumAndTheKeys() public view {
        bytes[] memory keys = new bytes[](3);
        uint256 secret = 0;
        bytes memory row;
        for (uint256 i = 0; i < 3; ++i) {
            keys[i] = BlsSigner.pack(BlsSigner.publicKey(secretOf(i)));
            row = bytes.concat(row, keys[i]);
            secret = addmod(secret, secretOf(i), BlsSigner.ORDER);
        }
        bytes memory expected = bytes.concat(BlsSigner.pack(BlsSigner.publicKey(secret)), row);
        assertEq(keccak256(harness.aggregate(keys)), keccak256(expected), "list");
    }

    function test_Aggregate_RevertWhen_ThereAreNoKeys() public {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.aggregate(new bytes[](0));
    }

    /// @dev An operator without a key has an empty one.
    function test_Aggregate_RevertWhen_AKeyHasAnotherLength() public {
        bytes[] memory keys = new bytes[](2);
        keys[0] = BlsSigner.pack(BlsSigner.publicKey(5));
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsKeyLength.selector, 0, 192));
        harness.aggregate(keys);
    }

    // ---- internal

    function _verify(bytes32 digest, bytes memory certificate) private view returns (uint256) {
        return harness.verifyBls(_blob, OFFSET, SIZE, QUORUM, digest, certificate);
    }

    function _expectInvalid(uint256 absentees, bytes memory certificate) private {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidAggregateSignature.selector, DIGEST, absentees));
        _verify(DIGEST, certificate);
    }

    function _assertRefused(bytes memory certificate, bytes32 digest, uint256 gasLimit) private view {
        bytes memory data = abi.encodeCall(harness.verifyBls, (_blob, OFFSET, SIZE, QUORUM, digest, certificate));
        (bool success,) = address(harness).staticcall{gas: gasLimit}(data);
        assertFalse(success, "refused");
    }

    /// @dev `count` different members of the set.
    function _subset(uint256 seed, uint256 count) private pure returns (uint256 members) {
        while (count != 0) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 bit = uint256(1) << (seed % SIZE);
            if (members & bit == 0) --count;
            members |= bit;
        }
    }

    function _signatureOf(bytes memory certificate) private pure returns (bytes memory signature) {
        signature = new bytes(128);
        for (uint256 i = 0; i < 128; ++i) {
            signature[i] = certificate[certificate.length - 128 + i];
        }
    }
}
