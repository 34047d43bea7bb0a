// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "../Base.sol";
import {RegistryHandler} from "./RegistryHandler.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";

/// @notice What holds of stakes, allowances, keys and epochs after any sequence of calls by anybody (RegistryHandler).
abstract contract RegistryChecks is Base {
    NodeRegistry internal _registry;
    RegistryHandler internal _handler;

    function _deploy(uint256 crowd) internal {
        vm.warp(1_700_000_000);
        INodeRegistry.Config memory config = INodeRegistry.Config({
            minMinerStake: 1 ether,
            minValidatorStake: 10 ether,
            unbondingPeriod: 7 days,
            epochLength: 1 hours,
            epochLifetime: 4 days,
            evidenceWindow: 3 days,
            validatorCourt: address(0xC0A1),
            minerCourt: address(0xC0A2)
        });
        bytes memory code = codeOf("NodeRegistry", type(NodeRegistry).creationCode);
        _registry = NodeRegistry(create(bytes.concat(code, abi.encode(config))));
        _handler = new RegistryHandler(_registry, crowd);
    }

    /// @dev Stakes and allowances are what the handler knows, and the registry holds all of them, to the wei. The crowd's stakes
    ///      are looked at one by one when a run is over.
    function _checkMoney() private view {
        uint256 promised = _handler.forcedEther() + _handler.crowdStake();
        for (uint256 i = 0; i < _handler.NODES(); ++i) {
            promised += _checkNode(_handler.who(i));
            for (uint256 hot = 0; hot < _handler.HOT_KEYS(); ++hot) {
                (, uint256 allowance) = _registry.delegation(_handler.who(i), _handler.delegateOf(hot));
                assertEq(allowance, _handler.allowanceOf(i, hot), "allowance");
                promised += allowance;
            }
        }
        (, uint256 bonded,) = _handler.counts();
        assertEq(address(_registry).balance, promised, "every wei is held");
        assertEq(_registry.bondedValidators(), bonded, "bonded validators");
        assertLe(bonded, _registry.MAX_VALIDATORS(), "no more than there are places");
        assertEq(_handler.thefts(), 0, "thefts");
    }

    function _checkCrowd() private view {
        (uint256 crowd,,) = _handler.counts();
        uint256 staked;
        for (uint256 i = 0; i < crowd; ++i) {
            staked += _checkNode(_handler.crowd(i));
        }
        assertEq(staked, _handler.crowdStake(), "nobody has touched it");
    }

    /// @dev A vote key belongs to its first operator, for ever.
    function _checkKeys() private view {
        (,, uint256 keys) = _handler.counts();
        for (uint256 i = 0; i < keys; ++i) {
            address voteKey = vm.addr(_handler.keys(i));
            assertEq(_registry.operatorOf(voteKey), _handler.firstOperator(voteKey), "a key stays with its first");
        }
    }

    /// @dev An epoch is what it was when it began, and whoever can have signed a certificate of it that counts is still there to
    ///      answer for it.
    function _checkEpoch(uint64 epoch) private view {
        address[] memory keys = _registry.epochValidators(epoch);
        assertEq(keccak256(abi.encode(keys)), _handler.epochHash(epoch), "snapshot");
        assertGe(keys.length, 4, "at least four");
        INodeRegistry.Epoch memory info = _registry.epochInfo(epoch);
        assertEq(info.quorum, (keys.length + (keys.length - 1) / 3) / 2 + 1, "quorum");
        bool slashable = block.timestamp < info.expiresAt + _registry.config().evidenceWindow;
        for (uint256 i = 0; i < keys.length; ++i) {
            if (i > 0) assertTrue(keys[i - 1] < keys[i], "strictly ascending");
            address operator = _registry.operatorOf(keys[i]);
            if (slashable) assertEq(_registry.node(operator).voteKey, keys[i], "still slashable");
        }
    }

    /// @return stake of the account
    function _checkNode(address account_) private view returns (uint256) {
        INodeRegistry.Node memory node = _registry.node(account_);
        assertEq(node.stake, _handler.stakeOf(account_), "stake");
        if (node.role == INodeRegistry.Role.Validator) {
            assertEq(_registry.operatorOf(node.voteKey), account_, "operator of a key");
        }
        bool bonded = node.role != INodeRegistry.Role.None && node.unbondingAt == 0;
        if (bonded) {
            uint256 minimum = node.role == INodeRegistry.Role.Miner ? 1 ether : 10 ether;
            assertGe(node.stake, minimum, "whoever is bonded has the minimum at stake");
        }
        return node.stake;
    }

    function _assertTaken(string memory path, uint256 times) internal view {
        assertEq(_handler.taken(keccak256(bytes(path))), times, path);
    }

    /// @dev After every call. One campaign checks everything: a campaign for each property would see no more.
    function _checkState() internal view {
        uint64 current = _registry.currentEpoch();
        assertEq(current, _handler.epochs(), "current epoch");
        if (current > 0) _checkEpoch(current);
        _checkMoney();
    }

    /// @notice What can only have been broken for ever: looked at when a run is over.
    function afterInvariant() public view {
        for (uint64 epoch = 1; epoch <= _handler.epochs(); ++epoch) {
            _checkEpoch(epoch);
        }
        _checkKeys();
        _checkCrowd();
    }
}

