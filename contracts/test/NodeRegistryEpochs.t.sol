// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";

/// @notice Epochs and the certificates that they verify.
contract NodeRegistryEpochsTest is Fixture {
    bytes32 private constant DIGEST = keccak256("digest");

    // ---- advanceEpoch

    function test_AdvanceEpoch_SnapshotsAscendingAndEmits() public {
        for (uint256 key = 1; key <= 5; ++key) {
            registerValidator(key);
        }
        address[] memory expected = _sortedAddresses(5);
        vm.expectEmit(address(registry));
        emit INodeRegistry.EpochAdvanced(
            1, 4, INodeRegistry.Scheme.Ecdsa, uint64(block.timestamp) + EPOCH_LIFETIME, expected
        );
        vm.prank(stranger);
        uint64 epoch = registry.advanceEpoch("");

        assertEq(epoch, 1, "epochs count from 1");
        assertEq(registry.currentEpoch(), 1, "current");
        INodeRegistry.Epoch memory info = registry.epochInfo(1);
        assertEq(info.size, 5, "size");
        assertEq(info.quorum, 4, "quorum of five");
        assertEq(uint256(info.scheme), uint256(INodeRegistry.Scheme.Ecdsa), "scheme");
        assertEq(info.startedAt, block.timestamp, "startedAt");
        assertEq(info.replaceableAt, block.timestamp + EPOCH_LENGTH, "replaceableAt");
        assertEq(info.expiresAt, block.timestamp + EPOCH_LIFETIME, "expiresAt");
        _assertSame(registry.epochValidators(1), expected);
    }

    function test_AdvanceEpoch_RevertWhen_TooFewValidators() public {
        for (uint256 key = 1; key <= 3; ++key) {
            registerValidator(key);
        }
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TooFewValidators.selector, 3, 4));
        registry.advanceEpoch("");
    }

    /// @dev The last epoch stays current: tasks go on while validators are being found.
    function test_AdvanceEpoch_RevertWhen_TooFewAreLeft() public {
        bootEpoch(4);
        vm.prank(operator(voteKeys[0]));
        registry.startUnbonding();
        vm.warp(block.timestamp + EPOCH_LENGTH);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TooFewValidators.selector, 3, 4));
        registry.advanceEpoch("");
        assertEq(registry.currentEpoch(), 1, "current");
    }

    function test_AdvanceEpoch_RevertWhen_EpochNotOver() public {
        bootEpoch(4);
        uint64 endsAt = uint64(block.timestamp) + EPOCH_LENGTH;
        vm.warp(endsAt - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.EpochNotOver.selector, endsAt));
        registry.advanceEpoch("");
        assertEq(rotate(), 2, "on the second");
        assertEq(block.timestamp, endsAt, "that is");
    }

    function test_AdvanceEpoch_ListsNewAndOmitsLeavingValidators() public {
        bootEpoch(5);
        address[] memory first = registry.epochValidators(1);
        address gone = vm.addr(voteKeys[2]);
        vm.prank(operator(voteKeys[2]));
        registry.startUnbonding();
        registerValidator(77);
        rotate();

        address[] memory second = registry.epochValidators(2);
        assertEq(second.length, 5, "size");
        assertTrue(_contains(second, vm.addr(77)), "the new one");
        assertFalse(_contains(second, gone), "the one that left");
        _assertSame(registry.epochValidators(1), first); // immutable
    }

    function test_AdvanceEpoch_OfTheLargestSet() public {
        bootEpoch(100);
        address[] memory listed = registry.epochValidators(1);
        assertEq(listed.length, 100, "size");
        for (uint256 i = 0; i < 100; ++i) {
            assertEq(listed[i], vm.addr(voteKeys[i]), "ascending order");
        }
        assertEq(registry.epochInfo(1).quorum, 67, "quorum of 100");
    }

    function testFuzz_AdvanceEpoch_IsStrictlyAscending(uint256 seed, uint256 size) public {
        size = bound(size, 4, 12);
        for (uint256 i = 0; i < size; ++i) {
            registerValidator(bound(uint256(keccak256(abi.encode(seed, i))), 1, SECP256K1_N - 1));
        }
        registry.advanceEpoch("");
        address[] memory listed = registry.epochValidators(1);
        assertEq(listed.length, size, "size");
        for (uint256 i = 1; i < size; ++i) {
            assertTrue(listed[i - 1] < listed[i], "strictly ascending");
        }
    }

    // ---- views of epochs

    function test_EpochValidators_RevertWhen_Unknown() public {
        _expectUnknown(0);
        registry.epochValidators(0);
        bootEpoch(4);
        _expectUnknown(2);
        registry.epochValidators(2);
    }

    function test_EpochInfo_RevertWhen_Unknown() public {
        _expectUnknown(0);
        registry.epochInfo(0);
        bootEpoch(4);
        _expectUnknown(2);
        registry.epochInfo(2);
    }

    // ---- verifyCertificate

    function test_VerifyCertificate_ReturnsSigners() public {
        bootEpoch(4);
        bytes memory signatures = abi.encodePacked(entry(DIGEST, 0), entry(DIGEST, 2), entry(DIGEST, 3));
        assertEq(registry.verifyCertificate(1, DIGEST, signatures), 13, "bits 0, 2 and 3");
    }

    function test_VerifyCertificate_AcceptsMoreThanAQuorum() public {
        bootEpoch(4);
        assertEq(registry.verifyCertificate(1, DIGEST, signAll(DIGEST, 4)), 15, "everybody");
    }

    function test_VerifyCertificate_OfAPastEpoch() public {
        bootEpoch(4);
        registerValidator(77);
        rotate();
        registry.verifyCertificate(1, DIGEST, signAll(DIGEST, 3));
    }

    /// @dev Any set of signers passes exactly if it has the quorum's size.
    function testFuzz_VerifyCertificate_AnySubset(uint256 members, uint256 size) public {
        size = bound(size, 4, 13);
        bootEpoch(size);
        members &= (uint256(1) << size) - 1;
        bytes memory signatures;
        uint256 count;
        for (uint256 i = 0; i < size; ++i) {
            if (members >> i & 1 == 0) continue;
            signatures = abi.encodePacked(signatures, entry(DIGEST, i));
            ++count;
        }
        uint256 needed = registry.epochInfo(1).quorum;
        if (count < needed) {
            vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, count, needed));
            registry.verifyCertificate(1, DIGEST, signatures);
        } else {
            assertEq(registry.verifyCertificate(1, DIGEST, signatures), members, "signers");
        }
    }

    function testFuzz_VerifyCertificate_RevertWhen_AnyByteIsChanged(uint256 position, uint8 change) public {
        bootEpoch(4);
        bytes memory signatures = signAll(DIGEST, 3);
        position = bound(position, 0, signatures.length - 1);
        change = uint8(bound(change, 1, 255));
        signatures[position] = bytes1(uint8(signatures[position]) ^ change);
        vm.expectRevert();
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_EpochUnknown() public {
        bootEpoch(4);
        bytes memory signatures = signAll(DIGEST, 3);
        _expectUnknown(0);
        registry.verifyCertificate(0, DIGEST, signatures);
        _expectUnknown(2);
        registry.verifyCertificate(2, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_Empty() public {
        bootEpoch(4);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, 0, 3));
        registry.verifyCertificate(1, DIGEST, "");
    }

    function test_VerifyCertificate_RevertWhen_OneBelowQuorum() public {
        bootEpoch(4);
        bytes memory signatures = signAll(DIGEST, 2);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, 2, 3));
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_LengthIsOff() public {
        bootEpoch(4);
        bytes memory signatures = abi.encodePacked(signAll(DIGEST, 3), hex"00");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.InvalidCertificateLength.selector, 3 * 66 + 1));
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_SignerIsDuplicated() public {
        bootEpoch(4);
        bytes memory signatures = abi.encodePacked(entry(DIGEST, 1), entry(DIGEST, 2), entry(DIGEST, 2));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.SignersNotIncreasing.selector, 2, 2));
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_SignersAreUnsorted() public {
        bootEpoch(4);
        bytes memory signatures = abi.encodePacked(entry(DIGEST, 0), entry(DIGEST, 3), entry(DIGEST, 1));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.SignersNotIncreasing.selector, 3, 1));
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_IndexIsOutOfRange() public {
        bootEpoch(4);
        (bytes32 r, bytes32 vs) = vm.signCompact(voteKeys[3], DIGEST);
        bytes memory signatures = abi.encodePacked(entry(DIGEST, 0), entry(DIGEST, 1), uint16(4), r, vs);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.SignerOutOfRange.selector, 4, 4));
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_AnotherDigestWasSigned() public {
        bootEpoch(4);
        bytes memory signatures = signAll(keccak256("another digest"), 3);
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_SignerIsNotTheNamedOne() public {
        bootEpoch(4);
        (bytes32 r, bytes32 vs) = vm.signCompact(voteKeys[0], DIGEST);
        bytes memory signatures = abi.encodePacked(entry(DIGEST, 0), uint16(1), r, vs, entry(DIGEST, 2));
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.InvalidSignature.selector, 1, vm.addr(voteKeys[1]), vm.addr(voteKeys[0])
            )
        );
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    /// @dev s in the upper half of the order: what EIP-2 calls malleable. EIP-2098 leaves room for a sliver of it.
    function test_VerifyCertificate_RevertWhen_SIsHigh() public {
        bootEpoch(4);
        bytes32 highest = bytes32(SECP256K1_N / 2 + 1);
        (bytes32 r,) = vm.signCompact(voteKeys[2], DIGEST);
        bytes memory signatures = abi.encodePacked(entry(DIGEST, 0), entry(DIGEST, 1), uint16(2), r, highest);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InvalidSignature.selector, 2, vm.addr(voteKeys[2]), address(0))
        );
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_RecoveryFails() public {
        bootEpoch(4);
        bytes memory signatures =
            abi.encodePacked(entry(DIGEST, 0), entry(DIGEST, 1), uint16(2), bytes32(0), bytes32(0));
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InvalidSignature.selector, 2, vm.addr(voteKeys[2]), address(0))
        );
        registry.verifyCertificate(1, DIGEST, signatures);
    }

    function test_VerifyCertificate_RevertWhen_SignersAreOfAnotherEpoch() public {
        bootEpoch(4);
        bytes memory old = signAll(DIGEST, 4);
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(operator(voteKeys[i]));
            registry.startUnbonding();
        }
        for (uint256 key = 1; key <= 4; ++key) {
            registerValidator(key);
        }
        rotate();
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        registry.verifyCertificate(2, DIGEST, old);
    }

    // ---- helpers

    function _expectUnknown(uint64 epoch) private {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnknownEpoch.selector, epoch));
    }

    /// @dev Addresses of the keys 1 to `count`, ascending.
    function _sortedAddresses(uint256 count) private pure returns (address[] memory sorted) {
        sorted = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            sorted[i] = vm.addr(i + 1);
            for (uint256 j = i; j > 0 && sorted[j] < sorted[j - 1]; --j) {
                (sorted[j], sorted[j - 1]) = (sorted[j - 1], sorted[j]);
            }
        }
    }

    function _assertSame(address[] memory a, address[] memory b) private pure {
        assertEq(keccak256(abi.encode(a)), keccak256(abi.encode(b)), "list of vote keys");
    }

    function _contains(address[] memory list, address wanted) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == wanted) return true;
        }
        return false;
    }
}
