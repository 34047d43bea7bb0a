// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProofOfTraining} from "../../src/interfaces/IProofOfTraining.sol";
import {Quorum} from "../../src/libraries/Quorum.sol";
import {Round} from "../../src/types/Round.sol";
import {Standing} from "../../src/types/Standing.sol";
import {Terms} from "../../src/types/Terms.sol";

/// @notice Proofs, for every value, about the packed words: a change of one field leaves the others alone. Run by halmos.
contract WordsSymbolicTest {
    function check_Round_FinalizedChangesItsFieldsOnly(uint256 word, uint96 allocated) public pure {
        Round before = Round.wrap(word);
        if (before.roundsLeft() == 0) return; // a running task has rounds left
        Round round = before.finalized(allocated);
        assert(round.allocated() == allocated);
        assert(round.roundsLeft() == before.roundsLeft() - 1);
        assert(round.skips() == 0);
        _sameSlot(before, round);
        assert(round.number() == before.number());
        assert(round.epoch() == before.epoch());
        assert(round.commitDeadline() == before.commitDeadline());
        assert(round.chainReveals() == before.chainReveals());
    }

    function check_Round_SkippedChangesItsFieldOnly(uint256 word) public pure {
        Round before = Round.wrap(word);
        if (before.skips() == type(uint16).max) return; // Tasks.validate keeps the limit below
        Round round = before.skipped();
        assert(round.skips() == before.skips() + 1);
        _sameSlot(before, round);
        assert(round.number() == before.number());
        assert(round.epoch() == before.epoch());
        assert(round.commitDeadline() == before.commitDeadline());
        assert(round.chainReveals() == before.chainReveals());
        assert(round.roundsLeft() == before.roundsLeft());
        assert(round.allocated() == before.allocated());
    }

    function check_Round_OpenedChangesItsFieldsOnly(uint256 word, uint32 number, uint24 epoch, uint40 deadline)
        public
        pure
    {
        Round before = Round.wrap(word);
        Round round = before.opened(number, epoch, deadline);
        assert(round.number() == number);
        assert(round.epoch() == epoch);
        assert(round.commitDeadline() == deadline);
        assert(round.chainReveals() == 0);
        assert(Round.unwrap(round) & 0xf == uint256(IProofOfTraining.TaskState.Running));
        assert(round.cancelRequested() == before.cancelRequested());
        assert(round.roundsLeft() == before.roundsLeft());
        assert(round.skips() == before.skips());
        assert(round.allocated() == before.allocated());
    }

    function check_Round_RevealAndCancelChangeTheirFieldsOnly(uint256 word) public pure {
        Round before = Round.wrap(word);
        if (before.chainReveals() == type(uint16).max) return; // one a member, and a task has no more members
        Round round = before.withChainReveal().withCancelRequested();
        assert(round.chainReveals() == before.chainReveals() + 1);
        assert(round.cancelRequested());
        assert(Round.unwrap(round) & 0xf == word & 0xf);
        assert(round.number() == before.number());
        assert(round.epoch() == before.epoch());
        assert(round.commitDeadline() == before.commitDeadline());
        assert(round.roundsLeft() == before.roundsLeft());
        assert(round.skips() == before.skips());
        assert(round.allocated() == before.allocated());
    }

    function check_Standing_CommittedKeepsTheMembership(uint256 word, uint32 round, bytes24 seal) public pure {
        Standing before = Standing.wrap(word);
        if (round >= before.leftFrom()) return; // Rosters.commit refuses
        Standing standing = before.committed(round, seal);
        assert(standing.leftFrom() == before.leftFrom());
        assert(standing.commitFrom() == uint256(round) + 1);
        assert(standing.sealIn(round) == seal);
    }

    function check_Standing_LeavingKeepsTheSeal(uint256 word, uint32 round, uint32 sealedIn) public pure {
        Standing before = Standing.wrap(word);
        Standing standing = before.withLeftFrom(round);
        assert(standing.leftFrom() == round);
        assert(standing.commitFrom() == before.commitFrom());
        assert(standing.sealIn(sealedIn) == before.sealIn(sealedIn));
    }

    /// @dev A final round moves at most `rewardPerRound`, never backwards, and never out of the range of the word.
    function check_Terms_FinalizeAllocatesAtMostTheReward(uint256 terms, uint256 word, uint128 total) public pure {
        Round before = Round.wrap(word);
        if (before.roundsLeft() == 0) return;
        if (uint256(before.allocated()) + Terms.wrap(terms).rewardPerRound() > type(uint96).max) return; // budget fits 96 bits
        if (total < before.allocated() || total - before.allocated() > Terms.wrap(terms).rewardPerRound()) return; // reverts
        Round round = Terms.wrap(terms).finalize(before, total);
        assert(round.allocated() == total);
        assert(round.allocated() >= before.allocated());
        assert(round.allocated() - before.allocated() <= Terms.wrap(terms).rewardPerRound());
    }

    /// @dev Two quorums share more than f members, so one that is honest; and a quorum exists without the faulty ones.
    function check_Quorum_IntersectsInAnHonestMember(uint256 n) public pure {
        if (n == 0 || n > type(uint16).max) return;
        uint256 f = Quorum.maxFaulty(n);
        uint256 q = Quorum.quorum(n);
        assert(3 * f < n);
        assert(2 * q > n + f);
        assert(q <= n - f);
        assert(2 * (q - 1) <= n + f); // and none smaller would do
    }

    function _sameSlot(Round before, Round round) private pure {
        assert(Round.unwrap(round) & 0xff == Round.unwrap(before) & 0xff); // state and cancelRequested
    }
}
