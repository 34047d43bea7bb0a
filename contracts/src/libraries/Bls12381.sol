// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBlsErrors} from "../interfaces/IBlsErrors.sol";

/// @notice Where in memory a point of G2 lies.
type G2 is uint256;

/// @title Bls12381
/// @notice BLS signatures over BLS12-381 by the precompiles of EIP-2537: signatures in G1, public keys in G2.
/// @dev Points have the encoding of EIP-2537: an element of Fp is 64 bytes, big endian, the first 16 of them zero; an
///      element of Fp2 is c0 ‖ c1; a point is x ‖ y; the point at infinity is all zero. Points in memory are handled by
///      pointers, since arrays would be copied and cleared at every step: a `G2` is 256 bytes that this library allocated.
///
///      Warnings. The ADD precompiles check the curve but not the subgroup; only PAIRING checks both. Add up nothing but
///      keys whose possession `verify` has checked. And several keys of colluding operators can sum to zero: they are then
///      counted as present without having signed. That gives them no vote they could not cast anyway, and nobody else can
///      construct such keys, for each needs a proof of possession.
library Bls12381 {
    /// @notice Domain of votes: "POT-V01-CS01-VOTE-BLS12381G1_XMD:SHA-256_SSWU_RO_".
    /// @dev RFC 9380, section 3.1: a tag names the application, its version and the suite. Both tags end alike, so that a
    ///      domain is the first word of its tag and `TAG_END` the rest.
    bytes32 internal constant VOTE = "POT-V01-CS01-VOTE-BLS12381G1_XMD";
    /// @notice Domain of proofs of possession: "POT-V01-CS01-POSS-BLS12381G1_XMD:SHA-256_SSWU_RO_".
    /// @dev Another domain than that of votes: no vote is a possession of anything, and no possession is a vote.
    bytes32 internal constant POSSESSION = "POT-V01-CS01-POSS-BLS12381G1_XMD";

    /// @notice Bytes of a point of G1, a signature.
    uint256 internal constant G1_SIZE = 128;
    /// @notice Bytes of a point of G2, a public key.
    uint256 internal constant G2_SIZE = 256;
    /// @notice Bytes of a packed public key: the four field elements without their padding.
    uint256 internal constant PACKED_SIZE = 192;

    /// @dev The end of both tags, with the length of a tag (49) behind it: what RFC 9380 calls DST_prime ends so.
    bytes18 private constant TAG_END = ":SHA-256_SSWU_RO_\x31";

    /// @dev The modulus of the field, p, as the two words of a padded field element.
    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// @notice The precompile that adds two points of G2.
    address internal constant G2ADD = address(0x0d);
    address private constant SHA256 = address(0x02);
    address private constant MODEXP = address(0x05);
    address private constant G1ADD = address(0x0b);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_FP_TO_G1 = address(0x10);

    // ---- signatures

    /// @notice Whether `signature` is that of `key` over `digest`: e(signature, -g2) · e(H(digest), key) = 1.
    /// @dev The pairing checks that the signature and the key are on their curves and in their subgroups, and that every
    ///      field element is canonical; a point that is not makes this revert with BlsPrecompileFailed, as does a lack of
    ///      gas. So `false` means that the pairing was computed and says no.
    /// @param domain VOTE or POSSESSION
    /// @param digest what was signed
    /// @param key public key, or a sum of them if all have signed the same; reverts if it is infinite
    /// @param signature 128 bytes; reverts if it is infinite
    /// @return valid whether the equation holds
    function verify(bytes32 domain, bytes32 digest, G2 key, bytes calldata signature)
        internal
        view
        returns (bool valid)
    {
        if (signature.length != G1_SIZE) {
            revert IBlsErrors.InvalidBlsSignatureLength(signature.length, G1_SIZE);
        }
        if (isInfinite(key)) revert IBlsErrors.InfiniteBlsKey();

        // two pairs: signature (128 bytes) and -g2 (256), hash (128) and key (256)
        uint256 pairs = _allocate(768);
        bool infinite;
        assembly ("memory-safe") {
            calldatacopy(pairs, signature.offset, 128)
            infinite := iszero(
                or(or(mload(pairs), mload(add(pairs, 32))), or(mload(add(pairs, 64)), mload(add(pairs, 96))))
            )
            mstore(add(pairs, 128), 0x024aa2b2f08f0a91260805272dc51051)
            mstore(add(pairs, 160), 0xc6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8)
            mstore(add(pairs, 192), 0x13e02b6052719f607dacd3a088274f65)
            mstore(add(pairs, 224), 0x596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e)
            mstore(add(pairs, 256), 0x0d1b3cc2c7027888be51d9ef691d77bc)
            mstore(add(pairs, 288), 0xb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa)
            mstore(add(pairs, 320), 0x13fa4d4a0ad8b1ce186ed5061789213d)
            mstore(add(pairs, 352), 0x993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed)
            mcopy(add(pairs, 512), key, 256)
        }
        if (infinite) revert IBlsErrors.InfiniteBlsSignature();
        _hashToG1(domain, digest, pairs + 384);
        _run(PAIRING, pairs, 768, pairs, 32);
        assembly ("memory-safe") {
            valid := eq(mload(pairs), 1)
        }
    }

    /// @notice Hash a digest to G1: RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_, of the 32 bytes of the digest.
    /// @param domain VOTE or POSSESSION
    /// @param digest message
    /// @return point 128 bytes
    function hashToG1(bytes32 domain, bytes32 digest) internal view returns (bytes memory point) {
        point = new bytes(G1_SIZE);
        uint256 output;
        assembly ("memory-safe") {
            output := add(point, 32)
        }
        _hashToG1(domain, digest, output);
    }

    // ---- points of G2

    /// @notice A point and a second one right behind it, both at infinity: what `accumulate` works on.
    /// @return sum what to add to
    /// @return term where to put what is added
    function newSum() internal pure returns (G2 sum, G2 term) {
        uint256 pointer = _allocate(2 * G2_SIZE);
        return (G2.wrap(pointer), G2.wrap(pointer + G2_SIZE));
    }

    /// @notice Add the term of a sum to it.
    /// @param sum from `newSum`
    function accumulate(G2 sum) internal view {
        _run(G2ADD, G2.unwrap(sum), 2 * G2_SIZE, G2.unwrap(sum), G2_SIZE);
    }

    /// @notice Copy a point to memory; nothing is checked.
    /// @param encoded 256 bytes, as the caller has checked
    /// @return point the copy
    function load(bytes calldata encoded) internal pure returns (G2 point) {
        point = G2.wrap(_allocate(G2_SIZE));
        assembly ("memory-safe") {
            calldatacopy(point, encoded.offset, 256)
        }
    }

    /// @notice Negate a point in place: (x, p - y).
    /// @param point canonical, as every point is that a precompile has seen
    function negate(G2 point) internal pure {
        assembly ("memory-safe") {
            // both coefficients of y; zero stays zero, for p itself would not be canonical
            for { let at := add(point, 128) } lt(at, add(point, 256)) { at := add(at, 64) } {
                let high := mload(at)
                let low := mload(add(at, 32))
                if or(high, low) {
                    mstore(at, sub(sub(P_HIGH, high), gt(low, P_LOW)))
                    mstore(add(at, 32), sub(P_LOW, low))
                }
            }
        }
    }

    /// @notice Whether a point is the point at infinity.
    /// @param point any 256 bytes
    function isInfinite(G2 point) internal pure returns (bool infinite) {
        assembly ("memory-safe") {
            let x := or(or(mload(point), mload(add(point, 32))), or(mload(add(point, 64)), mload(add(point, 96))))
            let y :=
                or(
                    or(mload(add(point, 128)), mload(add(point, 160))),
                    or(mload(add(point, 192)), mload(add(point, 224)))
                )
            infinite := iszero(or(x, y))
        }
    }

    /// @notice The field elements of a point without their padding: x.c0 ‖ x.c1 ‖ y.c0 ‖ y.c1, 48 bytes each.
    /// @dev Loses nothing of a point whose padding is zero, as that of every point is that a precompile has seen.
    /// @param point where from
    /// @return packed 192 bytes
    function pack(G2 point) internal pure returns (bytes memory packed) {
        packed = new bytes(PACKED_SIZE);
        assembly ("memory-safe") {
            mcopy(add(packed, 32), add(point, 16), 48)
            mcopy(add(packed, 80), add(point, 80), 48)
            mcopy(add(packed, 128), add(point, 144), 48)
            mcopy(add(packed, 176), add(point, 208), 48)
        }
    }

    /// @notice Overwrite a point with a packed one.
    /// @dev Leaves the padding as it is: zero in all that `newSum` allocates and precompiles write.
    /// @param packed 192 bytes, as the caller has checked
    /// @param point where to
    function unpack(bytes memory packed, G2 point) internal pure {
        assembly ("memory-safe") {
            mcopy(add(point, 16), add(packed, 32), 48)
            mcopy(add(point, 80), add(packed, 80), 48)
            mcopy(add(point, 144), add(packed, 128), 48)
            mcopy(add(point, 208), add(packed, 176), 48)
        }
    }

    // ---- internal

    /// @dev hash_to_curve (RFC 9380, section 3): two field elements, each mapped, and the sum of the points. The precompile
    ///      maps by the suite's SSWU and isogeny and clears the cofactor of each point, where the RFC clears that of the sum:
    ///      the same, since to clear it is to multiply by a scalar.
    ///
    ///      The buffer holds
    ///        0  what expand_message_xmd hashes first, 149 bytes: Z_pad (64 zeros) ‖ 64: digest ‖ 96: 0x0080, the number of
    ///           bytes wanted ‖ 98: 0x00 ‖ 99: tag and its length (50 bytes);
    ///       66  what it hashes then, 83 bytes: a word ‖ 98: number of the block ‖ 99: tag and its length, where they were;
    ///      192  the input of MODEXP, 225 bytes: sizes of base (64), exponent (1) and modulus (64) ‖ 288: base ‖ 352: exponent
    ///           (1) ‖ 353: modulus (p). Its answer has the size of the modulus, so it is a padded field element;
    ///      448  two points, 256 bytes; 704: a field element, 64 bytes.
    /// @param output pointer to 128 bytes
    function _hashToG1(bytes32 domain, bytes32 digest, uint256 output) private view {
        uint256 buffer = _allocate(768);
        assembly ("memory-safe") {
            mstore(add(buffer, 64), digest)
            mstore8(add(buffer, 97), 128)
            mstore(add(buffer, 99), domain)
            mstore(add(buffer, 131), TAG_END)
            mstore(add(buffer, 192), 64)
            mstore(add(buffer, 224), 1)
            mstore(add(buffer, 256), 64)
            mstore8(add(buffer, 352), 1)
            mstore(add(buffer, 353), P_HIGH)
            mstore(add(buffer, 385), P_LOW)
        }
        _run(SHA256, buffer, 149, output, 32);
        bytes32 start;
        assembly ("memory-safe") {
            start := mload(output)
        }
        // a pointer does not overflow
        unchecked {
            _mapElement(buffer, start, 1, buffer + 448);
            _mapElement(buffer, start, 3, buffer + 576);
            _run(G1ADD, buffer + 448, 256, output, 128);
        }
    }

    /// @dev The next 64 bytes of expand_message_xmd (section 5.3.1), modulo p (section 5.2), mapped to the curve. Block i is
    ///      the hash of (start xor block i - 1) ‖ i ‖ tag and its length; blocks lie by turns in the two words of MODEXP's base,
    ///      the second of which is zero at first: there is no block before block 1.
    /// @param counter number of the first of the two blocks
    /// @param output pointer to 128 bytes
    function _mapElement(uint256 buffer, bytes32 start, uint256 counter, uint256 output) private view {
        uint256 message;
        uint256 base;
        uint256 reduction;
        uint256 element;
        assembly ("memory-safe") {
            message := add(buffer, 66)
            reduction := add(buffer, 192)
            base := add(buffer, 288)
            element := add(buffer, 704)
            mstore(message, xor(start, mload(add(base, 32))))
            mstore8(add(buffer, 98), counter)
        }
        _run(SHA256, message, 83, base, 32);
        assembly ("memory-safe") {
            mstore(message, xor(start, mload(base)))
            mstore8(add(buffer, 98), add(counter, 1))
            base := add(base, 32)
        }
        _run(SHA256, message, 83, base, 32);
        _run(MODEXP, reduction, 225, element, 64);
        _run(MAP_FP_TO_G1, element, 64, output, 128);
    }

    /// @dev Reverts unless the call of a precompile succeeds and answers with as many bytes as asked for: memory that a failed
    ///      call left as it was is never taken for a result, and a chain without the precompile (an empty account, which
    ///      answers every call with nothing) is noticed. A precompile that refuses its input takes all gas it was given, here
    ///      63/64 of what is left: who sends nonsense pays for it, and nobody else.
    /// @param precompile address
    /// @param input pointer to memory
    /// @param inputSize bytes of it
    /// @param output pointer to memory; may overlap the input
    /// @param outputSize exact size of the answer
    function _run(address precompile, uint256 input, uint256 inputSize, uint256 output, uint256 outputSize)
        private
        view
    {
        bool done;
        assembly ("memory-safe") {
            // Yul evaluates the last argument first: returndatasize() is that of this call
            done := and(
                eq(returndatasize(), outputSize),
                staticcall(gas(), precompile, input, inputSize, output, outputSize)
            )
        }
        if (!done) revert IBlsErrors.BlsPrecompileFailed(precompile);
    }

    /// @dev Zeroed memory.
    function _allocate(uint256 size) private pure returns (uint256 pointer) {
        bytes memory zeros = new bytes(size);
        assembly ("memory-safe") {
            pointer := add(zeros, 32)
        }
    }
}
