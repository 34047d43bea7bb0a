// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {Base} from "../Base.sol";

/// @notice Cheat codes of halmos.
interface SymbolicVm {
    function createCalldata(string calldata contractName) external pure returns (bytes memory data);
}

/// @notice Proofs about stakes: no single call of a stranger, whatever it is, touches another's. Run by halmos.
contract StakesSymbolicTest is Base {
    SymbolicVm private constant SVM = SymbolicVm(0xF3993A62377BCd56AE39D773740A5390411E8BC9);

    NodeRegistry private _registry;
    address private constant NODE = address(0xABCDE);
    address private constant DELEGATE = address(0xDE1E6);
    address private constant VALIDATOR_COURT = address(0xC0001);
    address private constant MINER_COURT = address(0xC0002);

    function setUp() public {
        _registry = new NodeRegistry(
            INodeRegistry.Config({
                minMinerStake: 1 ether,
                minValidatorStake: 10 ether,
                unbondingPeriod: 21 days,
                epochLength: 1 hours,
                epochLifetime: 14 days,
                evidenceWindow: 7 days,
                validatorCourt: VALIDATOR_COURT,
                minerCourt: MINER_COURT
            })
        );
        vm.deal(NODE, 10 ether);
        vm.prank(NODE);
        _registry.registerMiner{value: 5 ether}();
        vm.prank(NODE);
        _registry.authorizeDelegate{value: 2 ether}(DELEGATE, uint64(block.timestamp + 1 days));
    }

    function check_Stake_NoStrangerTouchesIt(address stranger, uint256 value) public {
        vm.assume(stranger != NODE && stranger != MINER_COURT && stranger != DELEGATE);
        vm.assume(stranger != address(_registry) && stranger != address(this) && uint160(stranger) > 0xffff);
        vm.assume(value <= 100 ether);
        bytes memory data = SVM.createCalldata("NodeRegistry");
        INodeRegistry.Node memory before = _registry.node(NODE);
        vm.deal(stranger, value);
        vm.prank(stranger);
        (bool success,) = address(_registry).call{value: value}(data);
        vm.assume(success);
        INodeRegistry.Node memory node = _registry.node(NODE);
        assert(node.role == before.role);
        assert(node.stake == before.stake);
        assert(node.unbondingAt == before.unbondingAt);
        (uint64 expiresAt, uint256 allowance) = _registry.delegation(NODE, DELEGATE);
        assert(expiresAt != 0 && allowance == 2 ether);
        assert(address(_registry).balance >= uint256(node.stake) + allowance);
    }

    /// @dev A delegate spends its allowance and nothing else.
    function check_Stake_DelegateSpendsItsAllowanceOnly(uint256 amount) public {
        vm.prank(DELEGATE);
        _registry.drawAllowance(NODE, amount);
        (, uint256 allowance) = _registry.delegation(NODE, DELEGATE);
        assert(amount <= 2 ether && allowance == 2 ether - amount);
        assert(DELEGATE.balance == amount);
        assert(_registry.node(NODE).stake == 5 ether);
    }

    /// @dev Slashing takes from the named node, at most what it holds, and gives it to the court.
    function check_Slash_TakesAtMostTheStake(uint256 amount) public {
        uint256 balance = address(_registry).balance;
        vm.prank(MINER_COURT);
        uint256 taken = _registry.slash(NODE, amount);
        assert(taken <= amount && taken <= 5 ether);
        assert(amount > 5 ether || taken == amount);
        assert(_registry.node(NODE).stake == 5 ether - taken);
        assert(MINER_COURT.balance == taken && address(_registry).balance == balance - taken);
    }

    /// @dev Nobody withdraws before the unbonding period has passed, whatever the time.
    function check_Withdraw_OnlyAfterUnbonding(uint64 started, uint64 later) public {
        vm.assume(started >= block.timestamp && started < 1 << 40 && later < 1 << 41);
        vm.warp(started);
        vm.prank(NODE);
        _registry.startUnbonding();
        vm.warp(later);
        vm.prank(NODE);
        _registry.withdrawStake();
        assert(later >= uint256(started) + 21 days);
        assert(_registry.node(NODE).stake == 0);
    }
}
