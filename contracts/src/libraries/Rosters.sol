// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";

/// @title Rosters
/// @notice Membership and seals of one account in one task. Every change is O(1), whatever the number of members.
library Rosters {
    /// @notice `leftFrom` of a member that stays.
    uint32 internal constant NEVER = type(uint32).max;

    /// @param from first round of the interval
    /// @param until first round behind it
    struct Interval {
        uint32 from;
        uint32 until;
    }

    /// @dev Member of the rounds from `activeFrom` up to, not including, `leftFrom`. An account that never joined is the
    ///      empty interval [0, 0). The first slot is all that a commit reads and writes.
    /// @param commitFrom first round in which the account may commit next
    /// @param leftFrom first round that it is no longer a member of; NEVER while it stays
    /// @param seal first bytes of the seal of round `commitFrom - 1`; zero if it made none there
    /// @param activeFrom first round of the current (or last) interval
    /// @param revealFrom first round in which it may reveal on chain next
    /// @param past earlier intervals, for `isMember` alone
    struct Member {
        uint32 commitFrom;
        uint32 leftFrom;
        bytes24 seal;
        uint32 activeFrom;
        uint32 revealFrom;
        Interval[] past;
    }

    /// @notice Whether the account has joined and not left.
    function isJoined(Member storage self) internal view returns (bool) {
        return self.leftFrom == NEVER;
    }

    /// @notice Make the account a member again.
    /// @param round first round of the membership
    function joinFrom(Member storage self, uint32 round) internal {
        // whoever left in the open round and joins in it again has not been away: the interval goes on, with its seal
        uint32 leftFrom = self.leftFrom;
        if (leftFrom != round) {
            uint32 activeFrom = self.activeFrom;
            if (activeFrom < leftFrom) self.past.push(Interval(activeFrom, leftFrom));
            self.activeFrom = round;
            self.commitFrom = round;
            self.seal = 0;
        }
        self.leftFrom = NEVER;
    }

    /// @notice End the membership of a joined account.
    /// @param round first round without it
    function leaveFrom(Member storage self, uint32 round) internal {
        self.leftFrom = round;
    }

    /// @notice Store the seal of a round; reverts unless the account is a member of it that has not committed yet.
    function commit(Member storage self, uint256 taskId, uint32 round, bytes32 seal) internal {
        if (round >= self.leftFrom) revert IProofOfTraining.NotMember(taskId, msg.sender);
        if (round < self.commitFrom) {
            if (sealIn(self, round) == 0) revert IProofOfTraining.NotMember(taskId, msg.sender);
            revert IProofOfTraining.AlreadyCommitted(taskId, round, msg.sender);
        }
        bytes24 prefix = _prefix(seal);
        if (prefix == 0) revert IProofOfTraining.ZeroSeal();
        self.commitFrom = round + 1;
        self.seal = prefix;
    }

    /// @notice Note that the seal of a round was opened; reverts unless there is one, unopened, and `seal` equals it.
    function reveal(Member storage self, uint256 taskId, uint32 round, bytes32 seal) internal {
        bytes24 committed = sealIn(self, round);
        if (committed == 0) revert IProofOfTraining.NotCommitted(taskId, round, msg.sender);
        if (round < self.revealFrom) revert IProofOfTraining.AlreadyRevealed(taskId, round, msg.sender);
        if (committed != _prefix(seal)) revert IProofOfTraining.SealMismatch(committed, _prefix(seal));
        self.revealFrom = round + 1;
    }

    /// @notice First bytes of the seal made in a round; zero if there is none or a later one has replaced it.
    function sealIn(Member storage self, uint64 round) internal view returns (bytes24) {
        return self.commitFrom == uint256(round) + 1 ? self.seal : bytes24(0);
    }

    /// @notice Whether the account is a member of a round.
    /// @dev The loop is over the account's own comings and goings; no transaction runs it.
    function isMemberIn(Member storage self, uint64 round) internal view returns (bool) {
        if (round >= self.activeFrom) return round < self.leftFrom;
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
