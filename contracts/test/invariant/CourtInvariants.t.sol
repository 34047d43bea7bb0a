// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "../Base.sol";
import {CourtHandler} from "./CourtHandler.sol";

/// @notice What holds of the courts' money after any sequence of calls by anybody (CourtHandler).
contract CourtInvariantsTest is Base {
    address private constant BURN = 0x000000000000000000000000000000000000dEaD;

    CourtHandler private _handler;

    function setUp() public {
        _handler = new CourtHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory list = new bytes4[](15);
        list[0] = CourtHandler.doubleVote.selector;
        list[1] = CourtHandler.hiddenCommit.selector;
        list[2] = CourtHandler.certificates.selector;
        list[3] = CourtHandler.commit.selector;
        list[4] = CourtHandler.skipRound.selector;
        list[5] = CourtHandler.demand.selector;
        list[6] = CourtHandler.demandBlock.selector;
        list[7] = CourtHandler.answer.selector;
        list[8] = CourtHandler.punish.selector;
        list[9] = CourtHandler.accuse.selector;
        list[10] = CourtHandler.appeal.selector;
        list[11] = CourtHandler.uphold.selector;
        list[12] = CourtHandler.conclude.selector;
        list[13] = CourtHandler.withdraw.selector;
        list[14] = CourtHandler.forceEther.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), list);
    }

    /// @dev What was slashed or deposited is owed, was withdrawn, was burned, or waits for an answer; nothing else happens to it.
    function invariant_EveryWeiIsAccountedFor() public view {
        uint256 received = _handler.STAKED() - _handler.staked() + _handler.depositsPaid();
        uint256 held = _handler.owed(false) + _handler.owed(true) + _handler.openDeposits();
        assertEq(received, held + _handler.withdrawn() + BURN.balance, "conservation");
    }

    /// @dev Each court can pay what it owes, and keeps nothing but what was forced upon it.
    function invariant_EachCourtHoldsWhatItOwes() public view {
        (address validators, address mining) = _handler.courts();
        assertEq(validators.balance, _handler.owed(false) + _handler.forced(validators), "validator court");
        assertEq(mining.balance, _handler.owed(true) + _handler.openDeposits() + _handler.forced(mining), "miner court");
    }

    /// @dev The handler by hand, once through everything: an invariant over a handler that does nothing proves nothing.
    function test_Handler_ReachesEveryPath() public {
        _handler.commit(1);
        _handler.accuse(0, 0);
        _handler.appeal(0, 0, 4);
        _handler.accuse(0, 1);
        _handler.skipRound();
        _handler.demand(0, 0, 3);
        _handler.answer(0, 4);
        _handler.demandBlock(0, 0, 3);
        _handler.answer(1, 4);
        _handler.demandBlock(1, 1, 3);
        assertEq(_handler.depositsPaid(), 0.4 ether, "an appeal and three demands");
        assertEq(_handler.openDeposits(), 0.2 ether, "two of them open");
        invariant_EveryWeiIsAccountedFor();
        _handler.punish(2, true);
        assertEq(_handler.convictions(), 1, "a demand without answer");
        _handler.conclude(0, 1, true);
        assertEq(_handler.convictions(), 2, "executed");
        _handler.conclude(0, 0, true); // acquitted
        assertEq(_handler.openDeposits(), 0, "none open");
        _handler.doubleVote(0, 2, 3);
        _handler.hiddenCommit(1, 0, 3);
        _handler.certificates(7, 14, 1);
        assertEq(_handler.staked(), 10 ether, "one validator is left");
        _handler.forceEther(5, true);
        _handler.forceEther(6, false);
        for (uint256 i = 0; i < 12; ++i) {
            _handler.withdraw(i, i < 6);
        }
        assertEq(_handler.owed(true) + _handler.owed(false), 0, "all paid");
        invariant_EveryWeiIsAccountedFor();
        invariant_EachCourtHoldsWhatItOwes();
    }

    function test_Handler_Upholds() public {
        _handler.accuse(0, 0);
        _handler.appeal(0, 0, 4);
        _handler.uphold(0, 0);
        assertEq(_handler.convictions(), 1, "upheld");
        invariant_EveryWeiIsAccountedFor();
    }
}
