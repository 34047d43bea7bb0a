// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice A miner's hot key does its work in a task; what is done is the miner's.
contract MinerDelegatesTest is Fixture {
    address private constant HOT = address(0x407);
    bytes32 private constant CID = keccak256("submission manifest");
    bytes32 private constant SALT = keccak256("salt");

    uint256 private _taskId;
    address private _miner;
    uint64 private _expiresAt;

    function setUp() public override {
        super.setUp();
        _taskId = runningTask();
        _miner = miners[0];
        _expiresAt = uint64(block.timestamp) + 1 hours;
        vm.prank(_miner);
        registry.authorizeDelegate(HOT, _expiresAt);
    }

    function test_JoinFor_JoinsTheMiner() public {
        uint256 taskId = createTask();
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerJoined(taskId, _miner, 0);
        vm.prank(HOT);
        pot.joinFor(taskId, _miner);
        assertTrue(pot.isMember(taskId, 0, _miner), "the miner");
        assertFalse(pot.isMember(taskId, 0, HOT), "not its delegate");
    }

    /// @dev The join that completes the members opens round 0, whoever makes it.
    function test_JoinFor_StartsTheTask() public {
        uint256 taskId = createTask();
        join(taskId, miners[1]);
        vm.prank(HOT);
        pot.joinFor(taskId, _miner);
        assertState(taskId, IProofOfTraining.TaskState.Running);
    }

    function test_JoinFor_RevertWhen_TheMinerIsUnbonding() public {
        uint256 taskId = createTask();
        vm.prank(_miner);
        registry.startUnbonding();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotActiveMiner.selector, _miner));
        vm.prank(HOT);
        pot.joinFor(taskId, _miner);
    }

    function test_LeaveFor_LeavesForTheMiner() public {
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerLeft(_taskId, _miner, 1);
        vm.prank(HOT);
        pot.leaveFor(_taskId, _miner);
        assertFalse(pot.isMember(_taskId, 1, _miner), "gone");
    }

    function test_CommitGradientFor_StoresTheMinersSeal() public {
        bytes32 seal = sealFor(_taskId, 0, _miner, CID, SALT);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.GradientCommitted(_taskId, 0, _miner, seal);
        vm.prank(HOT);
        pot.commitGradientFor(_taskId, 0, seal, _miner);
        assertEq(pot.sealOf(_taskId, 0, _miner), prefix(seal), "seal of the miner");
        assertEq(pot.sealOf(_taskId, 0, HOT), bytes24(0), "not of its delegate");
    }

    /// @dev One commit a round, by whichever of the two keys.
    function test_CommitGradientFor_RevertWhen_TheMinerHasCommitted() public {
        vm.prank(_miner);
        pot.commitGradient(_taskId, 0, keccak256("seal"));
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.AlreadyCommitted.selector, _taskId, 0, _miner));
        vm.prank(HOT);
        pot.commitGradientFor(_taskId, 0, keccak256("another seal"), _miner);
    }

    function test_RevealGradientFor_OpensTheMinersSeal() public {
        vm.prank(_miner);
        pot.commitGradient(_taskId, 0, sealFor(_taskId, 0, _miner, CID, SALT));
        vm.expectEmit(address(pot));
        emit IProofOfTraining.GradientRevealed(_taskId, 0, _miner, CID, SALT);
        vm.prank(HOT);
        pot.revealGradientFor(_taskId, 0, CID, SALT, _miner);
        assertEq(pot.task(_taskId).chainReveals, 1, "counted");
    }

    /// @dev The author of a seal is the miner: one made for the delegate's address cannot be opened.
    function test_RevealGradientFor_RevertWhen_TheSealNamesTheDelegate() public {
        bytes32 wrong = sealFor(_taskId, 0, HOT, CID, SALT);
        vm.prank(HOT);
        pot.commitGradientFor(_taskId, 0, wrong, _miner);
        bytes32 right = sealFor(_taskId, 0, _miner, CID, SALT);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.SealMismatch.selector, prefix(wrong), prefix(right)));
        vm.prank(HOT);
        pot.revealGradientFor(_taskId, 0, CID, SALT, _miner);
    }

    /// @dev The whole round by the hot key alone, and the reward to the miner, also when the hot key claims it.
    function test_Delegate_WorksForTheMinersReward() public {
        vm.prank(HOT);
        pot.commitGradientFor(_taskId, 0, sealFor(_taskId, 0, _miner, CID, SALT), _miner);
        vm.prank(HOT);
        pot.revealGradientFor(_taskId, 0, CID, SALT, _miner);
        finalizeFor(_taskId, _miner, REWARD);
        IProofOfTraining.Claim memory request = claimOf(_taskId, _miner, REWARD, noProof());
        vm.prank(HOT);
        pot.claim(request);
        assertEq(_miner.balance, REWARD, "to the miner");
        assertEq(HOT.balance, 0, "not to its delegate");
    }

    function test_Delegate_ActsOnItsLastSecond() public {
        uint256 taskId = createTask();
        vm.warp(_expiresAt);
        vm.prank(HOT);
        pot.joinFor(taskId, _miner);
        assertTrue(pot.isMember(taskId, 0, _miner), "joined");
    }

    // ---- who may not

    function test_JoinFor_RevertWhen_NotADelegate() public {
        _expectNoRight(_miner, stranger, abi.encodeCall(pot.joinFor, (_taskId, _miner)));
    }

    function test_LeaveFor_RevertWhen_NotADelegate() public {
        _expectNoRight(_miner, stranger, abi.encodeCall(pot.leaveFor, (_taskId, _miner)));
    }

    function test_CommitGradientFor_RevertWhen_NotADelegate() public {
        bytes memory data = abi.encodeCall(pot.commitGradientFor, (_taskId, 0, keccak256("seal"), _miner));
        _expectNoRight(_miner, stranger, data);
    }

    function test_RevealGradientFor_RevertWhen_NotADelegate() public {
        bytes memory data = abi.encodeCall(pot.revealGradientFor, (_taskId, 0, CID, SALT, _miner));
        _expectNoRight(_miner, stranger, data);
    }

    function test_Delegate_RevertWhen_OfAnotherMiner() public {
        _expectNoRight(miners[1], HOT, abi.encodeCall(pot.leaveFor, (_taskId, miners[1])));
    }

    /// @dev A miner has its own functions; it is not its own delegate.
    function test_Delegate_RevertWhen_TheMinerItself() public {
        _expectNoRight(_miner, _miner, abi.encodeCall(pot.leaveFor, (_taskId, _miner)));
    }

    function test_Delegate_RevertWhen_Expired() public {
        vm.warp(_expiresAt + 1);
        _expectNoRight(_miner, HOT, abi.encodeCall(pot.joinFor, (_taskId, _miner)));
        _expectNoRight(_miner, HOT, abi.encodeCall(pot.leaveFor, (_taskId, _miner)));
        bytes memory commit = abi.encodeCall(pot.commitGradientFor, (_taskId, 0, keccak256("seal"), _miner));
        _expectNoRight(_miner, HOT, commit);
        _expectNoRight(_miner, HOT, abi.encodeCall(pot.revealGradientFor, (_taskId, 0, CID, SALT, _miner)));
    }

    function test_Delegate_RevertWhen_Revoked() public {
        vm.prank(_miner);
        registry.revokeDelegate(HOT);
        _expectNoRight(_miner, HOT, abi.encodeCall(pot.leaveFor, (_taskId, _miner)));
    }

    // ---- helpers

    function _expectNoRight(address miner, address caller, bytes memory data) private {
        vm.prank(caller);
        (bool success, bytes memory reason) = address(pot).call(data);
        assertFalse(success, "refused");
        bytes memory expected = abi.encodeWithSelector(IProofOfTraining.NotDelegateOf.selector, miner, caller);
        assertEq(keccak256(reason), keccak256(expected), "for want of the right");
    }
}
