// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Fixture} from "./Fixture.sol";
import {RefusingNode, ReentrantNode} from "./mocks/HostileNodes.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";

/// @notice Registration, stake and unbonding.
contract NodeRegistryTest is Fixture {
    address private constant ALICE = address(0xA11CE);
    uint256 private constant KEY = uint256(keccak256("alice's vote key"));
    string private constant URL = "http://127.0.0.1:9000";

    function test_Constructor_StoresParameters() public view {
        assertEq(registry.minMinerStake(), MINER_STAKE, "minMinerStake");
        assertEq(registry.minValidatorStake(), VALIDATOR_STAKE, "minValidatorStake");
        assertEq(registry.unbondingPeriod(), UNBONDING, "unbondingPeriod");
        assertEq(registry.epochLength(), EPOCH_LENGTH, "epochLength");
        assertEq(registry.currentEpoch(), 0, "no epoch yet");
    }

    // ---- registerMiner

    function test_RegisterMiner_StoresStakeAndEmits() public {
        vm.deal(ALICE, 3 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeRegistered(ALICE, INodeRegistry.Role.Miner, address(0), 3 ether, "");
        vm.prank(ALICE);
        registry.registerMiner{value: 3 ether}();

        _assertNode(ALICE, INodeRegistry.Role.Miner, 3 ether, 0, address(0));
        assertTrue(registry.isActiveMiner(ALICE), "active miner");
        assertEq(registry.endpointOf(ALICE), "", "a miner has no endpoint");
        assertEq(address(registry).balance, 3 ether, "stake held");
    }

    function test_RegisterMiner_RevertWhen_StakeTooLow() public {
        vm.deal(ALICE, MINER_STAKE);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeTooLow.selector, MINER_STAKE - 1, MINER_STAKE));
        vm.prank(ALICE);
        registry.registerMiner{value: MINER_STAKE - 1}();
    }

    function test_RegisterMiner_RevertWhen_AlreadyRegistered() public {
        _registerMiner(ALICE);
        vm.deal(ALICE, MINER_STAKE);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.AlreadyRegistered.selector, ALICE, INodeRegistry.Role.Miner)
        );
        vm.prank(ALICE);
        registry.registerMiner{value: MINER_STAKE}();
    }

    function test_RegisterMiner_RevertWhen_Unbonding() public {
        _registerMiner(ALICE);
        _startUnbonding(ALICE);
        vm.deal(ALICE, MINER_STAKE);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.AlreadyRegistered.selector, ALICE, INodeRegistry.Role.Miner)
        );
        vm.prank(ALICE);
        registry.registerMiner{value: MINER_STAKE}();
    }

    function test_RegisterMiner_RevertWhen_StakeOverflows() public {
        uint256 stake = uint256(type(uint128).max) + 1;
        vm.deal(ALICE, stake);
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 128, stake));
        vm.prank(ALICE);
        registry.registerMiner{value: stake}();
    }

    // ---- registerValidator

    function test_RegisterValidator_BindsKeyAndEmits() public {
        vm.deal(ALICE, VALIDATOR_STAKE);
        bytes memory proof = possession(KEY, ALICE);
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeRegistered(ALICE, INodeRegistry.Role.Validator, vm.addr(KEY), VALIDATOR_STAKE, URL);
        vm.prank(ALICE);
        registry.registerValidator{value: VALIDATOR_STAKE}(vm.addr(KEY), proof, URL);

        _assertNode(ALICE, INodeRegistry.Role.Validator, VALIDATOR_STAKE, 0, vm.addr(KEY));
        assertEq(registry.operatorOf(vm.addr(KEY)), ALICE, "operator");
        assertEq(registry.endpointOf(ALICE), URL, "endpoint");
        assertEq(registry.bondedValidators(), 1, "bonded");
        assertFalse(registry.isActiveMiner(ALICE), "a validator is no miner");
    }

    function test_RegisterValidator_AcceptsLongestEndpoint() public {
        string memory longest = string(new bytes(registry.MAX_ENDPOINT_LENGTH()));
        _registerValidator(ALICE, KEY, possession(KEY, ALICE), longest);
        assertEq(registry.endpointOf(ALICE), longest, "endpoint");
    }

    function test_RegisterValidator_RevertWhen_StakeTooLow() public {
        bytes memory proof = possession(KEY, ALICE);
        vm.deal(ALICE, VALIDATOR_STAKE);
        bytes4 selector = INodeRegistry.StakeTooLow.selector;
        vm.expectRevert(abi.encodeWithSelector(selector, VALIDATOR_STAKE - 1, VALIDATOR_STAKE));
        vm.prank(ALICE);
        registry.registerValidator{value: VALIDATOR_STAKE - 1}(vm.addr(KEY), proof, URL);
    }

    function test_RegisterValidator_RevertWhen_AlreadyRegistered() public {
        _registerMiner(ALICE);
        _expectValidatorRevert(
            KEY,
            possession(KEY, ALICE),
            URL,
            abi.encodeWithSelector(INodeRegistry.AlreadyRegistered.selector, ALICE, INodeRegistry.Role.Miner)
        );
    }

    function test_RegisterValidator_RevertWhen_VoteKeyIsZero() public {
        vm.deal(ALICE, VALIDATOR_STAKE);
        bytes memory proof = possession(KEY, ALICE);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ZeroVoteKey.selector));
        vm.prank(ALICE);
        registry.registerValidator{value: VALIDATOR_STAKE}(address(0), proof, URL);
    }

    /// @dev A malformed signature recovers to zero: it must not pass for the key of the zero address either.
    function test_RegisterValidator_RevertWhen_VoteKeyIsZeroAndProofMalformed() public {
        vm.deal(ALICE, VALIDATOR_STAKE);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ZeroVoteKey.selector));
        vm.prank(ALICE);
        registry.registerValidator{value: VALIDATOR_STAKE}(address(0), "", URL);
    }

    function test_RegisterValidator_RevertWhen_VoteKeyTaken() public {
        registerValidator(KEY);
        _expectValidatorRevert(
            KEY,
            possession(KEY, ALICE),
            URL,
            abi.encodeWithSelector(INodeRegistry.VoteKeyTaken.selector, vm.addr(KEY), operator(KEY))
        );
    }

    function test_RegisterValidator_RevertWhen_VoteKeyWasOfANodeThatLeft() public {
        registerValidator(KEY);
        _leaveRegistry(operator(KEY));
        _expectValidatorRevert(
            KEY,
            possession(KEY, ALICE),
            URL,
            abi.encodeWithSelector(INodeRegistry.VoteKeyTaken.selector, vm.addr(KEY), operator(KEY))
        );
    }

    function test_RegisterValidator_SameOperatorMayReturnWithItsKey() public {
        registerValidator(KEY);
        _leaveRegistry(operator(KEY));
        registerValidator(KEY);
        assertEq(registry.bondedValidators(), 1, "bonded again");
    }

    function test_RegisterValidator_RevertWhen_PossessionIsByAnotherKey() public {
        uint256 other = KEY + 1;
        _expectValidatorRevert(
            KEY,
            possession(other, ALICE),
            URL,
            abi.encodeWithSelector(INodeRegistry.InvalidPossession.selector, vm.addr(KEY), vm.addr(other))
        );
    }

    /// @dev A proof that was seen in somebody's pending transaction is worth nothing to another sender.
    function test_RegisterValidator_RevertWhen_PossessionIsForAnotherOperator() public {
        vm.deal(ALICE, VALIDATOR_STAKE);
        bytes memory proof = possession(KEY, stranger);
        address voteKey = vm.addr(KEY);
        vm.expectPartialRevert(INodeRegistry.InvalidPossession.selector);
        vm.prank(ALICE);
        registry.registerValidator{value: VALIDATOR_STAKE}(voteKey, proof, URL);
    }

    function test_RegisterValidator_RevertWhen_PossessionIsOfAnotherChain() public {
        bytes memory proof = possession(KEY, ALICE);
        vm.chainId(block.chainid + 1);
        vm.deal(ALICE, VALIDATOR_STAKE);
        address voteKey = vm.addr(KEY);
        vm.expectPartialRevert(INodeRegistry.InvalidPossession.selector);
        vm.prank(ALICE);
        registry.registerValidator{value: VALIDATOR_STAKE}(voteKey, proof, URL);
    }

    function test_RegisterValidator_RevertWhen_PossessionIsMalformed() public {
        _expectValidatorRevert(
            KEY,
            hex"1234",
            URL,
            abi.encodeWithSelector(INodeRegistry.InvalidPossession.selector, vm.addr(KEY), address(0))
        );
    }

    function test_RegisterValidator_RevertWhen_PossessionHasHighS() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, ownershipDigest(ALICE));
        bytes memory proof = abi.encodePacked(r, bytes32(SECP256K1_N - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        _expectValidatorRevert(
            KEY, proof, URL, abi.encodeWithSelector(INodeRegistry.InvalidPossession.selector, vm.addr(KEY), address(0))
        );
    }

    function test_RegisterValidator_RevertWhen_EndpointIsEmpty() public {
        _expectValidatorRevert(
            KEY,
            possession(KEY, ALICE),
            "",
            abi.encodeWithSelector(INodeRegistry.InvalidEndpointLength.selector, 0, registry.MAX_ENDPOINT_LENGTH())
        );
    }

    function test_RegisterValidator_RevertWhen_EndpointIsTooLong() public {
        uint256 maximum = registry.MAX_ENDPOINT_LENGTH();
        _expectValidatorRevert(
            KEY,
            possession(KEY, ALICE),
            string(new bytes(maximum + 1)),
            abi.encodeWithSelector(INodeRegistry.InvalidEndpointLength.selector, maximum + 1, maximum)
        );
    }

    function test_RegisterValidator_RevertWhen_SetIsFull() public {
        uint256 maximum = registry.MAX_VALIDATORS();
        for (uint256 i = 1; i <= maximum; ++i) {
            registerValidator(i);
        }
        _expectValidatorRevert(
            KEY, possession(KEY, ALICE), URL, abi.encodeWithSelector(INodeRegistry.ValidatorSetFull.selector, maximum)
        );

        vm.prank(operator(1));
        registry.startUnbonding();
        _registerValidator(ALICE, KEY, possession(KEY, ALICE), URL);
        assertEq(registry.bondedValidators(), maximum, "the place of the one that left");
    }

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
        _startUnbonding(ALICE);
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
        _startUnbonding(operator(KEY));
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
        _assertNode(ALICE, INodeRegistry.Role.Miner, MINER_STAKE, withdrawableAt, address(0));
        assertFalse(registry.isActiveMiner(ALICE), "no longer active");
    }

    function test_StartUnbonding_TakesValidatorOffTheList() public {
        registerValidator(KEY);
        registerValidator(KEY + 1);
        _startUnbonding(operator(KEY));
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
        _startUnbonding(ALICE);
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
        _startUnbonding(who);
        vm.warp(block.timestamp + UNBONDING);
        vm.expectEmit(address(registry));
        emit INodeRegistry.StakeWithdrawn(who, VALIDATOR_STAKE);
        vm.prank(who);
        registry.withdrawStake();

        _assertNode(who, INodeRegistry.Role.None, 0, 0, address(0));
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
        _startUnbonding(ALICE);
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING;
        vm.warp(withdrawableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.StakeLocked.selector, ALICE, withdrawableAt));
        vm.prank(ALICE);
        registry.withdrawStake();
    }

    function test_WithdrawStake_RevertWhen_Twice() public {
        _registerMiner(ALICE);
        _leaveRegistry(ALICE);
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
        _leaveRegistry(ALICE);
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

    function _registerValidator(address who, uint256 key, bytes memory proof, string memory url) private {
        vm.deal(who, VALIDATOR_STAKE);
        vm.prank(who);
        registry.registerValidator{value: VALIDATOR_STAKE}(vm.addr(key), proof, url);
    }

    function _expectValidatorRevert(uint256 key, bytes memory proof, string memory url, bytes memory reason) private {
        vm.deal(ALICE, VALIDATOR_STAKE);
        address voteKey = vm.addr(key);
        vm.expectRevert(reason);
        vm.prank(ALICE);
        registry.registerValidator{value: VALIDATOR_STAKE}(voteKey, proof, url);
    }

    function _startUnbonding(address who) private {
        vm.prank(who);
        registry.startUnbonding();
    }

    function _leaveRegistry(address who) private {
        _startUnbonding(who);
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(who);
        registry.withdrawStake();
    }

    function _assertNode(address who, INodeRegistry.Role role, uint256 stake, uint256 unbondingAt, address voteKey)
        private
        view
    {
        INodeRegistry.Node memory node = registry.node(who);
        assertEq(uint256(node.role), uint256(role), "role");
        assertEq(node.stake, stake, "stake");
        assertEq(node.unbondingAt, unbondingAt, "unbondingAt");
        assertEq(node.voteKey, voteKey, "voteKey");
    }
}
