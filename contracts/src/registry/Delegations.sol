// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";

/// @title Delegations
/// @notice The part of NodeRegistry that lets hot keys act for a node until they expire and spend what it has put aside for
///         them, no more.
abstract contract Delegations is INodeRegistry {
    /// @param expiresAt timestamp (seconds) of the last second; 0: no right
    /// @param allowance wei held for the delegate
    struct Delegation {
        uint64 expiresAt;
        uint128 allowance;
    }

    mapping(address account => mapping(address delegate => Delegation)) private _delegations;

    /// @inheritdoc INodeRegistry
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function authorizeDelegate(address delegate, uint64 expiresAt) external payable {
        if (expiresAt < block.timestamp) revert ExpiryInPast(expiresAt);
        Delegation storage granted = _delegations[msg.sender][delegate];
        uint128 allowance = SafeCast.toUint128(granted.allowance + msg.value);
        (granted.expiresAt, granted.allowance) = (expiresAt, allowance);
        emit DelegateAuthorized(msg.sender, delegate, expiresAt, allowance);
    }

    /// @inheritdoc INodeRegistry
    function revokeDelegate(address delegate) external {
        uint256 allowance = _delegations[msg.sender][delegate].allowance;
        delete _delegations[msg.sender][delegate];
        emit DelegateRevoked(msg.sender, delegate, allowance);
        Address.sendValue(payable(msg.sender), allowance);
    }

    /// @inheritdoc INodeRegistry
    function drawAllowance(address account, uint256 amount) external {
        if (!isDelegate(account, msg.sender)) revert NotDelegate(account, msg.sender);
        Delegation storage granted = _delegations[account][msg.sender];
        uint128 allowance = granted.allowance;
        if (amount > allowance) revert AllowanceExceeded(amount, allowance);
        granted.allowance = SafeCast.toUint128(allowance - amount);
        emit AllowanceDrawn(account, msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc INodeRegistry
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function isDelegate(address account, address delegate) public view returns (bool) {
        uint64 expiresAt = _delegations[account][delegate].expiresAt;
        return expiresAt != 0 && block.timestamp <= expiresAt;
    }

    /// @inheritdoc INodeRegistry
    function delegation(address account, address delegate) external view returns (uint64 expiresAt, uint256 allowance) {
        Delegation storage granted = _delegations[account][delegate];
        return (granted.expiresAt, granted.allowance);
    }
}
