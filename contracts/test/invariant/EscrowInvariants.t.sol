// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "../Fixture.sol";
import {EscrowBooks} from "./EscrowBooks.sol";
import {EscrowHandler} from "./EscrowHandler.sol";
import {EscrowThieves} from "./EscrowThieves.sol";
import {IProofOfTraining} from "../../src/interfaces/IProofOfTraining.sol";

/// @notice What holds after any sequence of calls by anybody (EscrowHandler).
contract EscrowInvariantsTest is Fixture {
    EscrowHandler private _handler;

    function setUp() public override {
        super.setUp();
        bootEpoch(4);
        for (uint256 i = 0; i < 4; ++i) {
            newMiner();
        }
        _handler = new EscrowHandler(pot, registry, token, voteKeys, miners);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev The functions that act; those that a task's life needs most stand in the list more than once.
    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory list = new bytes4[](33);
        list[0] = EscrowHandler.createTask.selector;
        list[1] = EscrowHandler.createTask.selector;
        list[2] = EscrowHandler.join.selector;
        list[3] = EscrowHandler.join.selector;
        list[4] = EscrowHandler.join.selector;
        list[5] = EscrowHandler.leave.selector;
        list[6] = EscrowHandler.commitAndReveal.selector;
        list[7] = EscrowHandler.finalizeRound.selector;
        list[8] = EscrowHandler.finalizeRound.selector;
        list[9] = EscrowHandler.finalizeRound.selector;
        list[10] = EscrowHandler.finalizeRound.selector;
        list[11] = EscrowHandler.claim.selector;
        list[12] = EscrowHandler.claim.selector;
        list[13] = EscrowHandler.claimMany.selector;
        list[14] = EscrowHandler.skipRound.selector;
        list[15] = EscrowHandler.cancelTask.selector;
        list[16] = EscrowHandler.expireTask.selector;
        list[17] = EscrowHandler.refund.selector;
        list[18] = EscrowHandler.slashMiner.selector;
        list[19] = EscrowHandler.advanceEpoch.selector;
        list[20] = EscrowHandler.forceEther.selector;
        list[21] = EscrowHandler.donateTokens.selector;
        list[22] = EscrowHandler.passTime.selector;
        list[23] = EscrowHandler.passWeeks.selector;
        list[24] = EscrowThieves.stealByForgedLeaf.selector;
        list[25] = EscrowThieves.stealByForgedTotal.selector;
        list[26] = EscrowThieves.stealBySecondClaim.selector;
        list[27] = EscrowThieves.stealBySecondRefund.selector;
        list[28] = EscrowThieves.stealByReplayedCertificate.selector;
        list[29] = EscrowThieves.stealByRewritingAFinalRound.selector;
        list[30] = EscrowThieves.stealByABadCertificate.selector;
        list[31] = EscrowThieves.stealByAnotherEpoch.selector;
        list[32] = EscrowThieves.stealByNoDelegate.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), list);
    }

    /// @dev What the books of all tasks add up to.
    struct Sums {
        uint256 nativeHeld;
        uint256 tokensHeld;
        uint256[4] nativePaid;
        uint256[4] tokensPaid;
    }

    /// @dev One campaign checks everything after every call: a campaign for each property would see no more.
    function invariant_Escrow() public view {
        Sums memory sums;
        for (uint256 taskId = 1; taskId <= _handler.taskCount(); ++taskId) {
            IProofOfTraining.Task memory t = pot.task(taskId);
            EscrowBooks.Ghost memory ghost = _handler.ghostOf(taskId);
            _checkRounds(t, ghost);
            _checkBooks(taskId, t, ghost);
            _add(sums, t, ghost);
        }
        _checkConservation(sums);
        _checkThieves();
    }

    /// @dev Rounds only grow, one by one; every final one is on record in the head; an ended task stays ended.
    function _checkRounds(IProofOfTraining.Task memory t, EscrowBooks.Ghost memory ghost) private pure {
        assertEq(uint256(t.state), uint256(ghost.state), "state");
        assertEq(t.head, ghost.head, "head");
        assertEq(t.finalizedRounds, ghost.finals, "finalized rounds");
        assertEq(t.members, ghost.members, "members");
        uint256 decided = ghost.finals + ghost.skips;
        if (t.state == IProofOfTraining.TaskState.Running) assertEq(t.round, decided, "open round");
        else if (decided > 0) assertEq(t.round, decided - 1, "last round");
    }

    /// @dev claimed <= allocated <= budget; nobody is paid more than his leaf; the refund is all the rest.
    function _checkBooks(uint256 taskId, IProofOfTraining.Task memory t, EscrowBooks.Ghost memory ghost) private view {
        assertEq(t.allocated, ghost.allocated, "allocated");
        assertLe(t.allocated, uint256(t.params.rewardPerRound) * t.finalizedRounds, "allocated by the rounds");
        assertLe(t.claimed, t.allocated, "claimed of allocated");
        assertEq(t.refunded, ghost.refunded, "refunded");
        if (t.refunded > 0) assertEq(uint256(t.refunded) + t.allocated, t.params.budget, "refunded all the rest");
        uint256 paid;
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(pot.claimedOf(taskId, _handler.earner(i)), ghost.paid[i], "claimedOf");
            assertLe(ghost.paid[i], ghost.promised[i], "never more than the leaf");
            paid += ghost.paid[i];
        }
        assertEq(t.claimed, paid, "claimed");
    }

    function _add(Sums memory sums, IProofOfTraining.Task memory t, EscrowBooks.Ghost memory ghost) private pure {
        bool native = t.params.token == address(0);
        uint256 paid_;
        for (uint256 i = 0; i < 4; ++i) {
            paid_ += ghost.paid[i];
        }
        uint256 unclaimed = ghost.allocated - paid_;
        uint256 refundable = ghost.refunded > 0 ? 0 : ghost.budget - ghost.allocated;
        assertEq(paid_ + ghost.refunded + refundable + unclaimed, ghost.budget, "escrowed");
        uint256 held = refundable + unclaimed;
        if (native) sums.nativeHeld += held;
        else sums.tokensHeld += held;
        uint256[4] memory paid = native ? sums.nativePaid : sums.tokensPaid;
        for (uint256 i = 0; i < 4; ++i) {
            paid[i] += ghost.paid[i];
        }
    }

    /// @dev funded == claimed + refunded + still held, to the wei, in both currencies; and what left was paid to the earners.
    function _checkConservation(Sums memory sums) private view {
        assertEq(address(pot).balance, sums.nativeHeld + _handler.forcedEther(), "native escrow");
        assertEq(token.balanceOf(address(pot)), sums.tokensHeld + _handler.donatedTokens(), "token escrow");
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(_handler.earner(i).balance, sums.nativePaid[i], "native rewards");
            assertEq(token.balanceOf(_handler.earner(i)), sums.tokensPaid[i], "token rewards");
        }
    }

    function _checkThieves() private view {
        assertEq(_handler.thefts(), 0, "thefts");
        assertEq(_handler.thief().balance, 0, "ether of the thief");
        assertEq(token.balanceOf(_handler.thief()), 0, "tokens of the thief");
    }

    /// @dev The handler by hand, once through everything: an invariant over a handler that does nothing proves nothing.
    function test_Handler_ReachesEveryPath() public {
        uint128[4] memory raises = [uint128(1), 2, 3, 1 ether];
        for (uint256 i = 0; i < 4; ++i) {
            _handler.createTask(i % 2 == 0, 100 ether, 2, 2, 1, i == 3 ? 1 : 0); // the fourth stops at any loss
        }
        for (uint256 seed = 0; seed < 2; ++seed) {
            _handler.join(seed, 0);
            _handler.join(seed | 1 << 255, 1); // by its delegate
            _handler.commitAndReveal(seed, 0, keccak256("cid"));
            for (uint256 kind = 0; kind < 6; ++kind) {
                _handler.stealByABadCertificate(seed, kind);
            }
            _handler.finalizeRound(seed, 10 ether, raises);
            _handler.stealByReplayedCertificate(seed);
            _handler.stealByRewritingAFinalRound(seed, seed == 0);
            _handler.claim(seed, 3);
            _handler.stealBySecondClaim(seed, 3);
            _handler.stealByForgedLeaf(seed, 1 ether, 3);
            _handler.stealByForgedTotal(seed, 1 ether, 3);
            _handler.leave(seed, 0);
        }
        _handler.stealByNoDelegate(0, 1, keccak256("seal")); // four attempts
        _handler.claimMany(0);
        _handler.forceEther(5);
        _handler.donateTokens(5);
        _handler.passTime(60, keccak256("randao"));
        _handler.advanceEpoch(false);
        _handler.advanceEpoch(true);
        _handler.stealByAnotherEpoch(1);
        _handler.finalizeRound(0, 1 ether, raises); // the first task is complete
        _handler.cancelTask(1);
        _handler.skipRound(1); // the second cancelled
        _handler.expireTask(2); // the third expired
        _handler.join(3, 0);
        _handler.join(3, 1);
        _handler.slashMiner(0, 1);
        _handler.join(3, 3); // has no stake any more
        _handler.finalizeRound(3 | 1 << 8, 1 ether, raises); // the fourth stopped
        _handler.passWeeks(0);
        for (uint256 seed = 0; seed < 4; ++seed) {
            _handler.refund(seed);
            _handler.stealBySecondRefund(seed);
        }
        _assertEveryPath();
        assertState(1, IProofOfTraining.TaskState.Completed);
        assertState(2, IProofOfTraining.TaskState.Cancelled);
        assertState(3, IProofOfTraining.TaskState.Expired);
        assertState(4, IProofOfTraining.TaskState.Stopped);
        invariant_Escrow();
    }

    function _assertEveryPath() private view {
        _assertTaken("createTask", 4);
        _assertTaken("join", 6);
        _assertTaken("join refused", 1);
        _assertTaken("leave", 2);
        _assertTaken("commitAndReveal", 2);
        _assertTaken("finalizeRound", 4);
        _assertTaken("claim", 2);
        _assertTaken("claimMany", 1);
        _assertTaken("skipRound", 1);
        _assertTaken("cancelTask", 1);
        _assertTaken("expireTask", 1);
        _assertTaken("refund", 4);
        _assertTaken("slashMiner", 1);
        _assertTaken("advanceEpoch", 2);
        _assertTaken("passWeeks", 1);
        _assertTaken("theft attempted", 2 * 11 + 4 + 1 + 4);
    }

    function _assertTaken(string memory path, uint256 times) private view {
        assertEq(_handler.taken(keccak256(bytes(path))), times, path);
    }
}
