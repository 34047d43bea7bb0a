// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title KeyBlob
/// @notice An immutable list of addresses stored as the code of a contract ("SSTORE2").
/// @dev Reading a whole list costs one cold account (2,600 gas) instead of one cold slot (2,100 gas) an entry. The code is
///      a STOP byte, so that a call into it does nothing, followed by 20 bytes an address.
library KeyBlob {
    /// @notice The blob could not be created.
    error KeyBlobCreationFailed();

    /// @notice Bytes of one key in a blob.
    uint256 private constant KEY_SIZE = 20;

    /// @dev Init code that returns everything behind itself: PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY,
    ///      RETURNDATASIZE, RETURN. `size` stands in its second and third byte.
    uint256 private constant INIT_CODE = 0x610000_80_600a_3d_39_3d_f3;

    /// @notice Store a list.
    /// @param keys at most 1,228 addresses (EIP-170 limits code to 24,576 bytes)
    /// @return blob contract whose code holds the list
    function write(address[] memory keys) internal returns (address blob) {
        uint256 size = 1 + keys.length * KEY_SIZE;
        uint256 initCode = INIT_CODE | (size << 56);
        // init code (10) ‖ STOP ‖ keys, and room for the 12 bytes that the store of the last key writes behind it
        bytes memory code = new bytes(10 + size + 12);
        assembly ("memory-safe") {
            mstore(add(code, 32), shl(176, initCode))
        }
        for (uint256 i = 0; i < keys.length; ++i) {
            address key = keys[i];
            assembly ("memory-safe") {
                mstore(add(add(code, 43), mul(i, 20)), shl(96, key))
            }
        }
        assembly ("memory-safe") {
            blob := create(0, add(code, 32), add(size, 10))
        }
        if (blob == address(0)) revert KeyBlobCreationFailed();
    }

    /// @notice Load the packed keys of a blob.
    /// @param blob contract written by `write`
    /// @param count number of keys in it
    /// @return keys `count` times 20 bytes
    function read(address blob, uint256 count) internal view returns (bytes memory keys) {
        keys = new bytes(count * KEY_SIZE);
        assembly ("memory-safe") {
            extcodecopy(blob, add(keys, 32), 1, mload(keys))
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
}
