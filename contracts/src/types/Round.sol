// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";

/// @notice What changes in a task from round to round, in one word, so that a transaction loads and stores it once.
/// @dev From the low end: state 4 bits | cancelRequested 4 | number 32 | epoch 24 | commitDeadline 40 | roundsLeft 24 |
///      skips 16 | chainReveals 16 | allocated 96.
type Round is uint256;

using RoundFields for Round global;

/// @title RoundFields
/// @notice Access to the fields of a Round. Changes return a new value, which the caller stores.
library RoundFields {
    uint256 private constant CANCEL_REQUESTED = 4;
    uint256 private constant NUMBER = 8;
    uint256 private constant EPOCH = 40;
    uint256 private constant COMMIT_DEADLINE = 64;
    uint256 private constant ROUNDS_LEFT = 104;
    uint256 private constant SKIPS = 128;
    uint256 private constant CHAIN_REVEALS = 144;
    uint256 private constant ALLOCATED = 160;

    uint256 private constant MASK_4 = 0xf;
    uint256 private constant MASK_16 = type(uint16).max;
    uint256 private constant MASK_24 = type(uint24).max;
    uint256 private constant MASK_32 = type(uint32).max;
    uint256 private constant MASK_40 = type(uint40).max;
    uint256 private constant MASK_96 = type(uint96).max;

    /// @notice The word of a new task.
    /// @param rounds rounds to be finalized
    function created(uint24 rounds) internal pure returns (Round) {
        return Round.wrap(uint256(IProofOfTraining.TaskState.Open) | uint256(rounds) << ROUNDS_LEFT);
    }

    /// @notice State of the task.
    function state(Round self) internal pure returns (IProofOfTraining.TaskState) {
        return IProofOfTraining.TaskState(Round.unwrap(self) & MASK_4);
    }

    /// @notice Whether the owner has asked for the end of the running task.
    function cancelRequested(Round self) internal pure returns (bool) {
        return _get(self, CANCEL_REQUESTED, MASK_4) != 0;
    }

    /// @notice Number of the open (or last) round; counts skipped rounds too.
    function number(Round self) internal pure returns (uint32) {
        return uint32(_get(self, NUMBER, MASK_32));
    }

    /// @notice Validator epoch whose quorum certifies the round.
    function epoch(Round self) internal pure returns (uint64) {
        return uint64(_get(self, EPOCH, MASK_24));
    }

    /// @notice Timestamp (seconds) of the last second in which members may commit; 0 before round 0.
    function commitDeadline(Round self) internal pure returns (uint64) {
        return uint64(_get(self, COMMIT_DEADLINE, MASK_40));
    }

    /// @notice Rounds still to be finalized.
    function roundsLeft(Round self) internal pure returns (uint32) {
        return uint32(_get(self, ROUNDS_LEFT, MASK_24));
    }

    /// @notice Rounds skipped since the last final one.
    function skips(Round self) internal pure returns (uint32) {
        return uint32(_get(self, SKIPS, MASK_16));
    }

    /// @notice On-chain reveals of the round.
    function chainReveals(Round self) internal pure returns (uint32) {
        return uint32(_get(self, CHAIN_REVEALS, MASK_16));
    }

    /// @notice Total of the cumulative rewards tree: what the final rounds have earned (wei or token units).
    function allocated(Round self) internal pure returns (uint96) {
        return uint96(_get(self, ALLOCATED, MASK_96));
    }

    /// @notice Whether the task is Open or Running.
    function isLive(Round self) internal pure returns (bool) {
        IProofOfTraining.TaskState current = state(self);
        return current == IProofOfTraining.TaskState.Open || current == IProofOfTraining.TaskState.Running;
    }

    /// @notice Whether the task is Running and `number_` is its open round, by one comparison.
    function isOpen(Round self, uint64 number_) internal pure returns (bool) {
        uint256 expected = uint256(IProofOfTraining.TaskState.Running) | uint256(number_) << NUMBER;
        return Round.unwrap(self) & (MASK_4 | MASK_32 << NUMBER) == expected;
    }

    /// @notice First round in which a change of the roster made now takes effect.
    function nextRosterRound(Round self) internal pure returns (uint32) {
        return state(self) == IProofOfTraining.TaskState.Running ? number(self) + 1 : 0;
    }

    /// @notice The task in another state.
    function withState(Round self, IProofOfTraining.TaskState next) internal pure returns (Round) {
        return Round.wrap(Round.unwrap(self) & ~MASK_4 | uint256(next));
    }

    /// @notice The task with its end requested.
    function withCancelRequested(Round self) internal pure returns (Round) {
        return _set(self, CANCEL_REQUESTED, MASK_4, 1);
    }

    /// @notice The task with one more on-chain reveal: at most one a member, and a task has at most 65,535.
    function withChainReveal(Round self) internal pure returns (Round) {
        return _set(self, CHAIN_REVEALS, MASK_16, SafeCast.toUint16(chainReveals(self) + 1));
    }

    /// @notice The task after a final round.
    /// @param allocated_ total of the cumulative rewards tree after it
    function finalized(Round self, uint96 allocated_) internal pure returns (Round) {
        Round round = _set(self, ROUNDS_LEFT, MASK_24, roundsLeft(self) - 1);
        return _set(_set(round, SKIPS, MASK_16, 0), ALLOCATED, MASK_96, allocated_);
    }

    /// @notice The task after a skipped round: one that is behind the limit of at most 65,534 has ended.
    function skipped(Round self) internal pure returns (Round) {
        return _set(self, SKIPS, MASK_16, SafeCast.toUint16(skips(self) + 1));
    }

    /// @notice The task, running, with a fresh round open.
    /// @param number_ number of the round
    /// @param epoch_ validator epoch that certifies it
    /// @param commitDeadline_ timestamp (seconds)
    function opened(Round self, uint32 number_, uint64 epoch_, uint256 commitDeadline_) internal pure returns (Round) {
        Round round = withState(self, IProofOfTraining.TaskState.Running);
        round = _set(round, NUMBER, MASK_32, number_);
        round = _set(round, EPOCH, MASK_24, SafeCast.toUint24(epoch_));
        round = _set(round, COMMIT_DEADLINE, MASK_40, SafeCast.toUint40(commitDeadline_));
        return _set(round, CHAIN_REVEALS, MASK_16, 0);
    }

    function _get(Round self, uint256 offset, uint256 mask) private pure returns (uint256) {
        return Round.unwrap(self) >> offset & mask;
    }

    /// @dev `value` fits the mask: the callers pass typed or checked values.
    function _set(Round self, uint256 offset, uint256 mask, uint256 value) private pure returns (Round) {
        return Round.wrap(Round.unwrap(self) & ~(mask << offset) | value << offset);
    }
}
