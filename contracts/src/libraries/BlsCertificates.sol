// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

library BlsCertificates {
    function verify(address, uint256, uint256, uint256, bytes32, bytes calldata) internal view returns (uint256) {}
    function aggregate(bytes[] memory) internal view returns (bytes memory) {}
}
