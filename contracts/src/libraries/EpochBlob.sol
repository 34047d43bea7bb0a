// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {CreateAddress} from "./CreateAddress.sol";

/// @notice The first word of the code of an epoch (EpochBlob).
type EpochHeader is uint256;

using EpochHeaderFields for EpochHeader global;

/// @title EpochHeaderFields
/// @notice Access to the fields of an EpochHeader.
library EpochHeaderFields {
    /// @notice How certificates are signed.
    function scheme(EpochHeader self) internal pure returns (INodeRegistry.Scheme) {
        return INodeRegistry.Scheme(uint8(EpochHeader.unwrap(self) >> 240));
    }

    /// @notice Number of validators.
    function size(EpochHeader self) internal pure returns (uint16) {
        return uint16(EpochHeader.unwrap(self) >> 224);
    }

    /// @notice Signatures that a certificate needs.
    function quorum(EpochHeader self) internal pure returns (uint16) {
        return uint16(EpochHeader.unwrap(self) >> 208);
    }

    /// @notice Timestamp (seconds) of the snapshot.
    function startedAt(EpochHeader self) internal pure returns (uint40) {
        return uint40(EpochHeader.unwrap(self) >> 168);
    }

    /// @notice Timestamp (seconds) before which no next epoch can start.
    function replaceableAt(EpochHeader self) internal pure returns (uint40) {
        return uint40(EpochHeader.unwrap(self) >> 128);
    }

    /// @notice Timestamp (seconds) of the last second in which its certificates count.
    function expiresAt(EpochHeader self) internal pure returns (uint40) {
        return uint40(EpochHeader.unwrap(self) >> 88);
    }
}

/// @title EpochBlob
/// @notice A validator epoch, stored as the code of a contract ("SSTORE2") whose address follows from the epoch's number.
/// @dev Reading a whole epoch costs one cold account (2,600 gas) instead of one cold slot (2,100 gas) an entry. The registry
///      creates nothing but epochs, so its nonce at the creation of epoch e is e (EIP-161 starts at 1), and every contract that
///      knows the registry finds the epoch without calling it. The code:
///      STOP | scheme 1 byte | size 2 | quorum 2 | startedAt 5 | replaceableAt 5 | expiresAt 5 | size x 20 vote keys | BLS
///      keys, if the scheme is BLS: 192 bytes of their sum and size x 192. The STOP makes a call into it do nothing.
library EpochBlob {
    /// @notice The epoch could not be stored.
    error EpochBlobCreationFailed();

    /// @notice Bytes in front of the vote keys.
    uint256 internal constant HEADER_SIZE = 21;
    /// @notice Bytes of a vote key.
    uint256 internal constant KEY_SIZE = 20;

    /// @dev Init code that returns everything behind itself: PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY,
    ///      RETURNDATASIZE, RETURN. `size` stands in its second and third byte.
    uint80 private constant INIT_CODE = 0x610000_80_600a_3d_39_3d_f3;

    /// @notice Where the epoch of a registry lies, if it exists.
    /// @param registry who stores epochs
    /// @param epoch number of the epoch, below 2^32
    function at(address registry, uint64 epoch) internal pure returns (address blob) {
        return CreateAddress.compute(registry, epoch);
    }

    /// @notice Store an epoch.
    /// @param epoch size, quorum, scheme and life
    /// @param voteKeys `epoch.size` addresses
    /// @param blsKeys sum and keys, 192 bytes each; empty for ECDSA
    /// @return blob contract whose code holds them
    function write(INodeRegistry.Epoch memory epoch, address[] memory voteKeys, bytes memory blsKeys)
        internal
        returns (address blob)
    {
        bytes memory keys = new bytes(voteKeys.length * KEY_SIZE + 12); // the store of the last key writes 12 bytes behind it
        for (uint256 i = 0; i < voteKeys.length; ++i) {
            address key = voteKeys[i];
            assembly ("memory-safe") {
                mstore(add(add(keys, 32), mul(i, 20)), shl(96, key))
            }
        }
        assembly ("memory-safe") {
            mstore(keys, sub(mload(keys), 12))
        }
        uint256 size = HEADER_SIZE + keys.length + blsKeys.length;
        bytes memory code = abi.encodePacked(
            // forge-lint: disable-next-line(unsafe-typecast)
            INIT_CODE | uint80(size) << 56, // EIP-170 limits code to 24,576 bytes
            bytes1(0), // STOP
            epoch.scheme,
            epoch.size,
            epoch.quorum,
            epoch.startedAt,
            epoch.replaceableAt,
            epoch.expiresAt,
            keys,
            blsKeys
        );
        assembly ("memory-safe") {
            blob := create(0, add(code, 32), mload(code))
        }
        if (blob == address(0)) revert EpochBlobCreationFailed();
    }

    /// @notice Load the header of an epoch; reverts if the epoch does not exist.
    /// @param blob `at` of the epoch
    /// @param number number of the epoch, for the error
    function read(address blob, uint64 number) internal view returns (EpochHeader header) {
        assembly ("memory-safe") {
            extcodecopy(blob, 0, 0, 32)
            header := mload(0)
        }
        // an epoch has members, an account without code is all zero
        if (header.size() == 0) revert INodeRegistry.UnknownEpoch(number);
    }

    /// @notice Load the vote keys of an epoch.
    /// @param blob `at` of the epoch
    /// @param size number of validators
    /// @return keys `size` times 20 bytes
    function readKeys(address blob, uint256 size) internal view returns (bytes memory keys) {
        assembly ("memory-safe") {
            keys := mload(0x40)
            let length := mul(size, 20)
            mstore(keys, length)
            extcodecopy(blob, add(keys, 32), 21, length)
            mstore(0x40, add(keys, and(add(length, 63), not(31))))
        }
    }

    /// @notice One key of a loaded list.
    /// @param keys result of `read`
    /// @param index position, which the caller has checked to be below the number of keys
    function keyAt(bytes memory keys, uint256 index) internal pure returns (address key) {
        assembly ("memory-safe") {
            key := shr(96, mload(add(add(keys, 32), mul(index, 20))))
        }
    }

    /// @notice Where the BLS keys begin in the code of an epoch.
    /// @param size number of validators
    function blsOffset(uint256 size) internal pure returns (uint256) {
        return HEADER_SIZE + size * KEY_SIZE;
    }
}
