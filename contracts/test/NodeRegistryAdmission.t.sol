// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";

/// @notice The full set of validators: who stakes most is in it.
contract NodeRegistryAdmissionTest is Fixture {
    uint256 private constant MAXIMUM = 100;
    uint256 private constant NEWCOMER = 101;

    function test_RegisterValidator_RevertWhen_FullAndStakeIsNotAboveTheLowest() public {
        _fill();
        _expectRefusal(VALIDATOR_STAKE, VALIDATOR_STAKE);
    }

    function test_RegisterValidator_DisplacesTheLowestStake() public {
        uint256 lowest = 42;
        for (uint256 key = 1; key <= MAXIMUM; ++key) {
            _register(key, key == lowest ? VALIDATOR_STAKE + 1 : VALIDATOR_STAKE + 2);
        }
        _expectRefusal(VALIDATOR_STAKE + 1, VALIDATOR_STAKE + 1);

        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING;
        vm.deal(operator(NEWCOMER), VALIDATOR_STAKE + 2);
        bytes memory proof = possession(NEWCOMER, operator(NEWCOMER));
        address voteKey = vm.addr(NEWCOMER);
        vm.expectEmit(address(registry));
        emit INodeRegistry.UnbondingStarted(operator(lowest), VALIDATOR_STAKE + 1, withdrawableAt);
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeRegistered(
            operator(NEWCOMER), INodeRegistry.Role.Validator, voteKey, VALIDATOR_STAKE + 2, "http://v"
        );
        vm.prank(operator(NEWCOMER));
        registry.registerValidator{value: VALIDATOR_STAKE + 2}(voteKey, proof, "http://v");

        assertEq(registry.bondedValidators(), MAXIMUM, "as many as before");
        assertEq(registry.node(operator(lowest)).unbondingAt, withdrawableAt, "the lowest leaves");
        assertEq(registry.node(operator(lowest)).stake, VALIDATOR_STAKE + 1, "with its stake");
        registry.advanceEpoch("");
        address[] memory listed = registry.epochValidators(1);
        assertTrue(_contains(listed, voteKey), "the newcomer is listed");
        assertFalse(_contains(listed, vm.addr(lowest)), "the displaced is not");
    }

    /// @dev A member that adds to its stake in time keeps its place.
    function test_RegisterValidator_RevertWhen_TheLowestHasAddedToItsStake() public {
        _fill();
        for (uint256 key = 1; key <= MAXIMUM; ++key) {
            vm.deal(operator(key), 5);
            vm.prank(operator(key));
            registry.addStake{value: 5}();
        }
        _expectRefusal(VALIDATOR_STAKE + 5, VALIDATOR_STAKE + 5);
        _register(NEWCOMER, VALIDATOR_STAKE + 6);
        assertEq(registry.bondedValidators(), MAXIMUM, "one more wei is enough");
    }

    function test_RegisterValidator_TakesAFreePlaceWithoutDisplacing() public {
        _fill();
        vm.prank(operator(1));
        registry.startUnbonding();
        _register(NEWCOMER, VALIDATOR_STAKE);
        assertEq(registry.bondedValidators(), MAXIMUM, "the place of the one that left");
        for (uint256 key = 2; key <= NEWCOMER; ++key) {
            assertEq(registry.node(operator(key)).unbondingAt, 0, "nobody else goes");
        }
    }

    /// @dev A displaced validator serves the epochs that list it, and takes its stake after the unbonding period.
    function test_RegisterValidator_TheDisplacedTakesItsStakeLater() public {
        _fill();
        registry.advanceEpoch("");
        _register(NEWCOMER, VALIDATOR_STAKE + 1);
        address gone;
        for (uint256 key = 1; key <= MAXIMUM; ++key) {
            if (registry.node(operator(key)).unbondingAt == 0) continue;
            assertEq(gone, address(0), "one alone");
            gone = operator(key);
        }
        assertTrue(_contains(registry.epochValidators(1), registry.node(gone).voteKey), "still of the epoch");
        vm.warp(registry.node(gone).unbondingAt);
        vm.prank(gone);
        registry.withdrawStake();
        assertEq(gone.balance, VALIDATOR_STAKE, "paid");
    }

    /// @dev What a full set refuses leaves nothing behind: the key is free for another attempt.
    function test_RegisterValidator_ARefusedNewcomerMayTryAgain() public {
        _fill();
        _expectRefusal(VALIDATOR_STAKE, VALIDATOR_STAKE);
        assertEq(registry.operatorOf(vm.addr(NEWCOMER)), address(0), "the key is nobody's");
        _register(NEWCOMER, VALIDATOR_STAKE + 1);
        assertEq(registry.operatorOf(vm.addr(NEWCOMER)), operator(NEWCOMER), "now it is");
    }

    /// @dev Most that a registration can cost stays far below the gas of a transaction (EIP-7825).
    function test_RegisterValidator_DisplacementIsBounded() public {
        _fill();
        _register(NEWCOMER, VALIDATOR_STAKE + 1);
        assertLe(vm.lastCallGas().gasTotalUsed, 700_000, "gas");
    }

    // ---- helpers

    function _fill() private {
        assertEq(registry.MAX_VALIDATORS(), MAXIMUM, "places");
        for (uint256 key = 1; key <= MAXIMUM; ++key) {
            registerValidator(key);
        }
    }

    function _register(uint256 key, uint256 stake) private {
        address who = operator(key);
        vm.deal(who, stake);
        bytes memory proof = possession(key, who);
        vm.prank(who);
        registry.registerValidator{value: stake}(vm.addr(key), proof, "http://v");
    }

    function _expectRefusal(uint256 stake, uint256 lowestStake) private {
        address who = operator(NEWCOMER);
        vm.deal(who, stake);
        bytes memory proof = possession(NEWCOMER, who);
        address voteKey = vm.addr(NEWCOMER);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ValidatorSetFull.selector, MAXIMUM, lowestStake));
        vm.prank(who);
        registry.registerValidator{value: stake}(voteKey, proof, "http://v");
    }

    function _contains(address[] memory list, address wanted) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == wanted) return true;
        }
        return false;
    }
}
