// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Fixture} from "./Fixture.sol";
import {RefusingNode, ReentrantNode} from "./mocks/HostileNodes.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";

/// @notice Stakes, endpoints and leaving.
contract NodeRegistryStakeTest is Fixture {
    address private constant ALICE = address(0xA11CE);
    uint256 private constant KEY = uint256(keccak256("alice's vote key"));
    string private constant URL = "http://127.0.0.1:9000";

    // ---- addStake

    function test_AddStake_RaisesStakeAndEmits() public {
        _registerMiner(ALICE);
        vm.deal(ALICE, 5);
        vm.expectEmit(address(registry));
        emit INodeRegistry.StakeAdded(ALICE, 5, MINER_STAKE + 5);
        vm.prank(ALICE);
        registry.addStake{value: 5}();
        assertEq(registry.node(ALICE).stake, MINER_STAKE + 5, "stake");
    }

    function test_AddStake_RevertWhen_NotRegistered() public {
        vm.deal(ALICE, 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, ALICE));
        vm.prank(ALICE);
        registry.addStake{value: 1}();
    }

    function test_AddStake_RevertWhen_Unbonding() public {
        _registerMiner(ALICE);
        startUnbonding(ALICE);
        vm.deal(ALICE, 1);
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING;
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeUnbonding.selector, ALICE, withdrawableAt));
        vm.prank(ALICE);
        registry.addStake{value: 1}();
    }

    function test_AddStake_RevertWhen_NoValue() public {
        _registerMiner(ALICE);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NoValueSent.selector));
        vm.prank(ALICE);
        registry.addStake();
    }

    function test_AddStake_RevertWhen_StakeOverflows() public {
        _registerMiner(ALICE);
        vm.deal(ALICE, type(uint128).max);
        uint256 stake = MINER_STAKE + type(uint128).max;
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, stake));
        vm.prank(ALICE);
        registry.addStake{value: type(uint128).max}();
    }

    // ---- setEndpoint

    function test_SetEndpoint_StoresAndEmits() public {
        registerValidator(KEY);
        vm.expectEmit(address(registry));
        emit INodeRegistry.EndpointChanged(operator(KEY), "https://v.example");
        vm.prank(operator(KEY));
        registry.setEndpoint("https://v.example");
        assertEq(registry.endpointOf(operator(KEY)), "https://v.example", "endpoint");
    }

    /// @dev A validator that is leaving still serves the epochs that list it.
    function test_SetEndpoint_WhileUnbonding() public {
        registerValidator(KEY);
        startUnbonding(operator(KEY));
        vm.prank(operator(KEY));
        registry.setEndpoint("https://v.example");
        assertEq(registry.endpointOf(operator(KEY)), "https://v.example", "endpoint");
    }

    function test_SetEndpoint_RevertWhen_Miner() public {
        _registerMiner(ALICE);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotValidator.selector, ALICE));
        vm.prank(ALICE);
        registry.setEndpoint(URL);
    }

    function test_SetEndpoint_RevertWhen_NotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotValidator.selector, ALICE));
        vm.prank(ALICE);
        registry.setEndpoint(URL);
    }

    function test_SetEndpoint_RevertWhen_Empty() public {
        registerValidator(KEY);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.InvalidEndpointLength.selector, 0, 256));
        vm.prank(operator(KEY));
        registry.setEndpoint("");
    }

    // ---- startUnbonding

    function test_StartUnbonding_EndsActivityAndEmits() public {
        _registerMiner(ALICE);
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING;
        vm.expectEmit(address(registry));
        emit INodeRegistry.UnbondingStarted(ALICE, MINER_STAKE, withdrawableAt);
        vm.prank(ALICE);
        registry.startUnbonding();
        assertNode(ALICE, INodeRegistry.Role.Miner, MINER_STAKE, withdrawableAt, address(0));
        assertFalse(registry.isActiveMiner(ALICE), "no longer active");
    }

    function test_StartUnbonding_TakesValidatorOffTheList() public {
        registerValidator(KEY);
        registerValidator(KEY + 1);
        startUnbonding(operator(KEY));
        assertEq(registry.bondedValidators(), 1, "bonded");
        assertEq(registry.operatorOf(vm.addr(KEY)), operator(KEY), "its key stays known");
    }

    function test_StartUnbonding_RevertWhen_NotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, ALICE));
        vm.prank(ALICE);
        registry.startUnbonding();
    }

    function test_StartUnbonding_RevertWhen_Unbonding() public {
        _registerMiner(ALICE);
        startUnbonding(ALICE);
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING;
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeUnbonding.selector, ALICE, withdrawableAt));
        vm.prank(ALICE);
        registry.startUnbonding();
    }

    // ---- withdrawStake

    function test_WithdrawStake_PaysAndForgets() public {
        registerValidator(KEY);
        address who = operator(KEY);
        startUnbonding(who);
        vm.warp(block.timestamp + UNBONDING);
        vm.expectEmit(address(registry));
        emit INodeRegistry.StakeWithdrawn(who, VALIDATOR_STAKE);
        vm.prank(who);
        registry.withdrawStake();

        assertNode(who, INodeRegistry.Role.None, 0, 0, address(0));
        assertEq(registry.endpointOf(who), "", "endpoint");
        assertEq(who.balance, VALIDATOR_STAKE, "paid");
        assertEq(address(registry).balance, 0, "nothing left");
    }

    function test_WithdrawStake_RevertWhen_NotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, ALICE));
        vm.prank(ALICE);
        registry.withdrawStake();
    }

    function test_WithdrawStake_RevertWhen_Bonded() public {
        _registerMiner(ALICE);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeLocked.selector, ALICE, 0));
        vm.prank(ALICE);
        registry.withdrawStake();
    }

    function test_WithdrawStake_RevertWhen_OneSecondEarly() public {
        _registerMiner(ALICE);
        startUnbonding(ALICE);
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING;
        vm.warp(withdrawableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeLocked.selector, ALICE, withdrawableAt));
        vm.prank(ALICE);
        registry.withdrawStake();
    }

    function test_WithdrawStake_RevertWhen_Twice() public {
        _registerMiner(ALICE);
        leaveRegistry(ALICE);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, ALICE));
        vm.prank(ALICE);
        registry.withdrawStake();
    }

    function test_WithdrawStake_RevertWhen_ReceiverRefuses() public {
        RefusingNode node = new RefusingNode(registry);
        vm.deal(address(node), MINER_STAKE);
        node.register();
        node.startUnbonding();
        vm.warp(block.timestamp + UNBONDING);
        vm.expectRevert(abi.encodeWithSelector(RefusingNode.Refused.selector));
        node.withdraw();
        assertEq(registry.node(address(node)).stake, MINER_STAKE, "the stake is still there");
    }

    function test_WithdrawStake_ReentrantReceiverGetsNothingMore() public {
        _registerMiner(ALICE); // somebody else's stake to be stolen
        ReentrantNode node = new ReentrantNode(registry);
        vm.deal(address(node), MINER_STAKE);
        node.register();
        node.startUnbonding();
        vm.warp(block.timestamp + UNBONDING);
        node.withdraw();
        assertTrue(node.reentered(), "it called back");
        assertEq(address(node).balance, MINER_STAKE, "its own stake");
        assertEq(address(registry).balance, MINER_STAKE, "the other's stake");
    }

    // ---- money in general

    function test_ForcedEther_ChangesNothing() public {
        _registerMiner(ALICE);
        vm.deal(address(registry), address(registry).balance + 100 ether);
        leaveRegistry(ALICE);
        assertEq(ALICE.balance, MINER_STAKE, "exactly the stake");
        assertEq(address(registry).balance, 100 ether, "the forced ether is nobody's");
    }

    function test_PlainTransfer_RevertWhen_Sent() public {
        vm.deal(ALICE, 1);
        vm.prank(ALICE);
        (bool accepted,) = address(registry).call{value: 1}("");
        assertFalse(accepted, "no receive function");
    }

    function testFuzz_Stake_EverythingComesBack(uint128 first, uint128 second, uint64 delay) public {
        first = uint128(bound(first, MINER_STAKE, 1e30));
        second = uint128(bound(second, 1, 1e30));
        delay = uint64(bound(delay, UNBONDING, 3650 days));
        vm.deal(ALICE, uint256(first) + second);
        vm.startPrank(ALICE);
        registry.registerMiner{value: first}();
        registry.addStake{value: second}();
        registry.startUnbonding();
        vm.warp(block.timestamp + delay);
        registry.withdrawStake();
        vm.stopPrank();
        assertEq(ALICE.balance, uint256(first) + second, "paid back");
    }

    // ---- helpers

    function _registerMiner(address who) private {
        vm.deal(who, MINER_STAKE);
        vm.prank(who);
        registry.registerMiner{value: MINER_STAKE}();
    }
}
