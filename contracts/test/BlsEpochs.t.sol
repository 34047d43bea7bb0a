// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsEpochFixture} from "./BlsEpochFixture.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {IBlsErrors} from "../src/interfaces/IBlsErrors.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";

/// @notice BLS keys in the registry, and epochs that certify by them.
contract BlsEpochsTest is BlsEpochFixture {
    uint256 private constant SIZE = 47; // NodeRegistry.MIN_BLS_VALIDATORS
    uint256 private constant FAULTY = 15;

    // ---- keys

    function test_RegisterBlsKey_KeepsIt() public {
        bootEpoch(4);
        address who = operator(voteKeys[0]);
        assertEq(registry.blsKeyOf(who).length, 0, "none before");
        bytes memory key = BlsSigner.publicKey(blsSecret(voteKeys[0]));
        bytes memory proof = blsPossession(blsSecret(voteKeys[0]), who);
        vm.expectEmit(address(registry));
        emit INodeRegistry.BlsKeyRegistered(who, key);
        vm.prank(who);
        registry.registerBlsKey(key, proof);
        assertEq(keccak256(registry.blsKeyOf(who)), keccak256(BlsSigner.pack(key)), "key");
    }

    function test_RegisterBlsKey_RevertWhen_PossessionOfAnotherOperator() public {
        bootEpoch(4);
        address who = operator(voteKeys[0]);
        bytes memory key = BlsSigner.publicKey(blsSecret(voteKeys[1]));
        bytes memory proof = blsPossession(blsSecret(voteKeys[1]), operator(voteKeys[1]));
        vm.expectRevert(abi.encodeWithSelector(IBlsErrors.InvalidBlsPossession.selector, who));
        vm.prank(who);
        registry.registerBlsKey(key, proof);
    }

    function test_RegisterBlsKey_RevertWhen_NotValidator() public {
        address miner = newMiner();
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotValidator.selector, miner));
        vm.prank(miner);
        registry.registerBlsKey("", "");
    }

    function test_RegisterBlsKey_RevertWhen_NotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, stranger));
        vm.prank(stranger);
        registry.registerBlsKey("", "");
    }

    function test_WithdrawStake_ForgetsTheBlsKeyButNobodyCanUseItAgain() public {
        bootEpoch(5);
        registerBlsKey(voteKeys[0]);
        address who = operator(voteKeys[0]);
        vm.prank(who);
        registry.startUnbonding();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(who);
        registry.withdrawStake();
        assertEq(registry.blsKeyOf(who).length, 0, "forgotten");

        uint256 fresh = uint256(keccak256("a fresh vote key"));
        address other = operator(fresh);
        registerValidator(fresh);
        bytes memory key = BlsSigner.publicKey(blsSecret(voteKeys[0]));
        bytes memory proof = blsPossession(blsSecret(voteKeys[0]), other);
        vm.expectPartialRevert(IBlsErrors.BlsKeyUsed.selector);
        vm.prank(other);
        registry.registerBlsKey(key, proof);
    }

    // ---- epochs

    function test_AdvanceEpoch_BlsWhenLargeAndAllHaveKeys() public {
        bootBlsEpoch(SIZE);
        INodeRegistry.Epoch memory epoch = registry.epochInfo(2);
        assertEq(uint256(epoch.scheme), uint256(INodeRegistry.Scheme.Bls), "scheme");
        assertEq(epoch.size, SIZE, "size");
        address[] memory keys = registry.epochValidators(2);
        for (uint256 i = 0; i < SIZE; ++i) {
            assertEq(keys[i], vm.addr(voteKeys[i]), "vote key");
        }
    }

    function test_AdvanceEpoch_EcdsaBelowTheBreakEven() public {
        bootBlsEpoch(SIZE - 1);
        assertEq(uint256(registry.epochInfo(2).scheme), uint256(INodeRegistry.Scheme.Ecdsa), "scheme");
    }

    function test_AdvanceEpoch_EcdsaIfOneHasNoBlsKey() public {
        bootEpoch(SIZE);
        for (uint256 i = 1; i < SIZE; ++i) {
            registerBlsKey(voteKeys[i]);
        }
        vm.warp(block.timestamp + 2 * EPOCH_LENGTH);
        registry.advanceEpoch("");
        assertEq(uint256(registry.epochInfo(2).scheme), uint256(INodeRegistry.Scheme.Ecdsa), "scheme");
    }

    function test_AdvanceEpoch_HandedOverByABlsCertificate() public {
        bootBlsEpoch(SIZE);
        vm.warp(block.timestamp + EPOCH_LENGTH);
        bytes32 digest = registry.rotationDigest(3, registry.nextValidators());
        bytes memory certificate = blsSignatures(digest, (uint256(1) << FAULTY) - 1);
        vm.prank(stranger);
        assertEq(registry.advanceEpoch(certificate), 3, "epoch");
    }
}
