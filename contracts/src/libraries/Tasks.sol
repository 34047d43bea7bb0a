// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";

/// @title Tasks
/// @notice Storage of a task, packed by what is read together, and its translation from and to the interface.
library Tasks {
    /// @dev Money of a task lies in one of two buckets: `unallocated` (the owner's) and `unclaimed` (earned, not paid). A final
    ///      round moves money from the first to the second, a claim takes it out of the second, the refund empties the
    ///      first. What the contract holds for the task is their sum, always.
    struct Data {
        // slot 0: the open round; all that commitGradient reads of a task
        IProofOfTraining.TaskState state;
        bool cancelRequested;
        uint32 round;
        uint32 epoch;
        uint40 roundStartedAt;
        uint32 finalizedRounds;
        uint32 consecutiveSkips;
        uint32 chainReveals;
        uint32 commitWindow;
        // slot 1: the escrow; never zero before the refund, so no final round and no claim pays for a fresh slot
        uint128 unallocated;
        uint128 unclaimed;
        // slot 2
        uint128 budget;
        uint128 rewardPerRound;
        // slot 3
        uint128 refunded;
        uint32 rounds;
        uint32 maxSkips;
        uint32 revealWindow;
        uint32 finalizeWindow;
        // slot 4
        address owner;
        uint40 createdAt;
        uint32 members;
        // slot 5
        address token;
        uint32 minMiners;
        uint32 maxMiners;
        uint32 startWindow;
        // slots 6 to 11
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
        self.state = IProofOfTraining.TaskState.Open;
        self.commitWindow = params.commitWindow;
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

    /// @notice Timestamp (seconds) of the last second in which members may commit.
    function commitDeadline(Data storage self) internal view returns (uint64) {
        return uint64(self.roundStartedAt) + self.commitWindow;
    }

    /// @notice Timestamp (seconds) of the last second in which members may reveal on chain.
    function revealDeadline(Data storage self) internal view returns (uint64) {
        return commitDeadline(self) + self.revealWindow;
    }

    /// @notice Timestamp (seconds) of the last second in which nobody may skip the round.
    function finalizeDeadline(Data storage self) internal view returns (uint64) {
        return revealDeadline(self) + self.finalizeWindow;
    }

    /// @notice Total of the cumulative rewards tree.
    function allocated(Data storage self) internal view returns (uint128) {
        return self.budget - self.unallocated - self.refunded;
    }

    /// @notice The task as the interface shows it.
    function toView(Data storage self) internal view returns (IProofOfTraining.Task memory shown) {
        shown.owner = self.owner;
        shown.state = self.state;
        shown.cancelRequested = self.cancelRequested;
        shown.round = self.round;
        shown.epoch = self.epoch;
        shown.roundStartedAt = self.roundStartedAt;
        shown.createdAt = self.createdAt;
        shown.finalizedRounds = self.finalizedRounds;
        shown.consecutiveSkips = self.consecutiveSkips;
        shown.members = self.members;
        shown.chainReveals = self.chainReveals;
        shown.head = self.head;
        shown.seed = self.seed;
        shown.checkpoint = self.checkpoint;
        shown.rewardsRoot = self.rewardsRoot;
        shown.allocated = allocated(self);
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
        params.commitWindow = self.commitWindow;
        params.revealWindow = self.revealWindow;
        params.finalizeWindow = self.finalizeWindow;
    }
}
