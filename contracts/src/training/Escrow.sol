// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {ProtocolHashes} from "../libraries/ProtocolHashes.sol";
import {Tasks} from "../libraries/Tasks.sol";
import {Round} from "../types/Round.sol";
import {TaskBook} from "./TaskBook.sol";

/// @title Escrow
/// @notice The part of ProofOfTraining that moves money: budgets in, rewards and refunds out.
/// @dev What a transfer out could re-enter is settled before it; a transfer in, which measures a balance, closes the contract to
///      every other movement of money.
abstract contract Escrow is TaskBook, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc IProofOfTraining
    function claim(Claim calldata request) external nonReentrantView returns (uint256 amount) {
        bool proven;
        (proven, amount) = _settle(request);
        if (!proven) revert InvalidRewardProof(request.taskId, request.account, request.cumulative);
        if (amount == 0) {
            revert NothingToClaim(request.taskId, request.account, _claimed[request.taskId][request.account]);
        }
    }

    /// @inheritdoc IProofOfTraining
    function claimMany(Claim[] calldata requests) external nonReentrantView returns (uint256[] memory amounts) {
        amounts = new uint256[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            (, amounts[i]) = _settle(requests[i]);
        }
    }

    /// @inheritdoc IProofOfTraining
    function refund(uint256 taskId) external nonReentrantView returns (uint256 amount) {
        (Tasks.Data storage t, Round round) = _knownTask(taskId);
        if (round.isLive()) revert WrongTaskState(taskId, round.state());
        uint96 unallocated = t.budget - round.allocated();
        if (unallocated == 0 || t.refunded != 0) revert NothingToRefund(taskId);
        t.refunded = unallocated;
        address owner = t.owner;
        emit TaskRefunded(taskId, owner, unallocated);
        _payOut(t.token, owner, unallocated);
        return unallocated;
    }

    // slither-disable-next-line msg-value-in-nonpayable createTask, which is payable, is the only caller
    function _takeIn(address token, uint256 amount) internal {
        if (token == address(0)) {
            if (msg.value != amount) revert WrongValue(msg.value, amount);
            return;
        }
        if (msg.value != 0) revert WrongValue(msg.value, 0);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = Math.saturatingSub(IERC20(token).balanceOf(address(this)), before);
        if (received != amount) revert EscrowMismatch(received, amount);
    }

    /// @dev Pays what the claim is worth; `proven` says whether its proof led to the head.
    function _settle(Claim calldata request) private returns (bool proven, uint256 amount) {
        (uint256 taskId, address account) = (request.taskId, request.account);
        Tasks.Data storage t = _tasks[taskId]; // a task that does not exist has no head
        bytes32 leaf = ProtocolHashes.rewardLeaf(taskId, account, request.cumulative);
        bytes32 root = MerkleProof.processProofCalldata(request.proof, leaf);
        if (ProtocolHashes.outcomeHash(request.decision, root, request.rewardsTotal) != t.head) return (false, 0);
        uint256 paidBefore = _claimed[taskId][account];
        (address token, uint256 claimed) = (t.token, t.claimed);
        // the cap keeps a tree that promises too much from reaching the escrow of the owner or of other tasks
        amount = Math.min(Math.saturatingSub(request.cumulative, paidBefore), request.rewardsTotal - claimed);
        if (amount == 0) return (true, 0);
        _claimed[taskId][account] = SafeCast.toUint128(paidBefore + amount);
        t.claimed = SafeCast.toUint96(claimed + amount);
        emit RewardClaimed(taskId, account, amount, paidBefore + amount);
        _payOut(token, account, amount);
        return (true, amount);
    }

    function _payOut(address token, address to, uint256 amount) private {
        if (token == address(0)) Address.sendValue(payable(to), amount);
        else IERC20(token).safeTransfer(to, amount);
    }
}
