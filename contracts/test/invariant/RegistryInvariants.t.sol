// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "../Base.sol";
import {RegistryHandler} from "./RegistryHandler.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";

/// @notice What holds of stakes, keys and epochs after any sequence of calls by anybody (RegistryHandler).
contract RegistryInvariantsTest is Base {
    NodeRegistry private _registry;
    RegistryHandler private _handler;

    function setUp() public {
        vm.warp(1_700_000_000);
        _registry = new NodeRegistry(1 ether, 10 ether, 7 days, 1 hours);
        _handler = new RegistryHandler(_registry);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory list = new bytes4[](11);
        list[0] = RegistryHandler.registerMiner.selector;
        list[1] = RegistryHandler.registerValidator.selector;
        list[2] = RegistryHandler.registerValidator.selector;
        list[3] = RegistryHandler.registerValidator.selector;
        list[4] = RegistryHandler.addStake.selector;
        list[5] = RegistryHandler.startUnbonding.selector;
        list[6] = RegistryHandler.withdrawStake.selector;
        list[7] = RegistryHandler.advanceEpoch.selector;
        list[8] = RegistryHandler.stealStake.selector;
        list[9] = RegistryHandler.forceEther.selector;
        list[10] = RegistryHandler.passTime.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), list);
    }

    function invariant_Registry() public view {
        uint256 staked;
        uint256 bonded;
        for (uint256 i = 0; i < _handler.NODES(); ++i) {
            address account_ = _handler.who(i);
            INodeRegistry.Node memory node = _registry.node(account_);
            assertEq(node.stake, _handler.stakeOf(i), "stake");
            staked += node.stake;
            if (node.role == INodeRegistry.Role.Validator && node.unbondingAt == 0) ++bonded;
            if (node.voteKey != address(0)) {
                assertEq(_registry.operatorOf(node.voteKey), account_, "operator of a key");
            }
            address voteKey = vm.addr(i + 1);
            assertEq(_registry.operatorOf(voteKey), _handler.firstOperator(voteKey), "a key stays with its first");
        }
        assertEq(address(_registry).balance, staked + _handler.forcedEther(), "every stake is held");
        assertEq(_registry.bondedValidators(), bonded, "bonded validators");
        assertEq(_handler.bonded(), bonded, "bonded validators");
        assertEq(_handler.thefts(), 0, "thefts");
    }

    function invariant_EpochsNeverChange() public view {
        assertEq(_registry.currentEpoch(), _handler.epochs(), "current epoch");
        for (uint64 epoch = 1; epoch <= _handler.epochs(); ++epoch) {
            address[] memory keys = _registry.epochValidators(epoch);
            assertEq(keccak256(abi.encode(keys)), _handler.epochHash(epoch), "snapshot");
            assertGe(keys.length, 4, "at least four");
            for (uint256 i = 1; i < keys.length; ++i) {
                assertTrue(keys[i - 1] < keys[i], "strictly ascending");
            }
        }
    }

    /// @dev The handler by hand, once through everything: an invariant over a handler that does nothing proves nothing.
    function test_Handler_ReachesEveryPath() public {
        for (uint256 i = 0; i < 5; ++i) {
            _handler.registerValidator(i, 0, 1);
        }
        _handler.registerMiner(5, 1);
        _handler.registerValidator(6, 1, 1); // key 8
        _handler.registerValidator(7, 0, 1); // key 8 too: taken
        assertEq(_handler.bonded(), 6, "six validators");
        _handler.advanceEpoch();
        _handler.addStake(0, 5);
        _handler.startUnbonding(0);
        _handler.stealStake(0);
        _handler.withdrawStake(0);
        _handler.stealStake(0);
        _handler.registerValidator(0, 0, 1); // comes back with its key
        _handler.forceEther(9);
        _handler.passTime(1);
        _handler.advanceEpoch();
        assertEq(_handler.epochs(), 2, "two epochs");
        invariant_Registry();
        invariant_EpochsNeverChange();
    }
}
