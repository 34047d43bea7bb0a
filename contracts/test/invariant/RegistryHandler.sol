// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "../Base.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";

/// @notice Nodes that come, stake, leave and come back, for the invariant tests. Keeps its own books (ghosts).
/// @dev No call of a handler function may revert (fail_on_revert): each checks what it needs and returns if it is not there.
contract RegistryHandler is Base {
    uint256 public constant NODES = 12;

    NodeRegistry private immutable REGISTRY;

    mapping(uint256 index => uint256 wei_) public stakeOf;
    uint256 public forcedEther;
    uint256 public bonded;
    uint64 public epochs;
    mapping(uint64 epoch => bytes32) public epochHash;
    mapping(address voteKey => address operator) public firstOperator;
    /// @notice Attempts of thieves that succeeded.
    uint256 public thefts;

    constructor(NodeRegistry registry) {
        REGISTRY = registry;
    }

    function registerMiner(uint256 index, uint96 extra) external {
        index %= NODES;
        if (_role(index) != INodeRegistry.Role.None) return;
        uint256 stake = REGISTRY.minMinerStake() + extra;
        vm.deal(who(index), stake);
        vm.prank(who(index));
        REGISTRY.registerMiner{value: stake}();
        stakeOf[index] = stake;
    }

    /// @dev With the node's own key, or one of two others: those may have been taken by another node in the meantime.
    function registerValidator(uint256 index, uint8 keySeed, uint96 extra) external {
        index %= NODES;
        if (_role(index) != INodeRegistry.Role.None) return;
        uint256 key = 1 + (index + keySeed % 3) % NODES;
        address voteKey = vm.addr(key);
        uint256 stake = REGISTRY.minValidatorStake() + extra;
        vm.deal(who(index), stake);
        bytes memory data =
            abi.encodeCall(REGISTRY.registerValidator, (voteKey, _possession(key, who(index)), "http://v"));
        vm.prank(who(index));
        (bool success,) = address(REGISTRY).call{value: stake}(data);
        bool takenByAnother = firstOperator[voteKey] != address(0) && firstOperator[voteKey] != who(index);
        assertTrue(success != takenByAnother, "a key is refused exactly if it is another's");
        if (!success) return;
        firstOperator[voteKey] = who(index);
        stakeOf[index] = stake;
        ++bonded;
    }

    function addStake(uint256 index, uint96 amount) external {
        index %= NODES;
        if (amount == 0 || _role(index) == INodeRegistry.Role.None || _node(index).unbondingAt != 0) return;
        vm.deal(who(index), amount);
        vm.prank(who(index));
        REGISTRY.addStake{value: amount}();
        stakeOf[index] += amount;
    }

    function startUnbonding(uint256 index) external {
        index %= NODES;
        if (_role(index) == INodeRegistry.Role.None || _node(index).unbondingAt != 0) return;
        if (_role(index) == INodeRegistry.Role.Validator) --bonded;
        vm.prank(who(index));
        REGISTRY.startUnbonding();
    }

    function withdrawStake(uint256 index) external {
        index %= NODES;
        uint64 withdrawableAt = _node(index).unbondingAt;
        if (withdrawableAt == 0) return;
        if (block.timestamp < withdrawableAt) vm.warp(withdrawableAt);
        uint256 before = who(index).balance;
        vm.prank(who(index));
        REGISTRY.withdrawStake();
        assertEq(who(index).balance - before, stakeOf[index], "withdrawn");
        stakeOf[index] = 0;
    }

    function advanceEpoch() external {
        if (bonded < 4) return;
        vm.warp(block.timestamp + REGISTRY.epochLength());
        epochs = REGISTRY.advanceEpoch();
        epochHash[epochs] = keccak256(abi.encode(REGISTRY.epochValidators(epochs)));
        assertEq(REGISTRY.epochValidators(epochs).length, bonded, "everybody who is bonded");
    }

    /// @dev Bonded, still unbonding, or never registered: nothing to take.
    function stealStake(uint256 index) external {
        index %= NODES;
        uint64 withdrawableAt = _node(index).unbondingAt;
        if (withdrawableAt != 0 && block.timestamp >= withdrawableAt) return;
        vm.prank(who(index));
        (bool success,) = address(REGISTRY).call(abi.encodeCall(REGISTRY.withdrawStake, ()));
        if (success) ++thefts;
    }

    function forceEther(uint64 amount) external {
        vm.deal(address(REGISTRY), address(REGISTRY).balance + amount);
        forcedEther += amount;
    }

    function passTime(uint32 delay) external {
        vm.warp(block.timestamp + delay);
    }

    function who(uint256 index) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("node", index)))));
    }

    function _node(uint256 index) private view returns (INodeRegistry.Node memory) {
        return REGISTRY.node(who(index));
    }

    function _role(uint256 index) private view returns (INodeRegistry.Role) {
        return _node(index).role;
    }

    function _possession(uint256 key, address operator) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("NodeRegistry"),
                keccak256("1"),
                block.chainid,
                address(REGISTRY)
            )
        );
        bytes32 structHash = keccak256(abi.encode(keccak256("KeyOwnership(address operator)"), operator));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
        return abi.encodePacked(r, s, v);
    }
}
