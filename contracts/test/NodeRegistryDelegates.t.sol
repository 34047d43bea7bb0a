// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Fixture} from "./Fixture.sol";
import {HostileReceiver} from "./mocks/HostileReceiver.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";

/// @notice Hot keys: until when they may act, and what they may spend.
contract NodeRegistryDelegatesTest is Fixture {
    address private constant HOT = address(0x407);

    address private _node;
    uint64 private _expiresAt;

    function setUp() public override {
        super.setUp();
        _node = newMiner();
        newMiner(); // another stake to be stolen
        _expiresAt = uint64(block.timestamp) + 1 days;
    }

    // ---- authorizeDelegate

    function test_AuthorizeDelegate_StoresAndEmits() public {
        vm.deal(_node, 3 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.DelegateAuthorized(_node, HOT, _expiresAt, 3 ether);
        vm.prank(_node);
        registry.authorizeDelegate{value: 3 ether}(HOT, _expiresAt);
        _assertDelegation(_expiresAt, 3 ether);
        assertTrue(registry.isDelegate(_node, HOT), "may act");
        assertFalse(registry.isDelegate(HOT, _node), "not the other way round");
        assertFalse(registry.isDelegate(_node, stranger), "nobody else");
        assertEq(registry.node(_node).stake, MINER_STAKE, "the stake is another matter");
    }

    function test_AuthorizeDelegate_WithoutAllowance() public {
        _authorize(0);
        _assertDelegation(_expiresAt, 0);
        assertTrue(registry.isDelegate(_node, HOT), "may act");
    }

    /// @dev A second call sets the expiry anew, also to an earlier one, and adds to the allowance.
    function test_AuthorizeDelegate_AgainSetsTheExpiryAndAddsToTheAllowance() public {
        _authorize(1 ether);
        _expiresAt -= 1 hours;
        vm.deal(_node, 2 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.DelegateAuthorized(_node, HOT, _expiresAt, 3 ether);
        vm.prank(_node);
        registry.authorizeDelegate{value: 2 ether}(HOT, _expiresAt);
        _assertDelegation(_expiresAt, 3 ether);
    }

    function test_AuthorizeDelegate_OfSeveralNodesAndKeysAreApart() public {
        _authorize(1 ether);
        vm.deal(miners[1], 5 ether);
        vm.prank(miners[1]);
        registry.authorizeDelegate{value: 5 ether}(HOT, _expiresAt);
        _draw(1 ether);
        (, uint256 other) = registry.delegation(miners[1], HOT);
        assertEq(other, 5 ether, "of the other node");
        _expectExceeded(1, 0);
        _draw(1);
    }

    function test_AuthorizeDelegate_EndsOnItsLastSecond() public {
        _authorize(1 ether);
        vm.warp(_expiresAt);
        assertTrue(registry.isDelegate(_node, HOT), "last second");
        vm.warp(_expiresAt + 1);
        assertFalse(registry.isDelegate(_node, HOT), "over");
        _assertDelegation(_expiresAt, 1 ether); // the allowance waits for its owner
    }

    function test_AuthorizeDelegate_RevertWhen_ExpiryHasPassed() public {
        uint64 past = uint64(block.timestamp) - 1;
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ExpiryInPast.selector, past));
        vm.prank(_node);
        registry.authorizeDelegate(HOT, past);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ExpiryInPast.selector, 0));
        vm.prank(_node);
        registry.authorizeDelegate(HOT, 0);
    }

    function test_AuthorizeDelegate_RevertWhen_AllowanceOverflows() public {
        _authorize(1);
        vm.deal(_node, type(uint128).max);
        uint256 allowance = uint256(type(uint128).max) + 1;
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, allowance));
        vm.prank(_node);
        registry.authorizeDelegate{value: type(uint128).max}(HOT, _expiresAt);
    }

    // ---- drawAllowance

    function test_DrawAllowance_PaysTheDelegate() public {
        _authorize(3 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.AllowanceDrawn(_node, HOT, 1 ether);
        _draw(1 ether);
        assertEq(HOT.balance, 1 ether, "paid");
        _assertDelegation(_expiresAt, 2 ether);
        _draw(2 ether);
        assertEq(HOT.balance, 3 ether, "all of it");
        assertTrue(registry.isDelegate(_node, HOT), "it may still act");
    }

    function test_DrawAllowance_OnTheLastSecond() public {
        _authorize(1 ether);
        vm.warp(_expiresAt);
        _draw(1 ether);
        assertEq(HOT.balance, 1 ether, "paid");
    }

    function test_DrawAllowance_RevertWhen_Expired() public {
        _authorize(1 ether);
        vm.warp(_expiresAt + 1);
        _expectNotDelegate(HOT);
        _draw(1);
    }

    function test_DrawAllowance_RevertWhen_NotADelegate() public {
        _authorize(1 ether);
        _expectNotDelegate(stranger);
        vm.prank(stranger);
        registry.drawAllowance(_node, 0);
    }

    function test_DrawAllowance_RevertWhen_Exceeded() public {
        _authorize(1 ether);
        _expectExceeded(1 ether + 1, 1 ether);
        _draw(1 ether + 1);
        _draw(0.4 ether);
        _expectExceeded(0.7 ether, 0.6 ether);
        _draw(0.7 ether);
    }

    function test_DrawAllowance_ReentrantDelegateIsPaidOnce() public {
        HostileReceiver hot = new HostileReceiver();
        vm.deal(_node, 1 ether);
        vm.prank(_node);
        registry.authorizeDelegate{value: 1 ether}(address(hot), _expiresAt);
        bytes memory drawing = abi.encodeCall(registry.drawAllowance, (_node, 1 ether));
        hot.setCallback(address(registry), drawing);
        hot.execute(address(registry), 0, drawing);
        assertTrue(hot.called(), "it called back");
        assertFalse(hot.succeeded(), "without success");
        assertEq(address(hot).balance, 1 ether, "once");
        assertEq(address(registry).balance, 2 * MINER_STAKE, "the stakes");
    }

    // ---- revokeDelegate

    function test_RevokeDelegate_EndsTheRightAndReturnsTheRest() public {
        _authorize(3 ether);
        _draw(1 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.DelegateRevoked(_node, HOT, 2 ether);
        vm.prank(_node);
        registry.revokeDelegate(HOT);
        assertFalse(registry.isDelegate(_node, HOT), "may not act");
        _assertDelegation(0, 0);
        assertEq(_node.balance, 2 ether, "the rest");
        _expectNotDelegate(HOT);
        _draw(0);
    }

    function test_RevokeDelegate_AfterTheExpiry() public {
        _authorize(1 ether);
        vm.warp(_expiresAt + 365 days);
        vm.prank(_node);
        registry.revokeDelegate(HOT);
        assertEq(_node.balance, 1 ether, "the allowance");
    }

    function test_RevokeDelegate_TwicePaysOnce() public {
        _authorize(1 ether);
        vm.prank(_node);
        registry.revokeDelegate(HOT);
        vm.prank(_node);
        registry.revokeDelegate(HOT);
        assertEq(_node.balance, 1 ether, "once");
    }

    /// @dev Nobody but the node can take its delegate's allowance.
    function test_RevokeDelegate_OfAnotherNodeTakesNothing() public {
        _authorize(1 ether);
        vm.prank(stranger);
        registry.revokeDelegate(HOT);
        assertEq(stranger.balance, 0, "nothing");
        _assertDelegation(_expiresAt, 1 ether);
    }

    function test_RevokeDelegate_ReentrantNodeIsPaidOnce() public {
        HostileReceiver node = new HostileReceiver();
        vm.deal(address(node), 1 ether);
        bytes memory granting = abi.encodeCall(registry.authorizeDelegate, (HOT, _expiresAt));
        node.execute(address(registry), 1 ether, granting);
        bytes memory revoking = abi.encodeCall(registry.revokeDelegate, (HOT));
        node.setCallback(address(registry), revoking);
        node.execute(address(registry), 0, revoking);
        assertTrue(node.called(), "it called back");
        assertEq(address(node).balance, 1 ether, "once");
        assertEq(address(registry).balance, 2 * MINER_STAKE, "the stakes");
    }

    // ---- both

    /// @dev Neither leaving nor withdrawing the stake touches what was put aside.
    function test_Delegation_OutlivesTheRegistration() public {
        _authorize(1 ether);
        vm.prank(_node);
        registry.startUnbonding();
        vm.warp(registry.node(_node).unbondingAt);
        vm.prank(_node);
        registry.withdrawStake();
        assertEq(_node.balance, MINER_STAKE, "the stake alone");
        vm.prank(_node);
        registry.revokeDelegate(HOT);
        assertEq(_node.balance, MINER_STAKE + 1 ether, "and the allowance");
    }

    function testFuzz_Delegation_EveryWeiIsDrawnOrReturned(uint96[4] memory grants, uint96[4] memory draws) public {
        uint256 granted;
        for (uint256 i = 0; i < 4; ++i) {
            _authorize(grants[i]);
            granted += grants[i];
            (, uint256 allowance) = registry.delegation(_node, HOT);
            _draw(bound(draws[i], 0, allowance));
        }
        vm.prank(_node);
        registry.revokeDelegate(HOT);
        assertEq(HOT.balance + _node.balance, granted, "all of it");
        assertEq(address(registry).balance, 2 * MINER_STAKE, "the stakes");
    }

    // ---- helpers

    function _authorize(uint256 value) private {
        vm.deal(_node, value);
        vm.prank(_node);
        registry.authorizeDelegate{value: value}(HOT, _expiresAt);
    }

    function _draw(uint256 amount) private {
        vm.prank(HOT);
        registry.drawAllowance(_node, amount);
    }

    function _assertDelegation(uint256 expiresAt, uint256 allowance) private view {
        (uint64 storedExpiry, uint256 storedAllowance) = registry.delegation(_node, HOT);
        assertEq(storedExpiry, expiresAt, "expiresAt");
        assertEq(storedAllowance, allowance, "allowance");
    }

    function _expectNotDelegate(address caller) private {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotDelegate.selector, _node, caller));
    }

    function _expectExceeded(uint256 amount, uint256 allowance) private {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.AllowanceExceeded.selector, amount, allowance));
    }
}
