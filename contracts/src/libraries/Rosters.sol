// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {Standing, StandingFields} from "../types/Standing.sol";

/// @title Rosters
/// @notice Membership and seals of one account in one task. Every change is O(1), whatever the number of members.
library Rosters {
    /// @param from first round of the interval
    /// @param until first round behind it
    struct Interval {
        uint32 from;
        uint32 until;
    }

    /// @dev Member of the rounds from `activeFrom` up to, not including, `standing.leftFrom()`. An account that never joined is
    ///      the empty interval [0, 0).
    /// @param standing what a commit reads and writes
    /// @param activeFrom first round of the current (or last) interval
    /// @param revealFrom first round in which it may reveal on chain next
    /// @param past earlier intervals, for `isMemberIn` alone
    struct Member {
        Standing standing;
        uint32 activeFrom;
        uint32 revealFrom;
        Interval[] past;
    }

    /// @notice Whether the account has joined and not left.
    function isJoined(Member storage self) internal view returns (bool) {
        return self.standing.leftFrom() == StandingFields.NEVER;
    }

    /// @notice Make the account a member again.
    /// @param round first round of the membership
    function joinFrom(Member storage self, uint32 round) internal {
        Standing standing = self.standing;
        uint32 leftFrom = standing.leftFrom();
        // whoever left in the open round and joins in it again has not been away: the interval goes on, with its seal
        if (leftFrom == round) {
            self.standing = standing.withLeftFrom(StandingFields.NEVER);
            return;
        }
        uint32 activeFrom = self.activeFrom;
        if (activeFrom < leftFrom) self.past.push(Interval({from: activeFrom, until: leftFrom}));
        self.activeFrom = round;
        self.standing = StandingFields.joined(round);
    }

    /// @notice End the membership of a joined account.
    /// @param round first round without it
    function leaveFrom(Member storage self, uint32 round) internal {
        self.standing = self.standing.withLeftFrom(round);
    }

    /// @notice Store the seal of a round; reverts unless the account is a member of it that has not committed yet.
    function commit(Member storage self, address miner, uint256 taskId, uint32 round, bytes32 seal) internal {
        Standing standing = self.standing;
        if (round >= standing.leftFrom()) revert IProofOfTraining.NotMember(taskId, miner);
        if (round < standing.commitFrom()) {
            if (standing.sealIn(round) == 0) revert IProofOfTraining.NotMember(taskId, miner);
            revert IProofOfTraining.AlreadyCommitted(taskId, round, miner);
        }
        bytes24 prefix = _prefix(seal);
        if (prefix == 0) revert IProofOfTraining.ZeroSeal();
        self.standing = standing.committed(round, prefix);
    }

    /// @notice Note that the seal of a round was opened; reverts unless there is one, unopened, and `seal` equals it.
    function reveal(Member storage self, address miner, uint256 taskId, uint32 round, bytes32 seal) internal {
        bytes24 committed = self.standing.sealIn(round);
        if (committed == 0) revert IProofOfTraining.NotCommitted(taskId, round, miner);
        if (round < self.revealFrom) revert IProofOfTraining.AlreadyRevealed(taskId, round, miner);
        if (committed != _prefix(seal)) revert IProofOfTraining.SealMismatch(committed, _prefix(seal));
        self.revealFrom = round + 1;
    }

    /// @notice Whether the account is a member of a round.
    /// @dev The loop is over the account's own comings and goings; no transaction runs it.
    function isMemberIn(Member storage self, uint64 round) internal view returns (bool) {
        if (round >= self.activeFrom) return round < self.standing.leftFrom();
        uint256 count = self.past.length;
        for (uint256 i = 0; i < count; ++i) {
            Interval memory interval = self.past[i];
            if (round >= interval.from && round < interval.until) return true;
        }
        return false;
    }

    function _prefix(bytes32 seal) private pure returns (bytes24) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return bytes24(seal); // what IProofOfTraining.commitGradient says is kept
    }
}
