// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {KeyBlob} from "./KeyBlob.sol";

/// @title Certificates
/// @notice Verification of ECDSA quorum certificates.
library Certificates {
    /// @notice Bytes of one entry: signer index (2) ‖ r (32) ‖ vs (32, EIP-2098).
    uint256 internal constant ENTRY_SIZE = 66;

    /// @notice Reverts unless at least `quorum` distinct validators have signed `digest`.
    /// @dev Signer indices increase strictly, so no signer is counted twice; ECDSA.tryRecover refuses high s, so one vote
    ///      has one encoding; a failed recovery yields zero, which no key of an epoch is.
    /// @param keys packed vote keys of the epoch (KeyBlob.read)
    /// @param size number of keys
    /// @param quorum signatures needed
    /// @param digest EIP-712 digest that was signed
    /// @param signatures the entries
    /// @return signers bitmap of the signer indices
    function verify(bytes memory keys, uint256 size, uint256 quorum, bytes32 digest, bytes calldata signatures)
        internal
        pure
        returns (uint256[] memory signers)
    {
        uint256 count = signatures.length / ENTRY_SIZE;
        if (signatures.length != count * ENTRY_SIZE) {
            revert INodeRegistry.InvalidCertificateLength(signatures.length);
        }
        if (count < quorum) revert INodeRegistry.QuorumNotReached(count, quorum);

        signers = new uint256[]((size + 255) / 256);
        uint256 next = 0; // least index that the next entry may have
        for (uint256 i = 0; i < count; ++i) {
            (uint256 index, bytes32 r, bytes32 vs) = _entry(signatures, i);
            if (index < next) revert INodeRegistry.SignersNotIncreasing(next - 1, index);
            if (index >= size) revert INodeRegistry.SignerOutOfRange(index, size);
            next = index + 1;
            address expected = KeyBlob.keyAt(keys, index);
            (address recovered,,) = ECDSA.tryRecover(digest, r, vs);
            if (recovered != expected) revert INodeRegistry.InvalidSignature(index, expected, recovered);
            signers[index / 256] |= uint256(1) << (index % 256);
        }
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
