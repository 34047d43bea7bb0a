// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Members whose stake is leaving, or gone.
contract EvictTest is Fixture {
    uint256 private _taskId;

    function setUp() public override {
        super.setUp();
        _taskId = runningTask();
    }

    function test_Evict_AMinerThatUnbondsLeavesWithTheOpenRound() public {
        startUnbonding(miners[0]);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.MinerLeft(_taskId, miners[0], 1);
        vm.prank(stranger);
        pot.evict(_taskId, miners[0]);
        assertTrue(pot.isMember(_taskId, 0, miners[0]), "of the open round");
        assertFalse(pot.isMember(_taskId, 1, miners[0]), "of the next");
        assertEq(pot.task(_taskId).members, 1, "members");
    }

    function test_Evict_AMinerThatHasWithdrawn() public {
        leaveRegistry(miners[0]);
        pot.evict(_taskId, miners[0]);
        assertFalse(pot.isMember(_taskId, 1, miners[0]), "gone");
    }

    function test_Evict_ASlashedMiner() public {
        vm.prank(minerCourt);
        registry.slash(miners[0], MINER_STAKE);
        pot.evict(_taskId, miners[0]);
        assertFalse(pot.isMember(_taskId, 1, miners[0]), "gone");
    }

    /// @dev One stake that wanders from account to account holds one place, not all of them.
    function test_Evict_FreesThePlaceThatAGoneStakeHeld() public {
        join(_taskId, newMiner());
        join(_taskId, newMiner());
        address honest = newMiner();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.TaskFull.selector, _taskId, 4));
        vm.prank(honest);
        pot.join(_taskId);

        startUnbonding(miners[2]);
        pot.evict(_taskId, miners[2]);
        join(_taskId, honest);
        assertTrue(pot.isMember(_taskId, 1, honest), "in");
    }

    function test_Evict_RevertWhen_TheMinerIsBonded() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.MinerBonded.selector, miners[0]));
        pot.evict(_taskId, miners[0]);
    }

    function test_Evict_RevertWhen_NotAMember() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, _taskId, stranger));
        pot.evict(_taskId, stranger);
    }

    function test_Evict_RevertWhen_Twice() public {
        startUnbonding(miners[0]);
        pot.evict(_taskId, miners[0]);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NotMember.selector, _taskId, miners[0]));
        pot.evict(_taskId, miners[0]);
    }
}
