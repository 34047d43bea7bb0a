// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Creates contracts at addresses that are known beforehand: nothing but its own creations raises its nonce, while a test
///         contract's grows with every call if each is a transaction (--isolate).
contract Creator {
    error Failed();

    function create(bytes memory code) external returns (address created) {
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        if (created == address(0)) revert Failed();
    }

    /// @notice As the deterministic deployers do that lie at one address on every chain.
    function create2(bytes32 salt, bytes memory code) external returns (address created) {
        assembly ("memory-safe") {
            created := create2(0, add(code, 32), mload(code), salt)
        }
        if (created == address(0)) revert Failed();
    }
}
