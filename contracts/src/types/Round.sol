// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";

/// @notice What changes in a task from round to round, in one word, so that a transaction loads and stores it once.
/// @dev From the low end: state 8 bits | cancelRequested 8 | number 32 | epoch 32 | startedAt 40 | roundsLeft 32 | skips 32 |
///      chainReveals 32 | commitWindow 32.
type Round is uint256;

using RoundFields for Round global;

/// @title RoundFields
/// @notice Access to the fields of a Round. Changes return a new value, which the caller stores.
library RoundFields {
    uint256 private constant CANCEL_REQUESTED = 8;
    uint256 private constant NUMBER = 16;
    uint256 private constant EPOCH = 48;
    uint256 private constant STARTED_AT = 80;
    uint256 private constant ROUNDS_LEFT = 120;
    uint256 private constant SKIPS = 152;
    uint256 private constant CHAIN_REVEALS = 184;
    uint256 private constant COMMIT_WINDOW = 216;

    uint256 private constant MASK_8 = type(uint8).max;
    uint256 private constant MASK_32 = type(uint32).max;
    uint256 private constant MASK_40 = type(uint40).max;

    /// @notice The word of a new task.
    /// @param rounds rounds to be finalized
    /// @param commitWindow_ TaskParams.commitWindow
    function created(uint32 rounds, uint32 commitWindow_) internal pure returns (Round) {
        return Round.wrap(
            uint256(IProofOfTraining.TaskState.Open) | uint256(rounds) << ROUNDS_LEFT | uint256(commitWindow_)
                << COMMIT_WINDOW
        );
    }

    /// @notice State of the task.
    function state(Round self) internal pure returns (IProofOfTraining.TaskState) {
        return IProofOfTraining.TaskState(Round.unwrap(self) & MASK_8);
    }

    /// @notice Whether the owner has asked for the end of the running task.
    function cancelRequested(Round self) internal pure returns (bool) {
        return _get(self, CANCEL_REQUESTED, MASK_8) != 0;
    }

    /// @notice Number of the open (or last) round; counts skipped rounds too.
    function number(Round self) internal pure returns (uint32) {
        return uint32(_get(self, NUMBER, MASK_32));
    }

    /// @notice Validator epoch whose quorum certifies the round.
    function epoch(Round self) internal pure returns (uint64) {
        return uint64(_get(self, EPOCH, MASK_32));
    }

    /// @notice Timestamp (seconds) at which the round opened; 0 before round 0.
    function startedAt(Round self) internal pure returns (uint64) {
        return uint64(_get(self, STARTED_AT, MASK_40));
    }

    /// @notice Rounds still to be finalized.
    function roundsLeft(Round self) internal pure returns (uint32) {
        return uint32(_get(self, ROUNDS_LEFT, MASK_32));
    }

    /// @notice Rounds skipped since the last final one.
    function skips(Round self) internal pure returns (uint32) {
        return uint32(_get(self, SKIPS, MASK_32));
    }

    /// @notice On-chain reveals of the round.
    function chainReveals(Round self) internal pure returns (uint32) {
        return uint32(_get(self, CHAIN_REVEALS, MASK_32));
    }

    /// @notice Seconds from the opening of a round to its commit deadline.
    function commitWindow(Round self) internal pure returns (uint32) {
        return uint32(_get(self, COMMIT_WINDOW, MASK_32));
    }

    /// @notice Whether the task is Open or Running.
    function isLive(Round self) internal pure returns (bool) {
        IProofOfTraining.TaskState current = state(self);
        return current == IProofOfTraining.TaskState.Open || current == IProofOfTraining.TaskState.Running;
    }

    /// @notice Whether the task is Running and `number_` is its open round, by one comparison.
    function isOpen(Round self, uint64 number_) internal pure returns (bool) {
        uint256 expected = uint256(IProofOfTraining.TaskState.Running) | uint256(number_) << NUMBER;
        return Round.unwrap(self) & (MASK_8 | MASK_32 << NUMBER) == expected;
    }

    /// @notice Timestamp (seconds) of the last second in which members may commit.
    function commitDeadline(Round self) internal pure returns (uint64) {
        return startedAt(self) + commitWindow(self);
    }

    /// @notice First round in which a change of the roster made now takes effect.
    function nextRosterRound(Round self) internal pure returns (uint32) {
        return state(self) == IProofOfTraining.TaskState.Running ? number(self) + 1 : 0;
    }

    /// @notice The task in another state.
    function withState(Round self, IProofOfTraining.TaskState next) internal pure returns (Round) {
        return Round.wrap(Round.unwrap(self) & ~MASK_8 | uint256(next));
    }

    /// @notice The task with its end requested.
    function withCancelRequested(Round self) internal pure returns (Round) {
        return _set(self, CANCEL_REQUESTED, MASK_8, 1);
    }

    /// @notice The task with one more on-chain reveal.
    function withChainReveal(Round self) internal pure returns (Round) {
        return _set(self, CHAIN_REVEALS, MASK_32, chainReveals(self) + 1);
    }

    /// @notice The task after a final round.
    function finalized(Round self) internal pure returns (Round) {
        return _set(_set(self, ROUNDS_LEFT, MASK_32, roundsLeft(self) - 1), SKIPS, MASK_32, 0);
    }

    /// @notice The task after a skipped round.
    function skipped(Round self) internal pure returns (Round) {
        return _set(self, SKIPS, MASK_32, skips(self) + 1);
    }

    /// @notice The task, running, with a fresh round open.
    /// @param number_ number of the round
    /// @param epoch_ current validator epoch
    function opened(Round self, uint32 number_, uint64 epoch_) internal view returns (Round) {
        Round round = withState(self, IProofOfTraining.TaskState.Running);
        round = _set(round, NUMBER, MASK_32, number_);
        round = _set(round, EPOCH, MASK_32, SafeCast.toUint32(epoch_));
        round = _set(round, STARTED_AT, MASK_40, SafeCast.toUint40(block.timestamp));
        return _set(round, CHAIN_REVEALS, MASK_32, 0);
    }

    function _get(Round self, uint256 offset, uint256 mask) private pure returns (uint256) {
        return Round.unwrap(self) >> offset & mask;
    }

    /// @dev `value` fits the mask: the callers pass typed or checked values.
    function _set(Round self, uint256 offset, uint256 mask, uint256 value) private pure returns (Round) {
        return Round.wrap(Round.unwrap(self) & ~(mask << offset) | value << offset);
    }
}
