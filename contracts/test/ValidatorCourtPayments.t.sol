// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CourtFixture} from "./CourtFixture.sol";
import {HostileReceiver} from "./mocks/HostileReceiver.sol";
import {ICourt} from "../src/interfaces/ICourt.sol";

/// @notice Who is paid what, when, and how often.
contract ValidatorCourtPaymentsTest is CourtFixture {
    uint256 private _task;

    function setUp() public override {
        super.setUp();
        _task = runningTask();
    }

    // ---- 21, 27: odd amounts

    function testFuzz_Shares_AddUp(uint96 extra) public {
        address culprit = operator(voteKeys[0]);
        vm.deal(culprit, extra);
        if (extra != 0) {
            vm.prank(culprit);
            registry.addStake{value: extra}(); // after the offence: it is taken too
        }
        report(reporter, doubleVote(voteKeys[0], _task));
        assertShares(validators, VALIDATOR_STAKE + extra, reporter);
        assertEq(stakeOf(culprit), 0, "stake");
    }

    function test_ForcedEther_ChangesNothing() public {
        vm.deal(address(validators), 77);
        report(reporter, doubleVote(voteKeys[0], _task));
        vm.prank(reporter);
        assertEq(validators.withdraw(), 0.5 ether, "bounty");
        vm.prank(owner);
        assertEq(validators.withdraw(), 2.5 ether, "compensation");
        assertEq(address(validators).balance, 77, "stays");
    }

    // ---- payments

    function test_Withdraw_PaysOnce() public {
        report(reporter, doubleVote(voteKeys[0], _task));
        vm.expectEmit(address(validators));
        emit ICourt.Withdrawn(reporter, 0.5 ether);
        vm.prank(reporter);
        validators.withdraw();
        assertEq(reporter.balance, 0.5 ether, "paid");
        vm.expectRevert(abi.encodeWithSelector(ICourt.NothingOwed.selector, reporter));
        vm.prank(reporter);
        validators.withdraw();
    }

    function test_Withdraw_ReentrantReporterIsPaidOnce() public {
        HostileReceiver hostile = new HostileReceiver();
        report(address(hostile), doubleVote(voteKeys[0], _task));
        report(reporter, doubleVote(voteKeys[1], _task)); // there is more to steal
        _withdrawTwice(hostile, 0.5 ether);
    }

    function test_Withdraw_ReentrantOwnerIsPaidOnce() public {
        HostileReceiver hostile = new HostileReceiver();
        vm.deal(address(hostile), BUDGET);
        bytes memory created = hostile.execute(address(pot), BUDGET, abi.encodeCall(pot.createTask, (defaultParams())));
        report(reporter, doubleVote(voteKeys[0], abi.decode(created, (uint256))));
        report(reporter, doubleVote(voteKeys[1], _task));
        _withdrawTwice(hostile, 2.5 ether);
    }

    /// @dev An account that refuses to be paid harms itself alone.
    function test_Withdraw_RefusingOwnerHoldsNobodyUp() public {
        HostileReceiver hostile = new HostileReceiver();
        report(address(hostile), doubleVote(voteKeys[0], _task));
        hostile.setRefusing(true);
        vm.expectRevert();
        vm.prank(address(hostile));
        validators.withdraw();
        vm.prank(owner);
        assertEq(validators.withdraw(), 2.5 ether, "compensation");
        assertEq(validators.owedTo(address(hostile)), 0.5 ether, "still owed");
    }

    function test_RevertIf_StrangerPaysTheCourt() public {
        vm.deal(stranger, 1);
        vm.prank(stranger);
        (bool success, bytes memory reason) = address(validators).call{value: 1}("");
        assertFalse(success, "refused");
        assertEq(keccak256(reason), keccak256(abi.encodeWithSelector(ICourt.NotRegistry.selector, stranger)), "reason");
    }

    // ---- internal

    function _withdrawTwice(HostileReceiver hostile, uint256 amount) private {
        uint256 before = address(hostile).balance;
        hostile.setCallback(address(validators), abi.encodeCall(ICourt.withdraw, ()));
        hostile.execute(address(validators), 0, abi.encodeCall(ICourt.withdraw, ()));
        assertTrue(hostile.called(), "called back");
        assertFalse(hostile.succeeded(), "refused");
        assertEq(address(hostile).balance - before, amount, "paid once");
    }
}
