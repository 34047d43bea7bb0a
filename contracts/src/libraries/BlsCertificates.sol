// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBlsErrors} from "../interfaces/IBlsErrors.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {Bls12381, G2} from "./Bls12381.sol";

/// @title BlsCertificates
/// @notice Verification of quorum certificates that hold one aggregated BLS signature.
/// @dev A certificate is the bitmap of the absentees (⌈size / 8⌉ bytes; validator i is bit i % 8 of byte i / 8; the bits
///      behind the last validator are zero) followed by the sum of the signatures of everybody else (128 bytes). A bitmap
///      cannot name anybody twice, and for a set of signers and a digest there is exactly one certificate.
///
///      The keys lie in the code of a contract, from some byte on: the sum of all keys of the epoch, then each of them,
///      packed (192 bytes each). The key that must have signed is the sum without the absentees, whose keys are read one by
///      one: the cost grows with those that are absent, not with those that are there.
library BlsCertificates {
    /// @notice Most validators of a set: the bitmap is handled as one word. (The code of a contract, 24,576 bytes by
    ///         EIP-170, holds 126 keys and their sum.)
    uint256 internal constant MAX_SIZE = 256;

    /// @notice Reverts unless at least `quorum` validators have signed `digest`.
    /// @param blob contract whose code holds the keys
    /// @param offset where in the code the sum of all keys begins
    /// @param size number of validators
    /// @param quorum signatures needed
    /// @param digest EIP-712 digest that was signed
    /// @param certificate bitmap of the absentees, then the aggregate signature
    /// @return signers bitmap of the indices of those who signed
    function verify(
        address blob,
        uint256 offset,
        uint256 size,
        uint256 quorum,
        bytes32 digest,
        bytes calldata certificate
    ) internal view returns (uint256 signers) {
        if (size > MAX_SIZE) revert IBlsErrors.BlsSetTooLarge(size, MAX_SIZE);
        uint256 bitmapSize = (size + 7) / 8;
        uint256 expected = bitmapSize + Bls12381.G1_SIZE;
        if (certificate.length != expected) {
            revert IBlsErrors.InvalidBlsCertificateLength(certificate.length, expected);
        }
        uint256 absentees = _bitmap(certificate, bitmapSize);
        if (absentees >> size != 0) revert IBlsErrors.AbsenteeOutOfRange(absentees, size);

        (G2 key, uint256 absent) = _keyOfPresent(blob, offset, absentees);
        uint256 present = size - absent;
        if (present < quorum) revert INodeRegistry.QuorumNotReached(present, quorum);
        if (!Bls12381.verify(Bls12381.VOTE, digest, key, certificate[bitmapSize:])) {
            revert IBlsErrors.InvalidAggregateSignature(digest, absentees);
        }

        // An empty set has not come as far as this: the sum of nothing is infinite, which `verify` refuses.
        signers = ~absentees & (type(uint256).max >> (256 - size));
    }

    /// @notice What the code of a new epoch holds: the sum of the keys, then the keys. Reverts if the sum is infinite.
    /// @param keys packed keys, 192 bytes each, all registered with a proof of possession
    /// @return list the sum and the keys, packed, in a row
    function aggregate(bytes[] memory keys) internal view returns (bytes memory list) {
        list = new bytes(Bls12381.PACKED_SIZE * (1 + keys.length));
        (G2 sum, G2 term) = Bls12381.newSum(); // the empty sum is infinite
        for (uint256 i = 0; i < keys.length; ++i) {
            bytes memory key = keys[i];
            if (key.length != Bls12381.PACKED_SIZE) {
                revert IBlsErrors.InvalidBlsKeyLength(key.length, Bls12381.PACKED_SIZE);
            }
            _place(key, list, i + 1);
            Bls12381.unpack(key, term);
            Bls12381.accumulate(sum);
        }
        if (Bls12381.isInfinite(sum)) revert IBlsErrors.InfiniteBlsKey();
        _place(Bls12381.pack(sum), list, 0);
    }

    /// @dev Copy a packed key to its place in the list.
    function _place(bytes memory key, bytes memory list, uint256 index) private pure {
        assembly ("memory-safe") {
            mcopy(add(add(list, 32), mul(index, 192)), add(key, 32), 192)
        }
    }

    /// @dev The sum of all keys minus those of the absentees, and how many these are. The subtraction is -(-sum + keys): two
    ///      negations in all, instead of one for each key.
    // slither-disable-next-line unused-return the place of the term is right behind the sum
    function _keyOfPresent(address blob, uint256 offset, uint256 absentees)
        private
        view
        returns (G2 key, uint256 absent)
    {
        bytes memory packed = new bytes(Bls12381.PACKED_SIZE);
        (key,) = Bls12381.newSum();
        // Behind the end of the code there are zeros: the point at infinity, which `verify` refuses.
        assembly ("memory-safe") {
            extcodecopy(blob, add(packed, 32), offset, 192)
        }
        Bls12381.unpack(packed, key);
        if (absentees == 0) return (key, 0);

        Bls12381.negate(key);
        bool done;
        (absent, done) = _addAbsentees(blob, offset + Bls12381.PACKED_SIZE, absentees, packed, key);
        if (!done) revert IBlsErrors.BlsPrecompileFailed(Bls12381.G2ADD);
        Bls12381.negate(key);
    }

    /// @dev Bls12381.unpack and accumulate for each absentee, in one loop: calls between functions would cost as much as the
    ///      additions themselves.
    /// @param offset where in the code the keys begin
    /// @param packed scratch space of 192 bytes
    /// @param sum from `newSum`
    /// @return count number of absentees
    /// @return done whether all additions succeeded; the sum is worthless otherwise
    // slither-disable-next-line incorrect-shift shl(n, x) is x shifted left by n, as meant
    function _addAbsentees(address blob, uint256 offset, uint256 absentees, bytes memory packed, G2 sum)
        private
        view
        returns (uint256 count, bool done)
    {
        assembly ("memory-safe") {
            done := 1
            packed := add(packed, 32)
            for {} absentees {} {
                let bit := and(absentees, sub(0, absentees)) // the lowest
                absentees := xor(absentees, bit)
                count := add(count, 1)
                // The index of the bit by De Bruijn sequences (from Solady's LibBit.ffs, MIT): its upper three bits,
                let index :=
                    shl(
                        5,
                        shr(
                            252,
                            shl(
                                shl(
                                    2,
                                    shr(
                                        250,
                                        mul(bit, 0xb6db6db6ddddddddd34d34d349249249210842108c6318c639ce739cffffffff)
                                    )
                                ),
                                0x8040405543005266443200005020610674053026020000107506200176117077
                            )
                        )
                    )
                // and the lower five.
                index := or(
                    index,
                    byte(
                        and(div(0xd76453e0, shr(index, bit)), 0x1f),
                        0x001f0d1e100c1d070f090b19131c1706010e11080a1a141802121b1503160405
                    )
                )
                extcodecopy(blob, packed, add(offset, mul(index, 192)), 192)
                mcopy(add(sum, 272), packed, 48)
                mcopy(add(sum, 336), add(packed, 48), 48)
                mcopy(add(sum, 400), add(packed, 96), 48)
                mcopy(add(sum, 464), add(packed, 144), 48)
                // G2ADD. Yul evaluates the last argument first: returndatasize() is that of this call.
                done := and(done, and(eq(returndatasize(), 256), staticcall(gas(), 0x0d, sum, 512, sum, 256)))
            }
        }
    }

    /// @dev The first `size` bytes, at most 32, as a number whose bit i is bit i % 8 of byte i / 8.
    // slither-disable-next-line too-many-digits masks of bytes are read best in full
    function _bitmap(bytes calldata certificate, uint256 size) private pure returns (uint256 bits) {
        assembly ("memory-safe") {
            bits := calldataload(certificate.offset)
            // reverse the bytes of the word: swap neighbours, then pairs, and so on
            let mask := 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff
            bits := or(and(shr(8, bits), mask), shl(8, and(bits, mask)))
            mask := 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff
            bits := or(and(shr(16, bits), mask), shl(16, and(bits, mask)))
            mask := 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff
            bits := or(and(shr(32, bits), mask), shl(32, and(bits, mask)))
            mask := 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
            bits := or(and(shr(64, bits), mask), shl(64, and(bits, mask)))
            bits := or(shr(128, bits), shl(128, bits))
            // the signature begins behind the bitmap
            bits := and(bits, sub(exp(256, size), 1))
        }
    }
}
