// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Fixture} from "./Fixture.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";

/// @notice Construction and registration.
contract NodeRegistryTest is Fixture {
    address private constant ALICE = address(0xA11CE);
    uint256 private constant KEY = uint256(keccak256("alice's vote key"));
    string private constant URL = "http://127.0.0.1:9000";

    // ---- constructor

    function test_Constructor_StoresTheConfig() public view {
        INodeRegistry.Config memory expected = registryConfig();
        assertEq(keccak256(abi.encode(registry.config())), keccak256(abi.encode(expected)), "config");
        assertEq(registry.currentEpoch(), 0, "no epoch yet");
        assertEq(registry.bondedValidators(), 0, "no validator yet");
    }

    /// @dev An epoch that anybody may replace must still be alive, or no round could ever be certified under it.
    function test_Constructor_RevertWhen_EpochLifetimeIsTooShort() public {
        INodeRegistry.Config memory config = registryConfig();
        config.epochLifetime = 2 * EPOCH_LENGTH;
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.EpochLifetimeTooShort.selector, 2 * EPOCH_LENGTH, 2 * EPOCH_LENGTH + 1)
        );
        new NodeRegistry(config);
        config.epochLifetime = 2 * EPOCH_LENGTH + 1;
        new NodeRegistry(config);
    }

    /// @dev Whoever an epoch lists must stay slashable while it lives and for the evidence window after it.
    function test_Constructor_RevertWhen_UnbondingIsTooShort() public {
        INodeRegistry.Config memory config = registryConfig();
        uint64 minimum = EPOCH_LIFETIME + EVIDENCE_WINDOW;
        config.unbondingPeriod = minimum - 1;
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnbondingTooShort.selector, minimum - 1, minimum));
        new NodeRegistry(config);
        config.unbondingPeriod = minimum;
        new NodeRegistry(config);
    }

    /// @dev The sums are taken in 256 bits: nothing wraps round to something short.
    function test_Constructor_RevertWhen_TimesOverflow64Bits() public {
        INodeRegistry.Config memory config = registryConfig();
        config.epochLength = uint64(1) << 63;
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.EpochLifetimeTooShort.selector, EPOCH_LIFETIME, (uint256(1) << 64) + 1)
        );
        new NodeRegistry(config);

        config = registryConfig();
        config.evidenceWindow = type(uint64).max;
        uint256 minimum = uint256(type(uint64).max) + EPOCH_LIFETIME;
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.UnbondingTooShort.selector, UNBONDING, minimum));
        new NodeRegistry(config);
    }

    // ---- registerMiner

    function test_RegisterMiner_StoresStakeAndEmits() public {
        vm.deal(ALICE, 3 ether);
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeRegistered(ALICE, INodeRegistry.Role.Miner, address(0), 3 ether, "");
        vm.prank(ALICE);
        registry.registerMiner{value: 3 ether}();

        assertNode(ALICE, INodeRegistry.Role.Miner, 3 ether, 0, address(0));
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
        vm.prank(ALICE);
        registry.startUnbonding();
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

        assertNode(ALICE, INodeRegistry.Role.Validator, VALIDATOR_STAKE, 0, vm.addr(KEY));
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
        leaveRegistry(operator(KEY));
        _expectValidatorRevert(
            KEY,
            possession(KEY, ALICE),
            URL,
            abi.encodeWithSelector(INodeRegistry.VoteKeyTaken.selector, vm.addr(KEY), operator(KEY))
        );
    }

    /// @dev Evidence names vote keys: one that comes back would carry the faults of its first registration into the second.
    function test_RegisterValidator_RevertWhen_TheSameOperatorReturnsWithItsKey() public {
        registerValidator(KEY);
        address who = operator(KEY);
        leaveRegistry(who);
        bytes memory proof = possession(KEY, who);
        address voteKey = vm.addr(KEY);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.VoteKeyTaken.selector, voteKey, who));
        vm.prank(who);
        registry.registerValidator{value: VALIDATOR_STAKE}(voteKey, proof, URL);

        _registerValidator(who, KEY + 1, possession(KEY + 1, who), URL);
        assertEq(registry.node(who).voteKey, vm.addr(KEY + 1), "with another key it may");
        assertEq(registry.operatorOf(voteKey), who, "the first stays known");
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
}
