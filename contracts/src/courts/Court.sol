// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {ICourt} from "../interfaces/ICourt.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";

/// @title Court
/// @notice What both courts share: the shares of a penalty, payments on demand, and the domain of what validators sign.
/// @dev Payments are accounted for, never read from the balance: ether that is forced upon a court changes nothing.
abstract contract Court is ICourt {
    /// @notice Share of a penalty that goes to whoever proved the offence, in 1/10000.
    uint256 public constant BOUNTY_BPS = 500;
    /// @notice Share of a penalty that goes to the owner of the harmed task, in 1/10000.
    uint256 public constant COMPENSATION_BPS = 2500;
    /// @notice Where the rest goes.
    address payable public constant BURN_ADDRESS = payable(0x000000000000000000000000000000000000dEaD);

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    INodeRegistry internal immutable REGISTRY;
    IProofOfTraining internal immutable TRAINING;

    mapping(address account => uint256 amount) private _owed;

    /// @param registry_ NodeRegistry that names this court
    /// @param training_ ProofOfTraining of that registry
    constructor(address registry_, address training_) {
        REGISTRY = INodeRegistry(registry_);
        TRAINING = IProofOfTraining(training_);
    }

    /// @dev Stake that is being taken.
    receive() external payable {
        if (msg.sender != address(REGISTRY)) revert NotRegistry(msg.sender);
    }

    /// @inheritdoc ICourt
    function withdraw() external returns (uint256 amount) {
        amount = _owed[msg.sender];
        if (amount == 0) revert NothingOwed(msg.sender);
        // settled before the transfer: a receiver that calls back is owed nothing
        _owed[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc ICourt
    function owedTo(address account) external view returns (uint256) {
        return _owed[account];
    }

    /// @inheritdoc ICourt
    function registry() external view returns (address) {
        return address(REGISTRY);
    }

    /// @inheritdoc ICourt
    function training() external view returns (address) {
        return address(TRAINING);
    }

    /// @param account who may withdraw it
    /// @param amount wei
    function _credit(address account, uint256 amount) internal {
        _owed[account] += amount;
    }

    /// @param amount wei
    function _burn(uint256 amount) internal {
        Address.sendValue(BURN_ADDRESS, amount);
    }

    /// @dev Divides what the registry has just sent. A share that has no receiver is burned too.
    /// @param taken wei
    /// @param taskId task that was harmed
    /// @param reporter who proved the offence; zero for a decision of validators, who must not profit by it
    function _distribute(uint256 taken, uint256 taskId, address reporter) internal {
        address owner = TRAINING.task(taskId).owner;
        uint256 bounty = reporter == address(0) ? 0 : taken * BOUNTY_BPS / 10_000;
        uint256 compensation = owner == address(0) ? 0 : taken * COMPENSATION_BPS / 10_000;
        uint256 burned = taken - bounty - compensation;
        _credit(reporter, bounty);
        _credit(owner, compensation);
        emit SlashDistributed(taskId, reporter, owner, bounty, compensation, burned);
        _burn(burned);
    }

    /// @dev What validators sign: the EIP-712 digest in the domain of ProofOfTraining. The chain is asked for its number each
    ///      time, so that what was signed on one side of a fork proves nothing on the other.
    /// @param structHash EIP-712 hashStruct
    function _digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("ProofOfTraining"), keccak256("1"), block.chainid, address(TRAINING))
        );
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }
}
