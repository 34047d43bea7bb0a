// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MinerCourtFixture} from "./MinerCourtFixture.sol";
import {IMinerCourt} from "../src/interfaces/IMinerCourt.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {MinerCourt} from "../src/MinerCourt.sol";

/// @notice Certified faults: accused, appealed, upheld or not.
contract MinerCourtTest is MinerCourtFixture {
    function test_Constructor_KnowsItsParameters() public view {
        assertEq(mining.registry(), address(registry), "registry");
        assertEq(mining.training(), address(pot), "training");
        assertEq(mining.deposit(), DEPOSIT, "deposit");
        assertEq(mining.answerWindow(), ANSWER_WINDOW, "answer window");
        assertEq(mining.appealWindow(), APPEAL_WINDOW, "appeal window");
    }

    function test_RevertIf_WindowIsZeroOrTooLong() public {
        uint64 tooLong = EVIDENCE_WINDOW / 2;
        _expectWindow(0);
        new MinerCourt(address(registry), address(pot), 0, 1, 0);
        _expectWindow(0);
        new MinerCourt(address(registry), address(pot), 1, 0, 0);
        _expectWindow(tooLong);
        new MinerCourt(address(registry), address(pot), tooLong, 1, 0);
        _expectWindow(tooLong);
        new MinerCourt(address(registry), address(pot), 1, tooLong, 0);
        new MinerCourt(address(registry), address(pot), tooLong - 1, tooLong - 1, 0);
    }

    // ---- without an appeal

    function test_Execute_TakesThePenaltyAfterTheWindow() public {
        vm.deal(miner, 5 ether);
        vm.prank(miner);
        registry.addStake{value: 5 ether}();
        uint64 deadline = uint64(block.timestamp) + APPEAL_WINDOW;
        vm.expectEmit(address(mining));
        emit IMinerCourt.Accused(task, 0, miner, RECORD, deadline);
        accuse();
        vm.warp(deadline + 1);
        vm.expectEmit(address(mining));
        emit IMinerCourt.Convicted(task, 0, miner, MINER_STAKE);
        mining.execute(task, 0, miner);
        assertEq(stakeOf(miner), 5 ether, "no more than the minimum stake is taken");
        assertShares(mining, MINER_STAKE, address(0)); // no bounty: the deciders could collect it
        assertEq(uint256(mining.caseOf(task, 0, miner).state), uint256(IMinerCourt.CaseState.Closed), "closed");
    }

    function test_RevertIf_ExecutedTooEarly() public {
        accuse();
        uint64 deadline = mining.caseOf(task, 0, miner).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooEarly.selector, deadline));
        mining.execute(task, 0, miner);
    }

    function test_RevertIf_AccusedTwice() public {
        accuse();
        IMinerCourt.Fault memory again = fault();
        again.record = B;
        bytes memory certificate = signedBy(faultDigest("MinerFault", again), 7);
        _expectState(IMinerCourt.CaseState.Accused);
        mining.accuse(again, 1, certificate);
        vm.warp(block.timestamp + APPEAL_WINDOW + 1);
        mining.execute(task, 0, miner);
        _expectState(IMinerCourt.CaseState.Closed);
        mining.accuse(again, 1, certificate);
        _expectState(IMinerCourt.CaseState.Closed);
        mining.execute(task, 0, miner);
    }

    function test_RevertIf_AccusedIsNoMember() public {
        IMinerCourt.Fault memory fault_ = fault();
        fault_.miner = newMiner();
        bytes memory certificate = signedBy(faultDigest("MinerFault", fault_), 7);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.NotMemberOf.selector, task, 0, fault_.miner));
        mining.accuse(fault_, 1, certificate);
    }

    function test_RevertIf_AccusedOfARoundToCome() public {
        IMinerCourt.Fault memory fault_ = fault();
        fault_.round = pot.task(task).round + 1;
        assertTrue(pot.isMember(task, fault_.round, fault_.miner), "a member, as things stand");
        bytes memory certificate = signedBy(faultDigest("MinerFault", fault_), 7);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.NotMemberOf.selector, task, fault_.round, fault_.miner));
        mining.accuse(fault_, 1, certificate);
    }

    function test_RevertIf_AccusedHasWithdrawn() public {
        vm.prank(miner);
        registry.startUnbonding();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(miner);
        registry.withdrawStake();
        bytes memory certificate = signedBy(faultDigest("MinerFault", fault()), 7);
        registry.advanceEpoch("");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotRegistered.selector, miner));
        mining.accuse(fault(), 2, certificate);
    }

    function test_RevertIf_EpochHasExpired() public {
        bytes memory certificate = signedBy(faultDigest("MinerFault", fault()), 7);
        uint40 expiresAt = registry.epochInfo(1).expiresAt;
        vm.warp(uint256(expiresAt) + 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.EpochExpired.selector, 1, expiresAt));
        mining.accuse(fault(), 1, certificate);
        vm.warp(expiresAt);
        mining.accuse(fault(), 1, certificate);
        appeal();
        vm.warp(uint256(expiresAt) + 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.EpochExpired.selector, 1, expiresAt));
        mining.uphold(fault(), certificate);
    }

    function testFuzz_Accuse_ChecksEveryField(uint256 field) public {
        bytes memory certificate = signedBy(faultDigest("MinerFault", fault()), 7);
        IMinerCourt.Fault memory fault_ = fault();
        field = bound(field, 0, 4);
        if (field == 0) {
            fault_.taskId = createTask();
            join(fault_.taskId, miner);
        }
        if (field == 1) {
            skip(task);
            fault_.round = 1;
        } else if (field == 2) {
            fault_.miner = miners[1];
        } else if (field == 3) {
            fault_.record = B;
        } else if (field == 4) {
            vm.chainId(block.chainid + 1);
        }
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        mining.accuse(fault_, 1, certificate);
    }

    /// @dev Neither a vote of a round nor an upheld fault is an accusation, and no accusation upholds itself.
    function test_RevertIf_CertificateSaysSomethingElse() public {
        bytes memory upheld = signedBy(faultDigest("MinerFaultUpheld", fault()), 15);
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        mining.accuse(fault(), 1, upheld);
        accuse();
        appeal();
        bytes memory accused = signedBy(faultDigest("MinerFault", fault()), 15);
        vm.expectPartialRevert(INodeRegistry.InvalidSignature.selector);
        mining.uphold(fault(), accused);
    }

    // ---- with an appeal

    function test_Uphold_TakesThePenaltyAndBurnsTheDeposit() public {
        accuse();
        vm.warp(mining.caseOf(task, 0, miner).deadline);
        uint64 deadline = uint64(block.timestamp) + APPEAL_WINDOW;
        vm.expectEmit(address(mining));
        emit IMinerCourt.Appealed(task, 0, miner, stranger, deadline);
        appeal();
        vm.warp(deadline); // the last second
        uphold();
        assertEq(stakeOf(miner), 0, "stake");
        assertEq(BURN.balance, MINER_STAKE * 3 / 4 + DEPOSIT, "burned");
        assertEq(mining.owedTo(owner), MINER_STAKE / 4, "compensation");
        assertEq(mining.owedTo(stranger), 0, "appellant");
        assertEq(address(mining).balance, MINER_STAKE / 4, "held");
    }

    function test_Acquit_ReturnsTheDeposit() public {
        accuse();
        appeal();
        uint64 deadline = mining.caseOf(task, 0, miner).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooEarly.selector, deadline));
        mining.acquit(task, 0, miner);
        vm.warp(deadline + 1);
        bytes memory certificate = signedBy(faultDigest("MinerFaultUpheld", fault()), 15);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooLate.selector, deadline));
        mining.uphold(fault(), certificate);
        vm.expectEmit(address(mining));
        emit IMinerCourt.Acquitted(task, 0, miner);
        mining.acquit(task, 0, miner);
        assertEq(mining.owedTo(stranger), DEPOSIT, "deposit");
        assertEq(stakeOf(miner), MINER_STAKE, "stake");
        _expectState(IMinerCourt.CaseState.Closed);
        mining.acquit(task, 0, miner);
    }

    function test_RevertIf_AppealedWrongly() public {
        _expectState(IMinerCourt.CaseState.None);
        mining.appeal{value: DEPOSIT}(task, 0, miner);
        accuse();
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongDeposit.selector, DEPOSIT - 1, DEPOSIT));
        mining.appeal{value: DEPOSIT - 1}(task, 0, miner);
        uint64 deadline = mining.caseOf(task, 0, miner).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooLate.selector, deadline));
        mining.appeal{value: DEPOSIT}(task, 0, miner);
        vm.warp(deadline);
        appeal();
        _expectState(IMinerCourt.CaseState.Appealed);
        mining.appeal{value: DEPOSIT}(task, 0, miner);
        vm.warp(deadline + 10 days);
        _expectState(IMinerCourt.CaseState.Appealed);
        mining.execute(task, 0, miner);
    }

    function test_RevertIf_UpheldWrongly() public {
        bytes memory certificate = signedBy(faultDigest("MinerFaultUpheld", fault()), 15);
        accuse();
        _expectState(IMinerCourt.CaseState.Accused);
        mining.uphold(fault(), certificate);
        _expectState(IMinerCourt.CaseState.Accused);
        mining.acquit(task, 0, miner);
        appeal();
        bytes memory quorumOnly = signedBy(faultDigest("MinerFaultUpheld", fault()), 7);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.AppealQuorumNotReached.selector, 3, 4));
        mining.uphold(fault(), quorumOnly);
        IMinerCourt.Fault memory other = fault();
        other.record = B;
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongRecord.selector, B, RECORD));
        mining.uphold(other, certificate);
    }

    /// @dev The committee of the appeal is the current epoch's, not the one that accused.
    function test_Uphold_AsksTheCurrentEpoch() public {
        accuse();
        appeal();
        bytes memory certificate = signedBy(faultDigest("MinerFaultUpheld", fault()), 15);
        vm.warp(block.timestamp + 2 * EPOCH_LENGTH);
        bootEpoch(3); // seven validators now
        vm.expectPartialRevert(INodeRegistry.QuorumNotReached.selector);
        mining.uphold(fault(), certificate);
        certificate = signedBy(faultDigest("MinerFaultUpheld", fault()), 127);
        mining.uphold(fault(), certificate);
        assertEq(stakeOf(miner), 0, "stake");
    }

    function test_AppealQuorum_IsLargerThanTheQuorum() public view {
        assertEq(mining.appealQuorum(1), 1, "1");
        assertEq(mining.appealQuorum(4), 4, "4");
        assertEq(mining.appealQuorum(7), 7, "7");
        assertEq(mining.appealQuorum(10), 9, "10");
        assertEq(mining.appealQuorum(20), 18, "20");
        assertEq(mining.appealQuorum(100), 84, "100");
    }

    // ---- the stake of who leaves

    function test_Accuse_HoldsTheStakeOfALeavingMiner() public {
        vm.prank(miner);
        registry.startUnbonding();
        vm.warp(block.timestamp + UNBONDING); // he could withdraw now
        registry.advanceEpoch("");
        mining.accuse(fault(), 2, signedBy(faultDigest("MinerFault", fault()), 7));
        vm.warp(block.timestamp + APPEAL_WINDOW);
        appeal();
        vm.warp(block.timestamp + APPEAL_WINDOW);
        vm.expectPartialRevert(INodeRegistry.StakeLocked.selector);
        vm.prank(miner);
        registry.withdrawStake();
        uphold(); // in the last second
        assertEq(stakeOf(miner), 0, "stake");
    }

    /// @dev Whoever waits too long finds nothing; the case ends all the same.
    function test_Execute_EndsTheCaseOfAMinerWhoHasGone() public {
        accuse();
        vm.prank(miner);
        registry.startUnbonding();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(miner);
        registry.withdrawStake();
        vm.expectEmit(address(mining));
        emit IMinerCourt.Convicted(task, 0, miner, 0);
        mining.execute(task, 0, miner);
    }

    function _expectState(IMinerCourt.CaseState state_) private {
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongCaseState.selector, state_));
    }

    function _expectWindow(uint64 window) private {
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.InvalidWindow.selector, window, EVIDENCE_WINDOW));
    }
}
