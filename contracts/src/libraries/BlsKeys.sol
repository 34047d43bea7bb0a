// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

library BlsKeys {
    struct Book {
        mapping(address operator => bytes32[6]) keys;
    }
    function register(Book storage, address, bytes calldata, bytes calldata, bytes32) internal {}
    function remove(Book storage, address) internal {}
    function keyOf(Book storage, address) internal view returns (bytes memory) {}
    function has(Book storage, address) internal view returns (bool) {}
}
