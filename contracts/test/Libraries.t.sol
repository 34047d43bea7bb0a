// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {KeyBlob} from "../src/libraries/KeyBlob.sol";
import {Quorum} from "../src/libraries/Quorum.sol";

/// @notice Properties of the small libraries.
contract LibrariesTest is Base {
    // ---- Quorum

    /// @dev Safety: two quorums share more than f members, so at least one honest one.
    function testFuzz_Quorum_TwoQuorumsShareAnHonestMember(uint256 n) public pure {
        n = bound(n, 1, type(uint128).max);
        assertTrue(2 * Quorum.quorum(n) >= n + Quorum.maxFaulty(n) + 1, "intersection");
    }

    /// @dev Liveness: the honest members are a quorum without the faulty ones.
    function testFuzz_Quorum_HonestMembersSuffice(uint256 n) public pure {
        n = bound(n, 1, type(uint128).max);
        assertLe(Quorum.quorum(n), n - Quorum.maxFaulty(n), "reachable");
    }

    /// @dev And no smaller number would be safe.
    function testFuzz_Quorum_IsTheSmallest(uint256 n) public pure {
        n = bound(n, 1, type(uint128).max);
        assertTrue(2 * (Quorum.quorum(n) - 1) < n + Quorum.maxFaulty(n) + 1, "minimal");
    }

    // ---- KeyBlob

    function testFuzz_KeyBlob_RoundTrip(address[] memory keys) public {
        address blob = KeyBlob.write(keys);
        assertEq(blob.code.length, 1 + 20 * keys.length, "code size");
        bytes memory stored = KeyBlob.read(blob, keys.length);
        for (uint256 i = 0; i < keys.length; ++i) {
            assertEq(KeyBlob.keyAt(stored, i), keys[i], "key");
        }
    }

    /// @dev The store of the last key must not touch memory behind its own.
    function testFuzz_KeyBlob_WriteLeavesOtherMemoryAlone(address[] memory keys, bytes memory other) public {
        bytes32 before = keccak256(other);
        KeyBlob.write(keys);
        assertEq(keccak256(other), before, "memory");
    }

    function test_KeyBlob_CallDoesNothing() public {
        address[] memory keys = new address[](2);
        keys[0] = address(0xFFfFfFffFFfffFFfFFfFFFFFffFFFffffFfFFFfF); // would be INVALID, SELFDESTRUCT, ... as code
        keys[1] = address(uint160(type(uint160).max - 0xff));
        address blob = KeyBlob.write(keys);
        (bool success, bytes memory returned) = blob.call(hex"12345678");
        assertTrue(success, "STOP");
        assertEq(returned.length, 0, "nothing returned");
        assertEq(blob.code.length, 41, "still there");
    }

    function test_KeyBlob_RevertWhen_CreationFails() public {
        BlobWriter writer = new BlobWriter();
        vm.setNonce(address(writer), type(uint64).max); // EIP-2681: no contract can be created from here
        vm.expectRevert(abi.encodeWithSelector(KeyBlob.KeyBlobCreationFailed.selector));
        writer.write(new address[](1));
    }
}

/// @notice Gives a revert of the library its own call frame.
contract BlobWriter {
    function write(address[] memory keys) external returns (address) {
        return KeyBlob.write(keys);
    }
}