/// @notice A registry with places to spare.
contract RegistryInvariantsTest is RegistryChecks {
    function setUp() public {
        _deploy(0);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev The functions that act; registration, which everything else needs, stands in the list more than once.
    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory list = new bytes4[](20);
        list[0] = RegistryHandler.registerMiner.selector;
        list[1] = RegistryHandler.registerValidator.selector;
        list[2] = RegistryHandler.registerValidator.selector;
        list[3] = RegistryHandler.registerValidator.selector;
        list[4] = RegistryHandler.registerValidator.selector;
        list[5] = RegistryHandler.addStake.selector;
        list[6] = RegistryHandler.startUnbonding.selector;
        list[7] = RegistryHandler.withdrawStake.selector;
        list[8] = RegistryHandler.authorizeDelegate.selector;
        list[9] = RegistryHandler.drawAllowance.selector;
        list[10] = RegistryHandler.revokeDelegate.selector;
        list[11] = RegistryHandler.slash.selector;
        list[12] = RegistryHandler.hold.selector;
        list[13] = RegistryHandler.advanceEpoch.selector;
        list[14] = RegistryHandler.stealStake.selector;
        list[15] = RegistryHandler.stealBySlashing.selector;
        list[16] = RegistryHandler.stealAllowance.selector;
        list[17] = RegistryHandler.stealTheSet.selector;
        list[18] = RegistryHandler.forceEther.selector;
        list[19] = RegistryHandler.passTime.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), list);
    }

    function invariant_Registry() public view {
        _checkState();
    }

    /// @dev The handler by hand, once through everything: an invariant over a handler that does nothing proves nothing.
    function test_Handler_ReachesEveryPath() public {
        for (uint256 i = 0; i < 6; ++i) {
            _handler.registerValidator(i, 1, 1);
        }
        _handler.registerMiner(6, 1);
        _handler.registerValidator(7, 0, 1); // a key that was used
        _handler.advanceEpoch(true);
        _handler.stealTheSet(4);
        _handler.advanceEpoch(false);
        _handler.addStake(0, 5);
        _handler.authorizeDelegate(0, 1, 100, 50);
        _handler.drawAllowance(0, 1, 20);
        _handler.stealAllowance(0, 1, 0);
        _handler.passTime(101);
        _handler.stealAllowance(0, 1, 0);
        _handler.revokeDelegate(0, 1);
        _handler.slash(6, 1 ether); // the miner is below its minimum
        _handler.stealBySlashing(0, 1, 1);
        _handler.startUnbonding(0);
        _handler.stealStake(0);
        _handler.hold(0, type(uint64).max);
        _handler.withdrawStake(0);
        _handler.stealStake(0);
        _handler.registerValidator(0, 1, 1); // comes back with another key
        _handler.forceEther(9);
        _handler.advanceEpoch(true);
        assertEq(_handler.epochs(), 3, "epochs");
        _assertTaken("registerValidator", 7);
        _assertTaken("key refused", 1);
        _assertTaken("drawAllowance", 1);
        _assertTaken("slash", 1);
        _assertTaken("hold", 1);
        _assertTaken("withdrawStake", 1);
        _assertTaken("advanceEpoch by the set", 1);
        _assertTaken("theft attempted", 7);
        _checkState();
        afterInvariant();
    }
}

/// @notice A registry in which only four places are left for twelve nodes.
contract FullRegistryTest is RegistryChecks {
    function setUp() public {
        _deploy(96);
    }

    /// @dev A hundred validators make every call dear: short sequences of what differs when the set is full, no campaign.
    /// forge-config: default.fuzz.runs = 16
    function testFuzz_FullRegistry_AnySequence(uint256 seed) public {
        for (uint256 step = 0; step < 48; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            (uint256 index, uint256 choice) = (seed >> 128, seed % 8);
            // forge-lint: disable-next-line(unsafe-typecast)
            if (choice < 3) _handler.registerValidator(index, uint8(seed >> 8), uint96(seed >> 16)); // any part of the seed will do
            else if (choice == 3) _handler.addStake(index, uint96(1 + (seed >> 16) % 4));
            else if (choice == 4) _handler.startUnbonding(index);
            else if (choice == 5) _handler.withdrawStake(index);
            else if (choice == 6) _handler.slash(index, uint128((seed >> 16) % 12 ether));
            else _handler.advanceEpoch(seed >> 16 & 7 != 0);
            _checkState();
        }
        afterInvariant();
    }

    function test_Handler_FillsTheSet() public {
        for (uint256 i = 0; i < 4; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast)
            _handler.registerValidator(i, 1, uint96(i)); // stakes 10 ether + 0 to 3 wei
        }
        _handler.registerValidator(4, 1, 0); // no more than the lowest
        _handler.registerValidator(5, 1, 1); // displaces node 0
        _handler.slash(3, 1 ether); // frees a place
        _handler.registerValidator(6, 1, 0);
        _handler.advanceEpoch(true);
        _assertTaken("registerValidator", 5);
        _assertTaken("full", 1);
        _assertTaken("displacing", 1);
        assertTrue(_registry.node(_handler.who(0)).unbondingAt != 0, "node 0 leaves");
        _checkState();
        afterInvariant();
    }
}
