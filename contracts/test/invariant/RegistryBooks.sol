// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "../Base.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";

/// @notice What RegistryHandler knows (ghosts), which the invariants compare with what the registry says.
abstract contract RegistryBooks is Base {
    uint256 public constant NODES = 12;
    uint256 public constant HOT_KEYS = 3;
    address internal constant VALIDATOR_COURT = address(0xC0A1);
    address internal constant MINER_COURT = address(0xC0A2);

    NodeRegistry internal immutable REGISTRY;

    mapping(address node => uint256 wei_) public stakeOf;
    mapping(uint256 index => mapping(uint256 hot => uint256 wei_)) public allowanceOf;
    uint256 public forcedEther;
    /// @notice Validators that stand in the set from the beginning, with stakes that differ, to fill it.
    address[] public crowd;
    uint256 public crowdStake;
    /// @notice Operators of the bonded validators.
    address[] public bonded;
    /// @dev Who had to go last.
    address internal displaced;
    /// @notice Every private key that was ever registered.
    uint256[] public keys;
    mapping(address voteKey => address operator) public firstOperator;
    mapping(address voteKey => uint256 key) private _privateKeys;
    uint64 public epochs;
    mapping(uint64 epoch => bytes32) public epochHash;
    /// @notice Attempts of thieves that succeeded.
    uint256 public thefts;
    /// @notice How often each path was taken, to see that the run reaches all of them.
    mapping(bytes32 path => uint256) public taken;

    constructor(NodeRegistry registry, uint256 crowd_) {
        REGISTRY = registry;
        for (uint256 i = 0; i < crowd_; ++i) {
            address operator = address(uint160(uint256(keccak256(abi.encode("crowd", i)))));
            crowd.push(operator);
            uint256 stake = registry.config().minValidatorStake + (i == 0 ? 4 : 100);
            _register(operator, uint256(keccak256(abi.encode("crowd key", i))), stake);
            crowdStake += stake;
        }
    }

    function who(uint256 index) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("node", index)))));
    }

    function delegateOf(uint256 hot) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("hot key", hot)))));
    }

    function counts() external view returns (uint256 crowd_, uint256 bonded_, uint256 keys_) {
        return (crowd.length, bonded.length, keys.length);
    }

    function _node(uint256 index) internal view returns (INodeRegistry.Node memory) {
        return REGISTRY.node(who(index));
    }

    function _isBonded(uint256 index) internal view returns (bool) {
        INodeRegistry.Node memory node = _node(index);
        return node.role != INodeRegistry.Role.None && node.unbondingAt == 0;
    }

    function _court(INodeRegistry.Role role) internal pure returns (address) {
        return role == INodeRegistry.Role.Validator ? VALIDATOR_COURT : MINER_COURT;
    }

    /// @dev Registers, if the registry lets it, and keeps the books of it and of whoever it displaces.
    function _register(address operator, uint256 key, uint256 stake) internal returns (bool success) {
        address voteKey = vm.addr(key);
        vm.deal(operator, stake);
        bytes memory data =
            abi.encodeCall(REGISTRY.registerValidator, (voteKey, _possession(key, operator), "http://v"));
        vm.prank(operator);
        (success,) = address(REGISTRY).call{value: stake}(data);
        if (!success) return false;
        for (uint256 i = 0; i < bonded.length; ++i) {
            if (REGISTRY.node(bonded[i]).unbondingAt == 0) continue;
            displaced = bonded[i];
            _forget(displaced);
            break;
        }
        (firstOperator[voteKey], _privateKeys[voteKey]) = (operator, key);
        stakeOf[operator] = stake;
        keys.push(key);
        bonded.push(operator);
    }

    /// @dev Takes an operator off the list of the bonded, if it is on it.
    function _forget(address operator) internal {
        for (uint256 i = 0; i < bonded.length; ++i) {
            if (bonded[i] != operator) continue;
            bonded[i] = bonded[bonded.length - 1];
            bonded.pop();
            return;
        }
    }

    function _lowestStake() internal view returns (uint256 stake) {
        stake = type(uint256).max;
        for (uint256 i = 0; i < bonded.length; ++i) {
            if (stakeOf[bonded[i]] < stake) stake = stakeOf[bonded[i]];
        }
    }

    /// @dev What the first `count` members of the current set sign to hand over.
    function _handover(uint256 count) internal view returns (bytes memory signatures) {
        uint64 current = REGISTRY.currentEpoch();
        address[] memory listed = REGISTRY.epochValidators(current);
        bytes32 digest = REGISTRY.rotationDigest(current + 1, REGISTRY.nextValidators());
        for (uint256 i = 0; i < count; ++i) {
            (bytes32 r, bytes32 vs) = vm.signCompact(_privateKeys[listed[i]], digest);
            // forge-lint: disable-next-line(unsafe-typecast)
            signatures = abi.encodePacked(signatures, uint16(i), r, vs); // at most 100 validators
        }
    }

    function _noteEpoch(uint64 epoch) internal {
        assertEq(epoch, epochs + 1, "epochs count up");
        epochs = epoch;
        address[] memory listed = REGISTRY.epochValidators(epoch);
        epochHash[epoch] = keccak256(abi.encode(listed));
        assertEq(listed.length, bonded.length, "everybody who is bonded");
        for (uint256 i = 0; i < listed.length; ++i) {
            assertEq(REGISTRY.node(firstOperator[listed[i]]).unbondingAt, 0, "and nobody else");
        }
    }

    function _attempt(address thief, bytes memory data) internal {
        vm.prank(thief);
        (bool success,) = address(REGISTRY).call(data);
        if (success) ++thefts;
        _count("theft attempted");
    }

    function _count(string memory path) internal {
        ++taken[keccak256(bytes(path))];
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
