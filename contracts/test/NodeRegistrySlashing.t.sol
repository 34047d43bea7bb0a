// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {HostileReceiver} from "./mocks/HostileReceiver.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";

/// @notice What the two courts may do to a stake, and that nobody else may.
contract NodeRegistrySlashingTest is Fixture {
    uint256 private constant KEY = uint256(keccak256("vote key"));

    address private _validator = operator(KEY);
    address private _miner;

    function setUp() public override {
        super.setUp();
        registerValidator(KEY);
        _miner = newMiner();
    }

    // ---- slash

    function test_Slash_TakesFromAValidator() public {
        _addStake(_validator, 3 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.StakeSlashed(_validator, validatorCourt, 2 ether, VALIDATOR_STAKE + 1 ether);
        vm.prank(validatorCourt);
        uint256 taken = registry.slash(_validator, 2 ether);

        assertEq(taken, 2 ether, "taken");
        assertEq(registry.node(_validator).stake, VALIDATOR_STAKE + 1 ether, "stake");
        assertEq(validatorCourt.balance, 2 ether, "to the court");
        assertEq(registry.node(_validator).unbondingAt, 0, "still bonded: the minimum is left");
        assertEq(registry.bondedValidators(), 1, "bonded");
    }

    function test_Slash_TakesFromAMiner() public {
        _addStake(_miner, 1 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.StakeSlashed(_miner, minerCourt, 1 ether, MINER_STAKE);
        vm.prank(minerCourt);
        assertEq(registry.slash(_miner, 1 ether), 1 ether, "taken");
        assertEq(minerCourt.balance, 1 ether, "to the court");
        assertTrue(registry.isActiveMiner(_miner), "the minimum is left");
    }

    function test_Slash_BelowTheMinimumUnbondsAValidator() public {
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING;
        vm.expectEmit(address(registry));
        emit INodeRegistry.StakeSlashed(_validator, validatorCourt, 1, VALIDATOR_STAKE - 1);
        vm.expectEmit(address(registry));
        emit INodeRegistry.UnbondingStarted(_validator, VALIDATOR_STAKE - 1, withdrawableAt);
        vm.prank(validatorCourt);
        registry.slash(_validator, 1);
        assertEq(registry.node(_validator).unbondingAt, withdrawableAt, "unbonding");
        assertEq(registry.bondedValidators(), 0, "no epoch lists it again");
    }

    function test_Slash_BelowTheMinimumUnbondsAMiner() public {
        vm.prank(minerCourt);
        registry.slash(_miner, 1);
        assertEq(registry.node(_miner).unbondingAt, block.timestamp + UNBONDING, "unbonding");
        assertFalse(registry.isActiveMiner(_miner), "it can join no task");
        assertEq(registry.bondedValidators(), 1, "the validators are not concerned");
    }

    function test_Slash_TakesAtMostTheStake() public {
        vm.prank(validatorCourt);
        assertEq(registry.slash(_validator, type(uint256).max), VALIDATOR_STAKE, "taken");
        assertEq(registry.node(_validator).stake, 0, "nothing left");
        assertEq(address(registry).balance, MINER_STAKE, "the others' stakes are untouched");
        vm.prank(validatorCourt);
        assertEq(registry.slash(_validator, 1), 0, "nor is there any more to take");
    }

    function test_Slash_Nothing() public {
        vm.prank(validatorCourt);
        assertEq(registry.slash(_validator, 0), 0, "taken");
        assertEq(registry.node(_validator).unbondingAt, 0, "still bonded");
    }

    /// @dev Leaving is no way out: the stake stays slashable until it is withdrawn, and the date stays.
    function test_Slash_WhileUnbonding() public {
        startUnbonding(_validator);
        uint64 withdrawableAt = registry.node(_validator).unbondingAt;
        vm.warp(withdrawableAt);
        vm.prank(validatorCourt);
        registry.slash(_validator, 4 ether);
        assertEq(registry.node(_validator).unbondingAt, withdrawableAt, "no new date");
        vm.prank(_validator);
        registry.withdrawStake();
        assertEq(_validator.balance, VALIDATOR_STAKE - 4 ether, "what is left");
    }

    function test_Slash_EverythingLeavesARegistrationThatCanEnd() public {
        vm.prank(minerCourt);
        registry.slash(_miner, MINER_STAKE);
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(_miner);
        registry.withdrawStake();
        assertEq(_miner.balance, 0, "nothing");
        vm.deal(_miner, MINER_STAKE);
        vm.prank(_miner);
        registry.registerMiner{value: MINER_STAKE}();
        assertTrue(registry.isActiveMiner(_miner), "registered anew");
    }

    /// @dev What a node has put aside for its delegates is no stake.
    function test_Slash_DoesNotTouchAllowances() public {
        vm.deal(_miner, 1 ether);
        vm.prank(_miner);
        registry.authorizeDelegate{value: 1 ether}(stranger, uint64(block.timestamp) + 1 days);
        vm.prank(minerCourt);
        assertEq(registry.slash(_miner, type(uint256).max), MINER_STAKE, "the stake alone");
        vm.prank(_miner);
        registry.revokeDelegate(stranger);
        assertEq(_miner.balance, 1 ether, "the allowance comes back");
    }

    function test_Slash_RevertWhen_NotTheCourt() public {
        _expectNotCourt(stranger, validatorCourt);
        vm.prank(stranger);
        registry.slash(_validator, 1);
        _expectNotCourt(_miner, minerCourt);
        vm.prank(_miner);
        registry.slash(_miner, 1);
    }

    function test_Slash_RevertWhen_TheCourtIsOfTheOtherRole() public {
        _expectNotCourt(minerCourt, validatorCourt);
        vm.prank(minerCourt);
        registry.slash(_validator, 1);
        _expectNotCourt(validatorCourt, minerCourt);
        vm.prank(validatorCourt);
        registry.slash(_miner, 1);
    }

    function test_Slash_RevertWhen_NotRegistered() public {
        _expectNotRegistered();
        vm.prank(validatorCourt);
        registry.slash(stranger, 1);
    }

    function test_Slash_RevertWhen_Withdrawn() public {
        startUnbonding(_validator);
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(_validator);
        registry.withdrawStake();
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, _validator));
        vm.prank(validatorCourt);
        registry.slash(_validator, 1);
    }

    /// @dev A registry without courts: nobody is the zero address.
    function test_Slash_RevertWhen_ThereIsNoCourt() public {
        INodeRegistry.Config memory config = registryConfig();
        (config.validatorCourt, config.minerCourt) = (address(0), address(0));
        registry = new NodeRegistry(config);
        address miner = newMiner();
        _expectNotCourt(stranger, address(0));
        vm.prank(stranger);
        registry.slash(miner, 1);
    }

    /// @dev A court that calls back while it is paid takes no more than there is.
    function test_Slash_AReentrantCourtTakesNoMoreThanTheStake() public {
        HostileReceiver court = new HostileReceiver();
        minerCourt = address(court);
        registry = new NodeRegistry(registryConfig());
        (address first, address second) = (newMiner(), newMiner());
        court.setCallback(address(registry), abi.encodeCall(registry.slash, (first, MINER_STAKE)));
        court.execute(address(registry), 0, abi.encodeCall(registry.slash, (first, MINER_STAKE)));
        assertEq(address(court).balance, MINER_STAKE, "the stake of the one");
        assertEq(registry.node(second).stake, MINER_STAKE, "not of the other");
        assertEq(address(registry).balance, MINER_STAKE, "which is held");
    }

    function testFuzz_Slash_TheRestComesBack(uint128 stake, uint128[3] memory amounts) public {
        stake = uint128(bound(stake, MINER_STAKE, 1e30));
        _addStake(_miner, stake);
        uint256 left = uint256(stake) + MINER_STAKE;
        for (uint256 i = 0; i < 3; ++i) {
            uint256 taken = amounts[i] < left ? amounts[i] : left;
            vm.prank(minerCourt);
            assertEq(registry.slash(_miner, amounts[i]), taken, "taken");
            left -= taken;
            assertEq(registry.node(_miner).stake, left, "stake");
            assertTrue(registry.isActiveMiner(_miner) == (left >= MINER_STAKE), "bonded while the minimum is there");
        }
        if (left >= MINER_STAKE) startUnbonding(_miner);
        vm.warp(registry.node(_miner).unbondingAt);
        vm.prank(_miner);
        registry.withdrawStake();
        assertEq(_miner.balance, left, "the rest");
        assertEq(minerCourt.balance + left, uint256(stake) + MINER_STAKE, "all of it");
    }

    // ---- hold

    function test_Hold_KeepsALeavingValidator() public {
        startUnbonding(_validator);
        uint64 withdrawableAt = registry.node(_validator).unbondingAt;
        vm.warp(withdrawableAt - 1);
        uint64 until = withdrawableAt + 1 days;
        vm.expectEmit(address(registry));
        emit INodeRegistry.StakeHeld(_validator, until);
        vm.prank(validatorCourt);
        registry.hold(_validator, until);

        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeLocked.selector, _validator, until));
        vm.prank(_validator);
        registry.withdrawStake();
        vm.warp(until);
        vm.prank(_validator);
        registry.withdrawStake();
        assertEq(_validator.balance, VALIDATOR_STAKE, "paid in the end");
    }

    function test_Hold_KeepsALeavingMiner() public {
        startUnbonding(_miner);
        uint64 withdrawableAt = registry.node(_miner).unbondingAt;
        vm.warp(withdrawableAt);
        vm.prank(minerCourt);
        registry.hold(_miner, withdrawableAt + 5);
        assertEq(registry.node(_miner).unbondingAt, withdrawableAt + 5, "held");
    }

    /// @dev A court can keep nobody for longer than a case takes.
    function test_Hold_AtMostTheEvidenceWindow() public {
        startUnbonding(_validator);
        uint64 withdrawableAt = registry.node(_validator).unbondingAt;
        vm.warp(withdrawableAt);
        vm.prank(validatorCourt);
        registry.hold(_validator, type(uint64).max);
        assertEq(registry.node(_validator).unbondingAt, withdrawableAt + EVIDENCE_WINDOW, "held");
    }

    function test_Hold_NeverShortens() public {
        startUnbonding(_validator);
        uint64 withdrawableAt = registry.node(_validator).unbondingAt;
        vm.recordLogs();
        vm.prank(validatorCourt);
        registry.hold(_validator, 0);
        vm.prank(validatorCourt);
        registry.hold(_validator, withdrawableAt);
        assertEq(vm.getRecordedLogs().length, 0, "nothing happens");
        assertEq(registry.node(_validator).unbondingAt, withdrawableAt, "unchanged");
    }

    function test_Hold_ABondedNodeIsNotConcerned() public {
        vm.prank(validatorCourt);
        registry.hold(_validator, type(uint64).max);
        assertEq(registry.node(_validator).unbondingAt, 0, "bonded");
        startUnbonding(_validator);
        assertEq(registry.node(_validator).unbondingAt, block.timestamp + UNBONDING, "the usual period");
    }

    function test_Hold_RevertWhen_NotTheCourt() public {
        _expectNotCourt(minerCourt, validatorCourt);
        vm.prank(minerCourt);
        registry.hold(_validator, type(uint64).max);
        _expectNotCourt(validatorCourt, minerCourt);
        vm.prank(validatorCourt);
        registry.hold(_miner, type(uint64).max);
    }

    function test_Hold_RevertWhen_NotRegistered() public {
        _expectNotRegistered();
        vm.prank(validatorCourt);
        registry.hold(stranger, type(uint64).max);
    }

    // ---- helpers

    function _addStake(address who, uint256 amount) private {
        vm.deal(who, amount);
        vm.prank(who);
        registry.addStake{value: amount}();
    }

    function _expectNotCourt(address caller, address court) private {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotCourt.selector, caller, court));
    }

    function _expectNotRegistered() private {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, stranger));
    }
}
