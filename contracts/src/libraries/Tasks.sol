// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {Round, RoundFields} from "../types/Round.sol";

/// @title Tasks
/// @notice Storage of a task, packed by what is read together, and its translation from and to the interface.
library Tasks {
    /// @dev Fields of TaskParams and IProofOfTraining.Task, a comment before each slot.
    struct Data {
        // 0: all that commitGradient reads of a task
        Round round;
        // 1: the escrow in two buckets, the owner's and the earners'. A final round moves money from the first to the second,
        // a claim takes it out of the second, the refund empties the first: what the contract holds for the task is their
        // sum, always. Never zero before the refund, so no final round and no claim pays for a fresh slot.
        uint128 unallocated;
        uint128 unclaimed;
        // 2
        uint128 budget;
        uint128 rewardPerRound;
        // 3
        uint128 refunded;
        uint32 rounds;
        uint32 maxSkips;
        uint32 revealWindow;
        uint32 finalizeWindow;
        // 4
        address owner;
        uint40 createdAt;
        uint32 members;
        // 5
        address token;
        uint32 minMiners;
        uint32 maxMiners;
        uint32 startWindow;
        // 6 to 11
        bytes32 head;
        bytes32 seed;
        bytes32 checkpoint;
        bytes32 rewardsRoot;
        bytes32 spec;
        bytes32 initialCheckpoint;
    }

    /// @notice Reverts, naming the field, unless the parameters make a sound task.
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
        uint256 required = uint256(params.rewardPerRound) * params.rounds;
        if (params.budget < required) revert IProofOfTraining.BudgetTooLow(params.budget, required);
        if (params.token != address(0) && params.token.code.length == 0) {
            revert IProofOfTraining.TokenWithoutCode(params.token);
        }
    }

    /// @notice Fill the storage of a new task.
    /// @param owner who pays
    /// @param head genesis head
    /// @param params validated parameters
    function create(Data storage self, address owner, bytes32 head, IProofOfTraining.TaskParams calldata params)
        internal
    {
        self.round = RoundFields.created(params.rounds, params.commitWindow);
        self.unallocated = params.budget;
        self.budget = params.budget;
        self.rewardPerRound = params.rewardPerRound;
        self.rounds = params.rounds;
        self.maxSkips = params.maxSkips;
        self.revealWindow = params.revealWindow;
        self.finalizeWindow = params.finalizeWindow;
        self.owner = owner;
        self.createdAt = SafeCast.toUint40(block.timestamp);
        self.token = params.token;
        self.minMiners = params.minMiners;
        self.maxMiners = params.maxMiners;
        self.startWindow = params.startWindow;
        self.head = head;
        self.checkpoint = params.checkpoint;
        self.spec = params.spec;
        self.initialCheckpoint = params.checkpoint;
    }

    /// @notice Move what a final round earned from the owner's bucket to the earners'.
    /// @dev The owner's cannot run dry: `validate` made sure that the budget covers `rewardPerRound` in every round.
    /// @param total sum of the cumulative rewards tree after the round
    function allocate(Data storage self, uint128 total) internal {
        (uint128 unallocated, uint128 unclaimed) = (self.unallocated, self.unclaimed);
        uint128 before = self.budget - unallocated; // nothing is refunded before the task ends
        if (total < before) revert IProofOfTraining.RewardsDecreased(total, before);
        uint128 increase = total - before;
        if (increase > self.rewardPerRound) revert IProofOfTraining.RewardsTooHigh(increase, self.rewardPerRound);
        (self.unallocated, self.unclaimed) = (unallocated - increase, unclaimed + increase);
    }

    /// @notice Timestamp (seconds) of the last second in which members may reveal on chain.
    function revealDeadline(Data storage self, Round round) internal view returns (uint64) {
        return round.commitDeadline() + self.revealWindow;
    }

    /// @notice Timestamp (seconds) of the last second in which nobody may skip the round.
    function finalizeDeadline(Data storage self, Round round) internal view returns (uint64) {
        return revealDeadline(self, round) + self.finalizeWindow;
    }

    /// @notice The task as the interface shows it.
    function toView(Data storage self) internal view returns (IProofOfTraining.Task memory shown) {
        Round round = self.round;
        shown.owner = self.owner;
        shown.state = round.state();
        shown.cancelRequested = round.cancelRequested();
        shown.round = round.number();
        shown.epoch = round.epoch();
        shown.roundStartedAt = round.startedAt();
        shown.createdAt = self.createdAt;
        shown.finalizedRounds = self.rounds - round.roundsLeft();
        shown.consecutiveSkips = round.skips();
        shown.members = self.members;
        shown.chainReveals = round.chainReveals();
        shown.head = self.head;
        shown.seed = self.seed;
        shown.checkpoint = self.checkpoint;
        shown.rewardsRoot = self.rewardsRoot;
        shown.allocated = self.budget - self.unallocated - self.refunded;
        shown.claimed = shown.allocated - self.unclaimed;
        shown.refunded = self.refunded;
        shown.params = _params(self);
    }

    function _params(Data storage self) private view returns (IProofOfTraining.TaskParams memory params) {
        params.spec = self.spec;
        params.checkpoint = self.initialCheckpoint;
        params.token = self.token;
        params.budget = self.budget;
        params.rewardPerRound = self.rewardPerRound;
        params.rounds = self.rounds;
        params.minMiners = self.minMiners;
        params.maxMiners = self.maxMiners;
        params.maxSkips = self.maxSkips;
        params.startWindow = self.startWindow;
        params.commitWindow = self.round.commitWindow();
        params.revealWindow = self.revealWindow;
        params.finalizeWindow = self.finalizeWindow;
    }
}
