// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsFixture} from "./BlsFixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";

/// @notice The edge of what an ECDSA signature may be. A compact signature (EIP-2098) has 255 bits for s, so only the few values
///         between half the order and 2^255 are high; for such a one there is a key, but nobody knows its secret.
contract CertificatesTest is BlsFixture {
    uint256 private constant MAX_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    function test_Verify_AcceptsTheHighestLowS() public {
        (address signer, bytes memory certificate) = _signature(MAX_S);
        uint256 signers = harness.verifyEcdsa(_blob(signer), OFFSET, 1, 1, DIGEST, certificate);
        assertEq(signers, 1, "signers");
    }

    function test_Verify_RevertWhen_SIsAboveHalfTheOrder() public {
        (address signer, bytes memory certificate) = _signature(MAX_S + 1);
        address blob = _blob(signer);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.InvalidSignature.selector, 0, signer, address(0)));
        harness.verifyEcdsa(blob, OFFSET, 1, 1, DIGEST, certificate);
    }

    /// @dev A certificate of one entry with the given s, and the key that it is a signature of.
    function _signature(uint256 s) private pure returns (address signer, bytes memory certificate) {
        (bytes32 r,) = vm.signCompact(1, DIGEST);
        signer = ecrecover(DIGEST, 27, r, bytes32(s));
        vm.assertTrue(signer != address(0), "there is a key for every r and s");
        certificate = abi.encodePacked(uint16(0), r, s);
    }

    function _blob(address signer) private returns (address) {
        return harness.deploy(abi.encodePacked(hex"00", signer));
    }
}
