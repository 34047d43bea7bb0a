// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {Round, RoundFields} from "../types/Round.sol";
import {Terms, TermsFields} from "../types/Terms.sol";

/// @title Tasks
/// @notice Storage of a task, packed by what is read together, and its translation from and to the interface.
library Tasks {
    /// @dev Fields of TaskParams and IProofOfTraining.Task, a comment before each slot. What the contract holds for a task is
    ///      always budget - claimed - refunded, of which round.allocated() - claimed belongs to the earners.
    struct Data {
        // 0: all that commitGradient reads of a task
        Round round;
        // 1
        Terms terms;
        // 2: all that a claim writes of a task
        address token;
        uint96 claimed;
        // 3
        bytes32 head;
        // 4
        address owner;
        uint96 budget;
        // 5
        uint96 refunded;
        uint40 createdAt;
        uint32 startWindow;
        uint24 rounds;
        uint16 members;
        uint16 minMiners;
        uint16 maxMiners;
        // 6 and 7
        bytes32 spec;
        bytes32 initialCheckpoint;
    }

    /// @notice Reverts, naming the field, unless the parameters make a sound task.
    // slither-disable-next-line cyclomatic-complexity one line a field, without nesting
    function validate(IProofOfTraining.TaskParams calldata params) internal view {
        if (params.spec == 0) revert IProofOfTraining.ZeroSpec();
        if (params.checkpoint == 0) revert IProofOfTraining.ZeroCheckpoint();
        if (params.rounds == 0) revert IProofOfTraining.ZeroRounds();
        if (params.minMiners == 0) revert IProofOfTraining.ZeroMinMiners();
        if (params.maxMiners < params.minMiners) {
            revert IProofOfTraining.MaxMinersTooLow(params.maxMiners, params.minMiners);
        }
        if (params.startWindow == 0) revert IProofOfTraining.ZeroStartWindow();
        if (params.commitWindow == 0) revert IProofOfTraining.ZeroCommitWindow();
        if (params.revealWindow == 0) revert IProofOfTraining.ZeroRevealWindow();
        if (params.finalizeWindow == 0) revert IProofOfTraining.ZeroFinalizeWindow();
        _requireWindow(params.commitWindow);
        _requireWindow(params.revealWindow);
        _requireWindow(params.finalizeWindow);
        _requireCount(params.rounds, type(uint24).max);
        _requireCount(params.maxMiners, type(uint16).max);
        _requireCount(params.maxSkips, type(uint16).max - 1); // one more expires the task, and must fit too
        _requireCount(params.stopLossAfter, type(uint24).max);
        if (params.stopLoss > type(uint48).max) {
            revert IProofOfTraining.StopLossTooHigh(params.stopLoss, type(uint48).max);
        }
        uint256 required = uint256(params.rewardPerRound) * params.rounds;
        if (params.budget < required) revert IProofOfTraining.BudgetTooLow(params.budget, required);
        if (params.budget > type(uint96).max) {
            revert IProofOfTraining.BudgetTooHigh(params.budget, type(uint96).max);
        }
        if (params.token != address(0) && params.token.code.length == 0) {
            revert IProofOfTraining.TokenWithoutCode(params.token);
        }
    }

    /// @notice Fill the storage of a new task.
    /// @dev The casts repeat what `validate` has checked.
    /// @param owner who pays
    /// @param head genesis head
    /// @param params validated parameters
    function create(Data storage self, address owner, bytes32 head, IProofOfTraining.TaskParams calldata params)
        internal
    {
        self.round = RoundFields.created(SafeCast.toUint24(params.rounds));
        self.terms = TermsFields.from(params);
        self.token = params.token;
        self.head = head;
        self.owner = owner;
        self.budget = SafeCast.toUint96(params.budget);
        self.createdAt = SafeCast.toUint40(block.timestamp);
        self.startWindow = params.startWindow;
        self.rounds = SafeCast.toUint24(params.rounds);
        self.minMiners = SafeCast.toUint16(params.minMiners);
        self.maxMiners = SafeCast.toUint16(params.maxMiners);
        self.spec = params.spec;
        self.initialCheckpoint = params.checkpoint;
    }

    /// @notice The task as the interface shows it.
    function toView(Data storage self) internal view returns (IProofOfTraining.Task memory shown) {
        Round round = self.round;
        uint64 commitDeadline = round.commitDeadline();
        shown.owner = self.owner;
        shown.state = round.state();
        shown.cancelRequested = round.cancelRequested();
        shown.round = round.number();
        shown.epoch = round.epoch();
        shown.roundStartedAt = commitDeadline == 0 ? 0 : commitDeadline - self.terms.commitWindow();
        shown.createdAt = self.createdAt;
        shown.finalizedRounds = self.rounds - round.roundsLeft();
        shown.consecutiveSkips = round.skips();
        shown.members = self.members;
        shown.chainReveals = round.chainReveals();
        shown.head = self.head;
        shown.allocated = round.allocated();
        shown.claimed = self.claimed;
        shown.refunded = self.refunded;
        shown.params = _params(self);
    }

    function _params(Data storage self) private view returns (IProofOfTraining.TaskParams memory params) {
        Terms terms = self.terms;
        params.spec = self.spec;
        params.checkpoint = self.initialCheckpoint;
        params.token = self.token;
        params.budget = self.budget;
        params.rewardPerRound = terms.rewardPerRound();
        params.rounds = self.rounds;
        params.minMiners = self.minMiners;
        params.maxMiners = self.maxMiners;
        params.maxSkips = terms.maxSkips();
        params.startWindow = self.startWindow;
        params.commitWindow = terms.commitWindow();
        params.revealWindow = terms.revealWindow();
        params.finalizeWindow = terms.finalizeWindow();
        params.stopLossAfter = terms.stopLossAfter();
        params.stopLoss = terms.stopLoss();
    }

    function _requireWindow(uint256 window) private pure {
        if (window > type(uint24).max) revert IProofOfTraining.WindowTooLong(window, type(uint24).max);
    }

    function _requireCount(uint256 count, uint256 maximum) private pure {
        if (count > maximum) revert IProofOfTraining.CountTooHigh(count, maximum);
    }
}
