// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBlsErrors} from "../interfaces/IBlsErrors.sol";
import {Bls12381, G2} from "./Bls12381.sol";

/// @title BlsKeys
/// @notice The BLS keys of a registry's operators, each with a proof of possession.
/// @dev A book holds no key whose secret its operator does not know, so keys may be added up without fear of a rogue key
///      (one chosen to cancel the others). And no two that were ever in it have the same x coordinate: they would be the
///      same key, or a key and its negation, which cancel each other and would be counted as two signers that nobody heard.
library BlsKeys {
    /// @param keys packed key of an operator; all zero if it has none
    /// @param used hash of the x coordinates of all keys there ever were; never cleared
    struct Book {
        mapping(address operator => bytes32[6] packed) keys;
        mapping(bytes32 coordinate => bool) used;
    }

    /// @notice Register a key.
    /// @dev The pairing that checks the possession checks the key too: on the curve, in the subgroup, canonically encoded.
    /// @param self book
    /// @param operator who the key is for
    /// @param key point of G2, 256 bytes
    /// @param possession signature of the digest by the key, in the domain of possessions, 128 bytes
    /// @param digest binds the possession to this operator, contract and chain, and best to the key as well; the caller
    ///        computes it, or a possession could be copied
    function register(
        Book storage self,
        address operator,
        bytes calldata key,
        bytes calldata possession,
        bytes32 digest
    ) internal {
        if (key.length != Bls12381.G2_SIZE) {
            revert IBlsErrors.InvalidBlsKeyLength(key.length, Bls12381.G2_SIZE);
        }
        if (has(self, operator)) revert IBlsErrors.BlsKeyHeld(operator);
        bytes32 coordinate = keccak256(key[:Bls12381.G2_SIZE / 2]); // canonical, or the pairing will refuse it
        if (self.used[coordinate]) revert IBlsErrors.BlsKeyUsed(coordinate);

        G2 point = Bls12381.load(key);
        if (!Bls12381.verify(Bls12381.POSSESSION, digest, point, possession)) {
            revert IBlsErrors.InvalidBlsPossession(operator);
        }
        self.used[coordinate] = true;
        bytes32[6] memory packed = abi.decode(Bls12381.pack(point), (bytes32[6]));
        self.keys[operator] = packed;
    }

    /// @notice Forget the key of an operator, if it has one. Nobody can register it, or its negation, ever again.
    /// @param self book
    /// @param operator who the key was for
    function remove(Book storage self, address operator) internal {
        delete self.keys[operator];
    }

    /// @notice The packed key of an operator, 192 bytes; empty if it has none.
    /// @param self book
    /// @param operator who the key is for
    function keyOf(Book storage self, address operator) internal view returns (bytes memory key) {
        if (!has(self, operator)) return "";
        return abi.encodePacked(self.keys[operator]);
    }

    /// @notice Whether the operator has a key.
    /// @dev Only the point at infinity is all zero, and `register` refuses it. The first slot decides but for a key whose x
    ///      begins with 32 zero bytes; all are looked at, so that no key is too unlikely to be seen.
    /// @param self book
    /// @param operator who the key is for
    function has(Book storage self, address operator) internal view returns (bool) {
        bytes32[6] storage slots = self.keys[operator];
        for (uint256 i = 0; i < 6; ++i) {
            if (slots[i] != 0) return true;
        }
        return false;
    }
}
