// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsFixture} from "./BlsFixture.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {IBlsErrors} from "../src/interfaces/IBlsErrors.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";

/// @notice Registration of keys: whose secret the operator knows, and none of them twice in any guise.
contract BlsKeysTest is BlsFixture {
    uint256 private constant SECRET = 0x506f54;

    address private _alice = account("alice");
    address private _mallory = account("mallory");
    bytes private _key;

    function setUp() public override {
        super.setUp();
        _key = BlsSigner.publicKey(SECRET);
    }

    // ---- register

    function testFuzz_Register_KeepsThePackedKey(uint256 secret, address operator) public {
        secret = bound(secret, 1, BlsSigner.ORDER - 1);
        assertFalse(harness.has(operator), "before");
        assertEq(harness.keyOf(operator).length, 0, "no key before");
        _register(operator, secret);
        assertTrue(harness.has(operator), "after");
        assertEq(keccak256(harness.keyOf(operator)), keccak256(BlsSigner.pack(BlsSigner.publicKey(secret))), "key");
    }

    function test_Register_OperatorsAreApart() public {
        _register(_alice, SECRET);
        assertFalse(harness.has(_mallory), "nobody else has it");
        _register(_mallory, SECRET + 1);
        assertEq(keccak256(harness.keyOf(_alice)), keccak256(BlsSigner.pack(_key)), "alice");
    }

    function test_Register_RevertWhen_OperatorHoldsAKey() public {
        _register(_alice, SECRET);
        (bytes memory key, bytes memory possession) = _made(SECRET + 1, _alice);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsKeyHeld.selector, _alice));
        harness.register(_alice, key, possession, digestOf(_alice));
    }

    function test_Register_RevertWhen_KeyHasAnotherLength() public {
        bytes memory possession = possessionOf(SECRET, digestOf(_alice));
        bytes memory short = new bytes(255);
        bytes memory long = bytes.concat(_key, hex"00");
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsKeyLength.selector, 255, 256));
        harness.register(_alice, short, possession, digestOf(_alice));
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsKeyLength.selector, 257, 256));
        harness.register(_alice, long, possession, digestOf(_alice));
    }

    function test_Register_RevertWhen_PossessionHasAnotherLength() public {
        bytes memory possession = bytes.concat(possessionOf(SECRET, digestOf(_alice)), hex"00");
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsSignatureLength.selector, 129, 128));
        harness.register(_alice, _key, possession, digestOf(_alice));
    }

    // ---- abuse case 7: rogue keys and copied possessions

    /// @dev key = g2 · s - alice's: the sum of both would be a key that the attacker alone can sign for. He cannot sign by it.
    function test_Register_RevertWhen_RogueKeyHasNoPossession() public {
        _register(_alice, SECRET);
        bytes memory rogue = BlsSigner.addKeys(BlsSigner.publicKey(0xbad), harness.negate(_key));
        bytes32 digest = digestOf(_mallory);
        bytes memory bySum = possessionOf(0xbad, digest);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsPossession.selector, _mallory));
        harness.register(_mallory, rogue, bySum, digest);

        // nor does it help to take off what alice has signed: she has signed another digest
        bytes memory negated = BlsSigner.sign(Bls12381.POSSESSION, digestOf(_alice), BlsSigner.ORDER - SECRET);
        bytes memory combined = BlsSigner.add(bySum, negated);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsPossession.selector, _mallory));
        harness.register(_mallory, rogue, combined, digest);
    }

    /// @dev A possession seen in a pending transaction is of no use to another operator.
    function test_Register_RevertWhen_PossessionIsCopiedFromAnother() public {
        (bytes memory key, bytes memory possession) = _made(SECRET, _alice);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsPossession.selector, _mallory));
        harness.register(_mallory, key, possession, digestOf(_mallory));
    }

    function test_Register_RevertWhen_PossessionIsAVote() public {
        bytes memory vote = BlsSigner.sign(Bls12381.VOTE, digestOf(_alice), SECRET);
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsPossession.selector, _alice));
        harness.register(_alice, _key, vote, digestOf(_alice));
    }

    /// @dev Neither accepted nor remembered: the operator can register the key itself afterwards.
    function testFuzz_Register_RevertWhen_ABitIsFlipped(uint256 bit, bool inKey) public {
        (bytes memory key, bytes memory possession) = _made(SECRET, _alice);
        bit = bound(bit, 0, (inKey ? key.length : possession.length) * 8 - 1);
        bytes memory data = abi.encodeCall(
            harness.register,
            (_alice, inKey ? flip(key, bit) : key, inKey ? possession : flip(possession, bit), digestOf(_alice))
        );
        (bool success,) = address(harness).call{gas: 1_000_000}(data);
        assertFalse(success, "registered");
        assertFalse(harness.has(_alice), "key");
        _register(_alice, SECRET);
    }

    // ---- abuse case 8: infinity

    /// @dev The bare pairing would accept it: e(0, -g2) · e(H, 0) = 1.
    function test_Register_RevertWhen_KeyAndPossessionAreInfinite() public {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsKey.selector));
        harness.register(_mallory, INFINITY_G2, INFINITY_G1, digestOf(_mallory));
    }

    function test_Register_RevertWhen_PossessionIsInfinite() public {
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InfiniteBlsSignature.selector));
        harness.register(_alice, _key, INFINITY_G1, digestOf(_alice));
    }

    // ---- abuse case 9: a key and its negation

    function test_Register_RevertWhen_KeyIsUsed() public {
        _register(_alice, SECRET);
        _expectUsed(_mallory, SECRET);
    }

    /// @dev Both would be counted as signers of a certificate that neither has signed.
    function test_Register_RevertWhen_NegationIsUsed() public {
        _register(_alice, SECRET);
        _expectUsed(_mallory, BlsSigner.ORDER - SECRET);
    }

    /// @dev Keys and their negations stay used after they were removed, for their operator too.
    function test_Register_RevertWhen_KeyWasRemoved() public {
        _register(_alice, SECRET);
        harness.remove(_alice);
        _expectUsed(_alice, SECRET);
        _expectUsed(_alice, BlsSigner.ORDER - SECRET);
        _expectUsed(_mallory, BlsSigner.ORDER - SECRET);
        _register(_alice, SECRET + 1);
    }

    // ---- remove

    function test_Remove_ForgetsTheKeyOfThisOperatorOnly() public {
        _register(_alice, SECRET);
        _register(_mallory, SECRET + 1);
        harness.remove(_alice);
        assertFalse(harness.has(_alice), "alice");
        assertEq(harness.keyOf(_alice).length, 0, "key of alice");
        assertTrue(harness.has(_mallory), "mallory");
    }

    function test_Remove_OfNothingDoesNothing() public {
        harness.remove(_alice);
        assertFalse(harness.has(_alice), "still none");
        _register(_alice, SECRET);
    }

    function _made(uint256 secret, address operator) private view returns (bytes memory key, bytes memory possession) {
        return (BlsSigner.publicKey(secret), possessionOf(secret, digestOf(operator)));
    }

    function _register(address operator, uint256 secret) private {
        (bytes memory key, bytes memory possession) = _made(secret, operator);
        harness.register(operator, key, possession, digestOf(operator));
    }

    function _expectUsed(address operator, uint256 secret) private {
        (bytes memory key, bytes memory possession) = _made(secret, operator);
        bytes memory x = new bytes(128);
        for (uint256 i = 0; i < x.length; ++i) {
            x[i] = key[i];
        }
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.BlsKeyUsed.selector, keccak256(x)));
        harness.register(operator, key, possession, digestOf(operator));
    }
}
