// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";

/// @notice Who may replace an epoch, and when: the current set by its certificate first, anybody later.
contract NodeRegistryRotationTest is Fixture {
    uint64 private _replaceableAt;

    function setUp() public override {
        super.setUp();
        bootEpoch(4);
        _replaceableAt = registry.epochInfo(1).replaceableAt;
    }

    // ---- the current set

    function test_AdvanceEpoch_ByTheCurrentSet() public {
        registerValidator(77);
        vm.warp(_replaceableAt);
        bytes memory certificate = handover(3);
        vm.prank(stranger); // anybody may relay
        assertEq(registry.advanceEpoch(certificate), 2, "epoch");
        assertEq(registry.epochInfo(2).size, 5, "size");
        assertEq(registry.epochInfo(2).startedAt, _replaceableAt, "startedAt");
    }

    function test_AdvanceEpoch_ByTheCurrentSetOnItsLastSecond() public {
        vm.warp(_replaceableAt + EPOCH_LENGTH - 1);
        assertEq(registry.advanceEpoch(handover(3)), 2, "epoch");
    }

    function test_AdvanceEpoch_RevertWhen_TooEarlyInSpiteOfACertificate() public {
        vm.warp(_replaceableAt - 1);
        bytes memory certificate = handover(4);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.EpochNotOver.selector, _replaceableAt));
        registry.advanceEpoch(certificate);
    }

    function test_AdvanceEpoch_RevertWhen_NoCertificateIsGiven() public {
        vm.warp(_replaceableAt);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, 0, 3));
        registry.advanceEpoch("");
    }

    function test_AdvanceEpoch_RevertWhen_TheCertificateIsBelowQuorum() public {
        vm.warp(_replaceableAt);
        bytes memory certificate = handover(2);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, 2, 3));
        registry.advanceEpoch(certificate);
    }

    /// @dev The set hands over to those that it has seen, not to whoever registers while its certificate is under way.
    function test_AdvanceEpoch_RevertWhen_TheNextSetChangedAfterTheSigning() public {
        vm.warp(_replaceableAt);
        bytes memory certificate = handover(3);
        registerValidator(77);
        _expectForeign(certificate);
    }

    function test_AdvanceEpoch_RevertWhen_SignedForAnotherEpoch() public {
        vm.warp(_replaceableAt);
        _expectForeign(signAll(registry.rotationDigest(3, registry.nextValidators()), 3));
    }

    function test_AdvanceEpoch_RevertWhen_TheCertificateIsReplayed() public {
        vm.warp(_replaceableAt);
        bytes memory certificate = handover(3);
        registry.advanceEpoch(certificate);
        vm.warp(registry.epochInfo(2).replaceableAt);
        _expectForeign(certificate);
    }

    function test_AdvanceEpoch_RevertWhen_SignedForAnotherChain() public {
        vm.warp(_replaceableAt);
        bytes memory certificate = handover(3);
        vm.chainId(block.chainid + 1);
        _expectForeign(certificate);
    }

    function test_AdvanceEpoch_RevertWhen_SignedForAnotherRegistry() public {
        NodeRegistry other = new NodeRegistry(registryConfig());
        vm.warp(_replaceableAt);
        _expectForeign(signAll(other.rotationDigest(2, registry.nextValidators()), 3));
    }

    /// @dev The old set hands over, the new one is in charge of the next rotation: here not one signer is in both.
    function test_AdvanceEpoch_RevertWhen_AnEarlierSetSigns() public {
        for (uint256 i = 0; i < 4; ++i) {
            registerValidator(1000 + i);
            vm.prank(operator(voteKeys[i]));
            registry.startUnbonding();
        }
        rotate();
        vm.warp(registry.epochInfo(2).replaceableAt);
        _expectForeign(handover(3));
    }

    /// @dev A vote for a round is no vote for a rotation, whatever its digest.
    function test_RotationDigest_IsOfItsOwnType() public view {
        address[] memory voteKeys_ = registry.nextValidators();
        bytes32 keys = keccak256(abi.encodePacked(voteKeys_));
        bytes32 typeHash = keccak256("Rotation(uint64 epoch,address[] voteKeys)");
        bytes32 structHash = keccak256(abi.encode(typeHash, uint64(2), keys));
        bytes32 domain = domainOf("NodeRegistry", address(registry));
        bytes32 expected = keccak256(abi.encodePacked(hex"1901", domain, structHash));
        assertEq(registry.rotationDigest(2, voteKeys_), expected, "EIP-712");
    }

    // ---- anybody

    /// @dev A set that is dead cannot keep its place.
    function test_AdvanceEpoch_ByAnybodyAfterAnotherLength() public {
        vm.warp(_replaceableAt + EPOCH_LENGTH - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.QuorumNotReached.selector, 0, 3));
        registry.advanceEpoch("");
        vm.warp(_replaceableAt + EPOCH_LENGTH);
        vm.prank(stranger);
        assertEq(registry.advanceEpoch(""), 2, "epoch");
    }

    /// @dev What nobody asks for is not looked at.
    function test_AdvanceEpoch_ByAnybodyWithAnyCertificate() public {
        vm.warp(_replaceableAt + EPOCH_LENGTH);
        assertEq(registry.advanceEpoch(hex"1234"), 2, "epoch");
    }

    function test_AdvanceEpoch_AfterTheEpochHasExpired() public {
        vm.warp(uint256(registry.epochInfo(1).expiresAt) + 365 days);
        assertEq(registry.advanceEpoch(""), 2, "the registry comes back to life");
        assertEq(registry.epochInfo(2).expiresAt, block.timestamp + EPOCH_LIFETIME, "expiresAt");
    }

    /// @dev Two rotations cannot share a block: the second finds the first one's epoch too young.
    function test_AdvanceEpoch_RevertWhen_Twice() public {
        vm.warp(_replaceableAt + EPOCH_LENGTH);
        registry.advanceEpoch("");
        uint256 endsAt = block.timestamp + EPOCH_LENGTH;
        bytes memory certificate = handover(3);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.EpochNotOver.selector, endsAt));
        registry.advanceEpoch(certificate);
    }

    /// @dev A local network has no waiting time: any number of epochs in one block, without a certificate.
    function test_AdvanceEpoch_WithoutALength() public {
        INodeRegistry.Config memory config = registryConfig();
        config.epochLength = 0;
        registry = new NodeRegistry(config);
        delete voteKeys;
        bootEpoch(4);
        assertEq(registry.advanceEpoch(""), 2, "second");
        assertEq(registry.advanceEpoch(""), 3, "third");
    }

    // ---- what the next epoch would list

    function test_NextValidators_AreAscendingAndCurrent() public {
        assertEq(keccak256(abi.encode(registry.nextValidators())), _listed(1), "nobody came or went");
        registerValidator(77);
        vm.prank(operator(voteKeys[0]));
        registry.startUnbonding();
        address[] memory next = registry.nextValidators();
        for (uint256 i = 1; i < next.length; ++i) {
            assertTrue(next[i - 1] < next[i], "strictly ascending");
        }
        rotate();
        assertEq(keccak256(abi.encode(next)), _listed(2), "what the epoch lists");
    }

    /// @dev Any number of epochs: each is found where its number says, and none changes.
    function testFuzz_AdvanceEpoch_EveryEpochStaysAsItWas(uint256 choices) public {
        bytes32[8] memory listed;
        listed[0] = _listed(1);
        for (uint64 epoch = 2; epoch <= 8; ++epoch) {
            if (choices >> epoch & 1 == 1) registerValidator(1000 + epoch);
            vm.warp(uint256(registry.epochInfo(epoch - 1).replaceableAt) + EPOCH_LENGTH);
            assertEq(registry.advanceEpoch(""), epoch, "epochs count up");
            listed[epoch - 1] = _listed(epoch);
        }
        for (uint64 epoch = 1; epoch <= 8; ++epoch) {
            assertEq(_listed(epoch), listed[epoch - 1], "unchanged");
        }
    }

    // ---- helpers

    function _expectForeign(bytes memory certificate) private {
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        registry.advanceEpoch(certificate);
    }

    function _listed(uint64 epoch) private view returns (bytes32) {
        return keccak256(abi.encode(registry.epochValidators(epoch)));
    }
}
