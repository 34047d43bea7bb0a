// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Seals and on-chain reveals.
contract GradientsTest is Fixture {
    bytes32 private constant CID = keccak256("submission manifest");
    bytes32 private constant SALT = keccak256("salt");

    uint256 private _taskId;
    address private _miner;

    function setUp() public override {
        super.setUp();
        _taskId = runningTask();
        _miner = miners[0];
    }

    // ---- commitGradient

    function test_CommitGradient_StoresAndEmits() public {
        bytes32 seal = sealFor(_taskId, 0, _miner, CID, SALT);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.GradientCommitted(_taskId, 0, _miner, seal);
        _commit(0, seal);
        assertEq(pot.sealOf(_taskId, 0, _miner), prefix(seal), "first 24 bytes of the seal");
    }

    function test_CommitGradient_OnTheLastSecond() public {
        (uint64 commitDeadline,,) = pot.deadlines(_taskId);
        vm.warp(commitDeadline);
        _commit(0, keccak256("seal"));
    }

    function test_CommitGradient_OnceARound() public {
        _commit(0, keccak256("seal 0"));
        finalize(_taskId, 0, 0);
        assertEq(pot.sealOf(_taskId, 1, _miner), bytes24(0), "none in the new round");
        _commit(1, keccak256("seal 1"));
        assertEq(pot.sealOf(_taskId, 1, _miner), prefix(keccak256("seal 1")), "seal of round 1");
        assertEq(pot.sealOf(_taskId, 0, _miner), bytes24(0), "the seal of round 0 was replaced");
    }

    function test_CommitGradient_ByAMemberThatIsLeaving() public {
        vm.prank(_miner);
        pot.leave(_taskId);
        _commit(0, keccak256("seal"));
        finalize(_taskId, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, _taskId, _miner));
        _commit(1, keccak256("seal"));
    }

    /// @dev A seal is bound to its author: a copy of it commits the copier to nothing that it could open.
    function test_CommitGradient_ACopiedSealCannotBeOpened() public {
        bytes32 seal = sealFor(_taskId, 0, _miner, CID, SALT);
        _commit(0, seal);
        vm.prank(miners[1]);
        pot.commitGradient(_taskId, 0, seal);
        _reveal(0, CID, SALT);
        vm.expectPartialRevert(IProofOfTraining.SealMismatch.selector);
        vm.prank(miners[1]);
        pot.revealGradient(_taskId, 0, CID, SALT);
    }

    function test_CommitGradient_RevertWhen_TaskUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 99));
        vm.prank(_miner);
        pot.commitGradient(99, 0, keccak256("seal"));
    }

    function test_CommitGradient_RevertWhen_TaskIsNotRunning() public {
        uint256 open = createTask();
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfTraining.WrongTaskState.selector, open, IProofOfTraining.TaskState.Open)
        );
        vm.prank(_miner);
        pot.commitGradient(open, 0, keccak256("seal"));
    }

    function test_CommitGradient_RevertWhen_RoundIsAnother() public {
        finalize(_taskId, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongRound.selector, 0, 1));
        _commit(0, keccak256("seal"));
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongRound.selector, 2, 1));
        _commit(2, keccak256("seal"));
    }

    /// @dev A round number that equals the open one in its low 32 bits is another round.
    function test_CommitGradient_RevertWhen_RoundHasHighBits() public {
        uint64 round = uint64(1) << 32;
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongRound.selector, round, 0));
        _commit(round, keccak256("seal"));
    }

    function test_CommitGradient_RevertWhen_DeadlinePassed() public {
        (uint64 commitDeadline,,) = pot.deadlines(_taskId);
        vm.warp(commitDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.CommitsClosed.selector, commitDeadline));
        _commit(0, keccak256("seal"));
    }

    function test_CommitGradient_RevertWhen_NotAMember() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, _taskId, stranger));
        vm.prank(stranger);
        pot.commitGradient(_taskId, 0, keccak256("seal"));
    }

    function test_CommitGradient_RevertWhen_MemberOnlyFromTheNextRound() public {
        address late = newMiner();
        join(_taskId, late);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, _taskId, late));
        vm.prank(late);
        pot.commitGradient(_taskId, 0, keccak256("seal"));
        finalize(_taskId, 0, 0);
        vm.prank(late);
        pot.commitGradient(_taskId, 1, keccak256("seal"));
    }

    function test_CommitGradient_RevertWhen_Twice() public {
        _commit(0, keccak256("seal"));
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.AlreadyCommitted.selector, _taskId, 0, _miner));
        _commit(0, keccak256("seal"));
    }

    function test_CommitGradient_RevertWhen_SealIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.ZeroSeal.selector));
        _commit(0, 0);
    }

    function testFuzz_CommitGradient_KeepsThePrefix(bytes32 seal) public {
        vm.assume(prefix(seal) != 0);
        _commit(0, seal);
        assertEq(pot.sealOf(_taskId, 0, _miner), prefix(seal), "seal");
        assertTrue(pot.isMember(_taskId, 0, _miner), "the membership is untouched");
        assertTrue(pot.isMember(_taskId, 1, _miner), "the membership is untouched");
    }

    // ---- revealGradient

    function test_RevealGradient_CountsAndEmits() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        vm.expectEmit(address(pot));
        emit IProofOfTraining.GradientRevealed(_taskId, 0, _miner, CID, SALT);
        _reveal(0, CID, SALT);
        assertEq(pot.task(_taskId).chainReveals, 1, "counted");

        vm.prank(miners[1]);
        pot.commitGradient(_taskId, 0, sealFor(_taskId, 0, miners[1], CID, SALT));
        vm.prank(miners[1]);
        pot.revealGradient(_taskId, 0, CID, SALT);
        assertEq(pot.task(_taskId).chainReveals, 2, "counted");
    }

    function test_RevealGradient_CountStartsAnewWithTheRound() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        _reveal(0, CID, SALT);
        finalize(_taskId, 0, 0);
        assertEq(pot.task(_taskId).chainReveals, 0, "count");
        _commit(1, sealFor(_taskId, 1, _miner, CID, SALT));
        _reveal(1, CID, SALT);
        assertEq(pot.task(_taskId).chainReveals, 1, "count");
    }

    function test_RevealGradient_OnTheLastSecond() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        (, uint64 revealDeadline,) = pot.deadlines(_taskId);
        vm.warp(revealDeadline);
        _reveal(0, CID, SALT);
    }

    function test_RevealGradient_ByAMemberThatIsLeaving() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        vm.prank(_miner);
        pot.leave(_taskId);
        _reveal(0, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_TaskUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 99));
        vm.prank(_miner);
        pot.revealGradient(99, 0, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_TaskEnded() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        vm.prank(owner);
        pot.cancelTask(_taskId);
        finalize(_taskId, 0, 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfTraining.WrongTaskState.selector, _taskId, IProofOfTraining.TaskState.Cancelled
            )
        );
        _reveal(0, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_RoundIsAnother() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        finalize(_taskId, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongRound.selector, 0, 1));
        _reveal(0, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_DeadlinePassed() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        (, uint64 revealDeadline,) = pot.deadlines(_taskId);
        vm.warp(revealDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.RevealsClosed.selector, revealDeadline));
        _reveal(0, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_NotCommitted() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotCommitted.selector, _taskId, 0, _miner));
        _reveal(0, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_CommittedInAnEarlierRoundOnly() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        finalize(_taskId, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotCommitted.selector, _taskId, 1, _miner));
        _reveal(1, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_Twice() public {
        _commit(0, sealFor(_taskId, 0, _miner, CID, SALT));
        _reveal(0, CID, SALT);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.AlreadyRevealed.selector, _taskId, 0, _miner));
        _reveal(0, CID, SALT);
    }

    function test_RevealGradient_RevertWhen_SealDoesNotMatch() public {
        bytes32 seal = sealFor(_taskId, 0, _miner, CID, SALT);
        _commit(0, seal);
        bytes32 other = sealFor(_taskId, 0, _miner, CID, keccak256("another salt"));
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.SealMismatch.selector, prefix(seal), prefix(other)));
        _reveal(0, CID, keccak256("another salt"));
    }

    /// @dev Replay of a whole submission in another round, task, chain: the seal binds them all.
    function testFuzz_RevealGradient_RevertWhen_AnythingDiffers(uint256 chain, uint64 round, bytes32 cid) public {
        chain = bound(chain, 1, type(uint64).max - 1);
        vm.assume(chain != block.chainid || round != 0 || cid != CID);
        uint256 home = block.chainid;
        vm.chainId(chain);
        bytes32 seal = sealFor(_taskId, round, _miner, cid, SALT);
        vm.chainId(home);
        _commit(0, seal);
        vm.expectPartialRevert(IProofOfTraining.SealMismatch.selector);
        _reveal(0, CID, SALT);
    }

    // ---- helpers

    function _commit(uint64 round, bytes32 seal) private {
        vm.prank(_miner);
        pot.commitGradient(_taskId, round, seal);
    }

    function _reveal(uint64 round, bytes32 cid, bytes32 salt) private {
        vm.prank(_miner);
        pot.revealGradient(_taskId, round, cid, salt);
    }
}
