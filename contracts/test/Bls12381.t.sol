// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsFixture, VmMock} from "./BlsFixture.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {IBlsErrors} from "../src/interfaces/IBlsErrors.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";

/// @notice Signatures and points: what is valid, and that nothing else is, least of all what could not be computed.
contract Bls12381Test is BlsFixture {
    uint256 private constant SECRET = 0x506f54;

    bytes private _key;
    bytes private _signature;

    function setUp() public override {
        super.setUp();
        _key = BlsSigner.publicKey(SECRET);
        _signature = BlsSigner.sign(Bls12381.VOTE, DIGEST, SECRET);
    }

    // ---- signatures

    function testFuzz_Verify_AcceptsWhatTheKeySigned(bytes32 digest, uint256 secret) public view {
        secret = bound(secret, 1, BlsSigner.ORDER - 1);
        bytes memory signature = BlsSigner.sign(Bls12381.VOTE, digest, secret);
        assertTrue(harness.verify(Bls12381.VOTE, digest, BlsSigner.publicKey(secret), signature), "valid");
    }

    function testFuzz_Verify_RefusesAnotherDigest(bytes32 digest) public view {
        vm.assume(digest != DIGEST);
        assertFalse(harness.verify(Bls12381.VOTE, digest, _key, _signature), "digest");
    }

    function testFuzz_Verify_RefusesAnotherKey(uint256 secret) public view {
        secret = bound(secret, 1, BlsSigner.ORDER - 1);
        vm.assume(secret != SECRET);
        assertFalse(harness.verify(Bls12381.VOTE, DIGEST, BlsSigner.publicKey(secret), _signature), "key");
    }

    /// @dev Abuse case 11: a possession is no vote, a vote no possession.
    function test_Verify_RefusesTheOtherDomain() public view {
        assertFalse(harness.verify(Bls12381.POSSESSION, DIGEST, _key, _signature), "vote as possession");
        bytes memory possession = possessionOf(SECRET, DIGEST);
        assertFalse(harness.verify(Bls12381.VOTE, DIGEST, _key, possession), "possession as vote");
        assertTrue(harness.verify(Bls12381.POSSESSION, DIGEST, _key, possession), "possession");
    }

    /// @dev A signature has one encoding, and its negation is none.
    function test_Verify_RefusesTheNegatedSignature() public view {
        bytes memory negated = BlsSigner.sign(Bls12381.VOTE, DIGEST, BlsSigner.ORDER - SECRET);
        assertFalse(harness.verify(Bls12381.VOTE, DIGEST, _key, negated), "negated");
    }

    /// @dev Never accepted, whether the pairing says no or the point is refused.
    function testFuzz_Verify_RefusesAFlippedBit(uint256 bit, bool inKey) public view {
        bit = bound(bit, 0, (inKey ? _key.length : _signature.length) * 8 - 1);
        bytes memory key = inKey ? flip(_key, bit) : _key;
        bytes memory signature = inKey ? _signature : flip(_signature, bit);
        _assertNeverValid(abi.encodeCall(harness.verify, (Bls12381.VOTE, DIGEST, key, signature)), 1_000_000);
    }

    // ---- abuse case 8: infinity

    function test_Verify_RevertWhen_KeyIsInfinite() public {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.verify(Bls12381.VOTE, DIGEST, INFINITY_G2, _signature);
    }

    function test_Verify_RevertWhen_SignatureIsInfinite() public {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsSignature.selector));
        harness.verify(Bls12381.VOTE, DIGEST, _key, INFINITY_G1);
    }

    /// @dev The bare pairing would accept this: both factors are one.
    function test_Verify_RevertWhen_KeyAndSignatureAreInfinite() public {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.verify(Bls12381.VOTE, DIGEST, INFINITY_G2, INFINITY_G1);
    }

    function testFuzz_IsInfinite_OnlyZero(uint256 bit) public view {
        assertTrue(harness.isInfinite(INFINITY_G2), "zero");
        assertFalse(harness.isInfinite(flip(INFINITY_G2, bound(bit, 0, 2047))), "any bit");
    }

    // ---- abuse case 10: what cannot be computed is never valid

    function test_Verify_RevertWhen_SignatureHasAnotherLength() public {
        bytes memory short = new bytes(127);
        bytes memory long = bytes.concat(_signature, hex"00");
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsSignatureLength.selector, 127, 128));
        harness.verify(Bls12381.VOTE, DIGEST, _key, short);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsSignatureLength.selector, 129, 128));
        harness.verify(Bls12381.VOTE, DIGEST, _key, long);
    }

    /// @dev Every precompile in turn answers nothing, as an empty account does on a chain without EIP-2537.
    function test_Verify_RevertWhen_APrecompileIsMissing() public {
        for (uint256 i = 0; i < 5; ++i) {
            address precompile = _precompiles()[i];
            VmMock(address(vm)).mockCall(precompile, "", "");
            _expectFailure(precompile);
        }
    }

    /// @dev A call that fails and returns as many bytes as a success would.
    function test_Verify_RevertWhen_APrecompileFails() public {
        uint8[5] memory sizes = [32, 64, 128, 128, 32];
        for (uint256 i = 0; i < 5; ++i) {
            address precompile = _precompiles()[i];
            bytes memory answer = new bytes(sizes[i]);
            answer[answer.length - 1] = 0x01;
            VmMock(address(vm)).mockCallRevert(precompile, "", answer);
            _expectFailure(precompile);
        }
    }

    /// @dev The pairing answers 1 or 0; nothing else is a yes.
    function testFuzz_Verify_RefusesOddAnswersOfThePairing(uint256 answer) public {
        vm.assume(answer != 1);
        VmMock(address(vm)).mockCall(address(0x0f), "", abi.encode(answer));
        assertFalse(harness.verify(Bls12381.VOTE, DIGEST, _key, _signature), "answer");
    }

    /// @dev From nothing to more than enough: a wrong signature is never valid, and a valid one only if all was computed.
    function testFuzz_Verify_NeverValidForLackOfGas(uint256 gasLimit) public view {
        bytes memory wrong = BlsSigner.sign(Bls12381.VOTE, keccak256("another digest"), SECRET);
        bytes memory data = abi.encodeCall(harness.verify, (Bls12381.VOTE, DIGEST, _key, wrong));
        _assertNeverValid(data, bound(gasLimit, 0, 200_000));
    }

    /// @dev In steps that are smaller than the cost of any precompile but SHA-256 and MODEXP.
    function test_Verify_RevertWhen_GasRunsOutAnywhere() public view {
        bytes memory data = abi.encodeCall(harness.verify, (Bls12381.VOTE, DIGEST, _key, _signature));
        uint256 needed = 116_000; // the precompiles alone
        for (uint256 limit = 0; limit < needed; limit += 300) {
            (bool success,) = address(harness).staticcall{gas: limit}(data);
            assertFalse(success, "out of gas");
        }
        (bool enough, bytes memory result) = address(harness).staticcall{gas: 200_000}(data);
        assertTrue(enough && abi.decode(result, (bool)), "enough gas");
    }

    // ---- points

    function testFuzz_Negate_GivesTheKeyOfTheNegatedSecret(uint256 secret) public view {
        secret = bound(secret, 1, BlsSigner.ORDER - 1);
        bytes memory negated = harness.negate(BlsSigner.publicKey(secret));
        assertEq(keccak256(negated), keccak256(BlsSigner.publicKey(BlsSigner.ORDER - secret)), "negated");
    }

    /// @dev p - 0 = p would not be canonical.
    function test_Negate_LeavesInfinityAlone() public view {
        assertEq(keccak256(harness.negate(INFINITY_G2)), keccak256(INFINITY_G2), "infinity");
    }

    /// @dev The two words of p, borrow by borrow: y.c0 = 2^256 (low word 0), y.c1 = P_LOW + 1 (low word above that of p).
    function test_Negate_BorrowsBetweenTheWords() public view {
        uint256 high = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
        uint256 low = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
        bytes memory x = new bytes(128);
        bytes memory negated = harness.negate(abi.encodePacked(x, uint256(1), uint256(0), uint256(0), low + 1));
        bytes memory expected = abi.encodePacked(x, high - 1, low, high - 1, type(uint256).max); // p - 2^256, 2^256 (high) - 1
        assertEq(keccak256(negated), keccak256(expected), "borrow");
    }

    function testFuzz_Accumulate_AddsKeys(uint256 a, uint256 b) public view {
        (a, b) = (bound(a, 1, BlsSigner.ORDER - 1), bound(b, 1, BlsSigner.ORDER - 1));
        bytes memory sum = harness.add(BlsSigner.pack(BlsSigner.publicKey(a)), BlsSigner.pack(BlsSigner.publicKey(b)));
        assertEq(keccak256(sum), keccak256(BlsSigner.publicKey(addmod(a, b, BlsSigner.ORDER))), "sum");
    }

    function test_Accumulate_RevertWhen_PointIsOffTheCurve() public {
        bytes memory packed = BlsSigner.pack(_key);
        bytes memory wrong = flip(packed, 376);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsPrecompileFailed.selector, address(0x0d)));
        harness.add(packed, wrong);
    }

    function testFuzz_Pack_DropsThePadding(uint256 secret) public view {
        bytes memory key = BlsSigner.publicKey(bound(secret, 1, BlsSigner.ORDER - 1));
        assertEq(keccak256(harness.pack(key)), keccak256(BlsSigner.pack(key)), "packed");
    }

    function _precompiles() private pure returns (address[5] memory) {
        return [address(0x02), address(0x05), address(0x10), address(0x0b), address(0x0f)];
    }

    function _expectFailure(address precompile) private {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsPrecompileFailed.selector, precompile));
        harness.verify(Bls12381.VOTE, DIGEST, _key, _signature);
        VmMock(address(vm)).clearMockedCalls();
        assertTrue(harness.verify(Bls12381.VOTE, DIGEST, _key, _signature), "the precompile itself");
    }

    function _assertNeverValid(bytes memory data, uint256 gasLimit) private view {
        (bool success, bytes memory result) = address(harness).staticcall{gas: gasLimit}(data);
        assertFalse(success && abi.decode(result, (bool)), "valid");
    }
}
