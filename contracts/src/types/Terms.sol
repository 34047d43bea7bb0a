// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {Round} from "./Round.sol";

/// @notice What a round needs of TaskParams, in one word; it never changes.
/// @dev From the low end: rewardPerRound 96 bits | commitWindow 24 | revealWindow 24 | finalizeWindow 24 | maxSkips 16 |
///      stopLossAfter 24 | stopLoss 48.
type Terms is uint256;

using TermsFields for Terms global;

/// @title TermsFields
/// @notice Access to the fields of Terms, and what follows from them.
library TermsFields {
    /// @notice The word of a task.
    /// @dev The casts repeat what Tasks.validate has checked; `rewardPerRound` is at most the budget.
    function from(IProofOfTraining.TaskParams calldata params) internal pure returns (Terms) {
        return Terms.wrap(
            uint256(SafeCast.toUint96(params.rewardPerRound)) | uint256(SafeCast.toUint24(params.commitWindow)) << 96
                | uint256(SafeCast.toUint24(params.revealWindow)) << 120
                | uint256(SafeCast.toUint24(params.finalizeWindow)) << 144 | uint256(SafeCast.toUint16(params.maxSkips))
                << 168 | uint256(SafeCast.toUint24(params.stopLossAfter)) << 184
                | uint256(SafeCast.toUint48(params.stopLoss)) << 208
        );
    }

    /// @notice Most that a final round may allocate (wei or token units).
    function rewardPerRound(Terms self) internal pure returns (uint96) {
        return uint96(_get(self, 0, type(uint96).max));
    }

    /// @notice Seconds from the opening of a round to its commit deadline.
    function commitWindow(Terms self) internal pure returns (uint32) {
        return uint32(_get(self, 96, type(uint24).max));
    }

    /// @notice Seconds from the commit deadline to the reveal deadline.
    function revealWindow(Terms self) internal pure returns (uint32) {
        return uint32(_get(self, 120, type(uint24).max));
    }

    /// @notice Seconds from the reveal deadline until anybody may skip the round.
    function finalizeWindow(Terms self) internal pure returns (uint32) {
        return uint32(_get(self, 144, type(uint24).max));
    }

    /// @notice Skipped rounds in a row that are tolerated.
    function maxSkips(Terms self) internal pure returns (uint32) {
        return uint32(_get(self, 168, type(uint16).max));
    }

    /// @notice Final rounds from which the loss is watched; 0: never.
    function stopLossAfter(Terms self) internal pure returns (uint32) {
        return uint32(_get(self, 184, type(uint24).max));
    }

    /// @notice Greatest loss, in millionths, of a watched round that does not stop the task.
    function stopLoss(Terms self) internal pure returns (uint64) {
        return uint64(_get(self, 208, type(uint48).max));
    }

    /// @notice Timestamp (seconds) of the last second in which members may reveal on chain.
    function revealDeadline(Terms self, Round round) internal pure returns (uint64) {
        return round.commitDeadline() + revealWindow(self);
    }

    /// @notice Timestamp (seconds) of the last second in which nobody may skip the round.
    function finalizeDeadline(Terms self, Round round) internal pure returns (uint64) {
        return revealDeadline(self, round) + finalizeWindow(self);
    }

    /// @notice The task after a final round, its reward allocated.
    /// @dev The budget cannot run dry: Tasks.validate made sure that it covers `rewardPerRound` in every round.
    /// @param round the word of the open round
    /// @param total sum of the cumulative rewards tree after the round
    function finalize(Terms self, Round round, uint128 total) internal pure returns (Round) {
        uint256 before = round.allocated();
        if (total < before) revert IProofOfTraining.RewardsDecreased(total, before);
        uint256 increase = total - before;
        if (increase > rewardPerRound(self)) revert IProofOfTraining.RewardsTooHigh(increase, rewardPerRound(self));
        return round.finalized(SafeCast.toUint96(total));
    }

    function _get(Terms self, uint256 offset, uint256 mask) private pure returns (uint256) {
        return Terms.unwrap(self) >> offset & mask;
    }
}
