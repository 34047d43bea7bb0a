// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RegistryBooks} from "./RegistryBooks.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";

/// @notice Nodes that come, stake, leave and come back, their delegates, the courts, rotations, thieves and time.
/// @dev No call of a handler function may revert (fail_on_revert): each checks what it needs and returns if it is not there.
contract RegistryHandler is RegistryBooks {
    constructor(NodeRegistry registry, uint256 crowd) RegistryBooks(registry, crowd) {}

    // ---- nodes

    function registerMiner(uint256 index, uint96 extra) external {
        index %= NODES;
        if (_node(index).role != INodeRegistry.Role.None) return;
        uint256 stake = REGISTRY.config().minMinerStake + extra;
        vm.deal(who(index), stake);
        vm.prank(who(index));
        REGISTRY.registerMiner{value: stake}();
        stakeOf[who(index)] = stake;
        _count("registerMiner");
    }

    /// @dev With a fresh key or, now and then, one that was used before, which must be refused. A full set takes exactly who
    ///      stakes more than its lowest member, in whose place.
    function registerValidator(uint256 index, uint8 keySeed, uint96 extra) external {
        index %= NODES;
        if (_node(index).role != INodeRegistry.Role.None) return;
        bool used = keySeed % 4 == 0 && keys.length > 0;
        uint256 key = used ? keys[keySeed % keys.length] : uint256(keccak256(abi.encode("key", keys.length)));
        uint256 stake = REGISTRY.config().minValidatorStake + extra % 8;
        uint256 lowestStake = _lowestStake();
        bool full = bonded.length == REGISTRY.MAX_VALIDATORS();
        bool success = _register(who(index), key, stake);
        assertTrue(success == (!used && (!full || stake > lowestStake)), "who is admitted");
        _count(success ? (full ? "displacing" : "registerValidator") : (used ? "key refused" : "full"));
        if (!success || !full) return;
        assertEq(bonded.length, REGISTRY.MAX_VALIDATORS(), "the set stays full");
        assertEq(stakeOf[displaced], lowestStake, "at the cost of one with the lowest stake");
    }

    function addStake(uint256 index, uint96 amount) external {
        index %= NODES;
        if (amount == 0 || !_isBonded(index)) return;
        vm.deal(who(index), amount);
        vm.prank(who(index));
        REGISTRY.addStake{value: amount}();
        stakeOf[who(index)] += amount;
        _count("addStake");
    }

    function startUnbonding(uint256 index) external {
        index %= NODES;
        if (!_isBonded(index)) return;
        vm.prank(who(index));
        REGISTRY.startUnbonding();
        _forget(who(index));
        _count("startUnbonding");
    }

    function withdrawStake(uint256 index) external {
        index %= NODES;
        uint64 withdrawableAt = _node(index).unbondingAt;
        if (withdrawableAt == 0) return;
        if (block.timestamp < withdrawableAt) vm.warp(withdrawableAt);
        uint256 before = who(index).balance;
        vm.prank(who(index));
        REGISTRY.withdrawStake();
        assertEq(who(index).balance - before, stakeOf[who(index)], "withdrawn");
        stakeOf[who(index)] = 0;
        _count("withdrawStake");
    }

    // ---- delegates

    function authorizeDelegate(uint256 index, uint256 hot, uint32 life, uint64 value) external {
        (index, hot) = (index % NODES, hot % HOT_KEYS);
        vm.deal(who(index), value);
        vm.prank(who(index));
        REGISTRY.authorizeDelegate{value: value}(delegateOf(hot), uint64(block.timestamp) + life);
        allowanceOf[index][hot] += value;
        _count("authorizeDelegate");
    }

    function drawAllowance(uint256 index, uint256 hot, uint256 amount) external {
        (index, hot) = (index % NODES, hot % HOT_KEYS);
        if (!REGISTRY.isDelegate(who(index), delegateOf(hot))) return;
        amount = bound(amount, 0, allowanceOf[index][hot]);
        uint256 before = delegateOf(hot).balance;
        vm.prank(delegateOf(hot));
        REGISTRY.drawAllowance(who(index), amount);
        assertEq(delegateOf(hot).balance - before, amount, "drawn");
        allowanceOf[index][hot] -= amount;
        _count("drawAllowance");
    }

    function revokeDelegate(uint256 index, uint256 hot) external {
        (index, hot) = (index % NODES, hot % HOT_KEYS);
        uint256 before = who(index).balance;
        vm.prank(who(index));
        REGISTRY.revokeDelegate(delegateOf(hot));
        assertEq(who(index).balance - before, allowanceOf[index][hot], "returned");
        assertFalse(REGISTRY.isDelegate(who(index), delegateOf(hot)), "no right is left");
        allowanceOf[index][hot] = 0;
        _count("revokeDelegate");
    }

    // ---- courts

    function slash(uint256 index, uint128 amount) external {
        index %= NODES;
        INodeRegistry.Node memory node = _node(index);
        if (node.role == INodeRegistry.Role.None) return;
        address court = _court(node.role);
        uint256 before = court.balance;
        vm.prank(court);
        uint256 taken = REGISTRY.slash(who(index), amount);
        assertEq(taken, amount < stakeOf[who(index)] ? amount : stakeOf[who(index)], "taken");
        assertEq(court.balance - before, taken, "to the court");
        stakeOf[who(index)] -= taken;
        if (REGISTRY.node(who(index)).unbondingAt != node.unbondingAt) _forget(who(index));
        _count("slash");
    }

    function hold(uint256 index, uint64 until) external {
        index %= NODES;
        INodeRegistry.Node memory node = _node(index);
        if (node.role == INodeRegistry.Role.None) return;
        vm.prank(_court(node.role));
        REGISTRY.hold(who(index), until);
        uint64 held = _node(index).unbondingAt;
        assertTrue(held >= node.unbondingAt && (held == 0) == (node.unbondingAt == 0), "never sooner");
        uint256 latest = block.timestamp + REGISTRY.config().evidenceWindow;
        assertTrue(held == node.unbondingAt || held <= latest, "nor later than the evidence window allows");
        _count("hold");
    }

    // ---- rotation

    function advanceEpoch(bool byAnybody) external {
        if (bonded.length < 4) return;
        uint64 current = REGISTRY.currentEpoch();
        bytes memory certificate;
        if (current != 0) {
            INodeRegistry.Epoch memory info = REGISTRY.epochInfo(current);
            uint256 from = info.replaceableAt;
            if (byAnybody) from += REGISTRY.config().epochLength;
            if (block.timestamp < from) vm.warp(from);
            if (!byAnybody) certificate = _handover(info.quorum);
        }
        _noteEpoch(REGISTRY.advanceEpoch(certificate));
        _count(byAnybody ? "advanceEpoch by anybody" : "advanceEpoch by the set");
    }

    // ---- thieves: whatever they try reverts

    /// @dev Bonded, still unbonding, or never registered: nothing to take.
    function stealStake(uint256 index) external {
        index %= NODES;
        uint64 withdrawableAt = _node(index).unbondingAt;
        if (withdrawableAt != 0 && block.timestamp >= withdrawableAt) return;
        _attempt(who(index), abi.encodeCall(REGISTRY.withdrawStake, ()));
    }

    function stealBySlashing(uint256 index, uint256 caller, uint128 amount) external {
        index %= NODES;
        address thief = caller % 3 == 0 ? VALIDATOR_COURT : caller % 3 == 1 ? MINER_COURT : who(caller);
        INodeRegistry.Role role = _node(index).role;
        if (role != INodeRegistry.Role.None && thief == _court(role)) return;
        _attempt(thief, abi.encodeCall(REGISTRY.slash, (who(index), amount)));
        _attempt(thief, abi.encodeCall(REGISTRY.hold, (who(index), type(uint64).max)));
    }

    /// @dev More than the allowance, or without a right that lives.
    function stealAllowance(uint256 index, uint256 hot, uint128 more) external {
        (index, hot) = (index % NODES, hot % HOT_KEYS);
        uint256 amount = allowanceOf[index][hot] + 1 + uint256(more);
        if (!REGISTRY.isDelegate(who(index), delegateOf(hot))) amount = 0;
        _attempt(delegateOf(hot), abi.encodeCall(REGISTRY.drawAllowance, (who(index), amount)));
    }

    /// @dev Too early, or in the time of the current set with fewer signatures than its quorum.
    function stealTheSet(uint256 count) external {
        uint64 current = REGISTRY.currentEpoch();
        if (current == 0 || bonded.length < 4) return;
        INodeRegistry.Epoch memory info = REGISTRY.epochInfo(current);
        if (block.timestamp >= uint256(info.replaceableAt) + REGISTRY.config().epochLength) return;
        uint256 most = block.timestamp < info.replaceableAt ? info.quorum : info.quorum - 1;
        bytes memory certificate = _handover(bound(count, 0, most));
        _attempt(address(0x7E1EF), abi.encodeCall(REGISTRY.advanceEpoch, (certificate)));
    }

    // ---- nature

    function forceEther(uint64 amount) external {
        vm.deal(address(REGISTRY), address(REGISTRY).balance + amount);
        forcedEther += amount;
    }

    function passTime(uint32 delay) external {
        vm.warp(block.timestamp + delay % 5 days);
    }
}
