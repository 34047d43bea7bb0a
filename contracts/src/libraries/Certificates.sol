// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {EpochBlob} from "./EpochBlob.sol";

/// @title Certificates
/// @notice Verification of ECDSA quorum certificates.
library Certificates {
    /// @notice Bytes of one entry: signer index (2) ‖ r (32) ‖ vs (32, EIP-2098).
    uint256 internal constant ENTRY_SIZE = 66;

    /// @dev Half the order of secp256k1: a signature with a higher s has a twin with a lower one (EIP-2).
    uint256 private constant MAX_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @notice Reverts unless at least `quorum` distinct validators have signed `digest`.
    /// @dev Signer indices increase strictly, so no signer is counted twice; high s is refused, so one vote has one encoding; a
    ///      failed recovery yields zero, which no key of an epoch is.
    /// @param keys packed vote keys of the epoch (EpochBlob.read)
    /// @param size number of keys, at most 256
    /// @param quorum signatures needed
    /// @param digest EIP-712 digest that was signed
    /// @param signatures the entries
    /// @return signers bitmap of the signer indices
    // slither-disable-next-line divide-before-multiply the product shows whether the division had a rest
    function verify(bytes memory keys, uint256 size, uint256 quorum, bytes32 digest, bytes calldata signatures)
        internal
        view
        returns (uint256 signers)
    {
        uint256 count = signatures.length / ENTRY_SIZE;
        if (signatures.length != count * ENTRY_SIZE) {
            revert INodeRegistry.InvalidCertificateLength(signatures.length);
        }
        if (count < quorum) revert INodeRegistry.QuorumNotReached(count, quorum);

        uint256 valid; // entries in front of the first that is not
        (signers, valid) = _recoverAll(keys, size, digest, signatures);
        if (valid != count) _explain(keys, size, digest, signatures, valid);
    }

    /// @dev The loop of every round, in assembly: it costs 250 gas a signature besides the precompile and the call data, half of
    ///      what Solidity makes of it. It stops at the first entry that is not valid.
    // slither-disable-next-line incorrect-shift shl(n, 1) is one shifted left by n, as meant
    function _recoverAll(bytes memory keys, uint256 size, bytes32 digest, bytes calldata signatures)
        private
        view
        returns (uint256 signers, uint256 valid)
    {
        assembly ("memory-safe") {
            let input := mload(0x40) // digest ‖ v ‖ r ‖ s, for the precompile
            mstore(input, digest)
            let entry := signatures.offset
            let end := add(entry, signatures.length)
            let next := 0 // least index that the entry may have
            for {} lt(entry, end) { entry := add(entry, 66) } {
                let index := shr(240, calldataload(entry))
                let vs := calldataload(add(entry, 34))
                let s := shr(1, shl(1, vs))
                if or(or(lt(index, next), iszero(lt(index, size))), gt(s, MAX_S)) { break }
                mstore(add(input, 32), add(27, shr(255, vs)))
                mstore(add(input, 64), calldataload(add(entry, 2)))
                mstore(add(input, 96), s)
                // the precompile answers with one word or, if there is no such key, with nothing: then the zero stays, which
                // no vote key is
                mstore(0, 0)
                pop(staticcall(gas(), 1, input, 128, 0, 32))
                if iszero(eq(mload(0), shr(96, mload(add(add(keys, 32), mul(index, 20)))))) { break }
                signers := or(signers, shl(index, 1))
                next := add(index, 1)
                valid := add(valid, 1)
            }
        }
    }

    /// @dev Reverts with what is wrong with entry `i`, the first that is not valid.
    // slither-disable-next-line unused-return only the signer is told, not why there is none
    function _explain(bytes memory keys, uint256 size, bytes32 digest, bytes calldata signatures, uint256 i)
        private
        pure
    {
        (uint256 index, bytes32 r, bytes32 vs) = _entry(signatures, i);
        if (i > 0) {
            (uint256 previous,,) = _entry(signatures, i - 1);
            if (index <= previous) revert INodeRegistry.SignersNotIncreasing(previous, index);
        }
        if (index >= size) revert INodeRegistry.SignerOutOfRange(index, size);
        (address recovered,,) = ECDSA.tryRecover(digest, r, vs);
        revert INodeRegistry.InvalidSignature(index, EpochBlob.keyAt(keys, index), recovered);
    }

    /// @dev The caller has checked that entry `i` lies within `signatures`.
    function _entry(bytes calldata signatures, uint256 i) private pure returns (uint256 index, bytes32 r, bytes32 vs) {
        assembly ("memory-safe") {
            let entry := add(signatures.offset, mul(i, 66))
            index := shr(240, calldataload(entry))
            r := calldataload(add(entry, 2))
            vs := calldataload(add(entry, 34))
        }
    }
}
