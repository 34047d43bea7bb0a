// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {EpochBlob, EpochHeader} from "../src/libraries/EpochBlob.sol";

/// @notice Epochs stored as code: what is written is read, at the address that the number says.
contract EpochBlobTest is Base {
    BlobWriter private _writer = new BlobWriter();

    function testFuzz_EpochBlob_RoundTrip(
        uint16[2] memory counts,
        bool bls_,
        uint40[3] memory times,
        address[] memory keys,
        bytes memory bls
    ) public {
        INodeRegistry.Epoch memory epoch = INodeRegistry.Epoch({
            size: uint16(bound(counts[0], 1, type(uint16).max)), // 0 means that there is no epoch
            quorum: counts[1],
            scheme: bls_ ? INodeRegistry.Scheme.Bls : INodeRegistry.Scheme.Ecdsa,
            startedAt: times[0],
            replaceableAt: times[1],
            expiresAt: times[2]
        });
        address blob = _writer.write(epoch, keys, bls);
        assertEq(blob.code.length, 21 + 20 * keys.length + bls.length, "code size");
        assertEq(EpochBlob.blsOffset(keys.length), 21 + 20 * keys.length, "offset of the BLS keys");

        EpochHeader header = EpochBlob.read(blob, 1);
        assertEq(header.size(), epoch.size, "size");
        assertEq(header.quorum(), epoch.quorum, "quorum");
        assertEq(uint256(header.scheme()), uint256(epoch.scheme), "scheme");
        assertEq(header.startedAt(), epoch.startedAt, "startedAt");
        assertEq(header.replaceableAt(), epoch.replaceableAt, "replaceableAt");
        assertEq(header.expiresAt(), epoch.expiresAt, "expiresAt");

        bytes memory stored = EpochBlob.readKeys(blob, keys.length);
        assertEq(stored.length, 20 * keys.length, "length of the keys");
        for (uint256 i = 0; i < keys.length; ++i) {
            assertEq(EpochBlob.keyAt(stored, i), keys[i], "key");
        }
        bytes memory code = blob.code;
        for (uint256 i = 0; i < bls.length; ++i) {
            assertTrue(code[21 + 20 * keys.length + i] == bls[i], "BLS keys");
        }
    }

    /// @dev Neither the stores of the keys nor those of the loads may touch memory behind their own.
    function testFuzz_EpochBlob_LeavesOtherMemoryAlone(address[] memory keys, bytes memory other) public {
        bytes32 before = keccak256(other);
        address blob = EpochBlob.write(_epoch(keys.length), keys, "");
        bytes memory loaded = EpochBlob.readKeys(blob, keys.length);
        bytes memory fresh = new bytes(64); // allocated behind `loaded`
        assertEq(keccak256(other), before, "memory in front");
        assertEq(keccak256(fresh), keccak256(abi.encode(0, 0)), "memory behind");
        assertEq(loaded.length, 20 * keys.length, "the load itself");
    }

    function test_EpochBlob_CallDoesNothing() public {
        address[] memory keys = new address[](2);
        keys[0] = address(0xFFfFfFffFFfffFFfFFfFFFFFffFFFffffFfFFFfF); // would be INVALID, SELFDESTRUCT, ... as code
        keys[1] = address(uint160(type(uint160).max - 0xff));
        address blob = _writer.write(_epoch(2), keys, "");
        (bool success, bytes memory returned) = blob.call(hex"12345678");
        assertTrue(success, "STOP");
        assertEq(returned.length, 0, "nothing returned");
        assertEq(blob.code.length, 61, "still there");
    }

    /// @dev The number of an epoch is the nonce of its creation, from 1 (EIP-161), also where the encoding grows.
    function test_EpochBlob_LiesWhereItsNumberSays() public {
        for (uint64 epoch = 1; epoch <= 300; ++epoch) {
            address blob = _writer.write(_epoch(1), new address[](1), "");
            assertEq(EpochBlob.at(address(_writer), epoch), blob, "address");
        }
    }

    function test_EpochBlob_RevertWhen_Unknown() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownEpoch.selector, 7));
        this.read(EpochBlob.at(address(_writer), 7), 7);
        _writer.write(_epoch(1), new address[](1), "");
        this.read(EpochBlob.at(address(_writer), 1), 1);
        // no number leads to anything else that the writer has not created
        uint64[4] memory numbers = [0, 2, uint64(1) << 32 | 1, type(uint64).max];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownEpoch.selector, numbers[i]));
            this.read(EpochBlob.at(address(_writer), numbers[i]), numbers[i]);
        }
    }

    function test_EpochBlob_RevertWhen_CreationFails() public {
        vm.setNonce(address(_writer), type(uint64).max); // EIP-2681: no contract can be created from here
        vm.expectRevert(abi.encodeWithSelector(EpochBlob.EpochBlobCreationFailed.selector));
        _writer.write(_epoch(1), new address[](1), "");
    }

    /// @notice Gives a revert of the library its own call frame.
    function read(address blob, uint64 number) external view returns (EpochHeader) {
        return EpochBlob.read(blob, number);
    }

    function _epoch(uint256 size) private pure returns (INodeRegistry.Epoch memory epoch) {
        // forge-lint: disable-next-line(unsafe-typecast)
        epoch.size = uint16(size); // at most what fits the code of a contract
    }
}

/// @notice Creates nothing but epochs, as the registry does.
contract BlobWriter {
    function write(INodeRegistry.Epoch memory epoch, address[] memory keys, bytes memory bls)
        external
        returns (address)
    {
        return EpochBlob.write(epoch, keys, bls);
    }
}
