// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";
import {ProofOfTraining} from "../src/ProofOfTraining.sol";

/// @notice Creation and funding of tasks.
contract CreateTaskTest is Fixture {
    function test_Constructor_StoresRegistry() public view {
        assertEq(pot.registry(), address(registry), "registry");
        assertEq(pot.taskCount(), 0, "no task yet");
    }

    function test_Constructor_RevertWhen_RegistryHasNoCode() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.RegistryWithoutCode.selector, stranger));
        new ProofOfTraining(stranger);
    }

    function test_CreateTask_Native() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskCreated(1, owner, params);
        vm.prank(owner);
        uint256 taskId = pot.createTask{value: BUDGET}(params);

        assertEq(taskId, 1, "tasks count from 1");
        assertEq(pot.taskCount(), 1, "count");
        assertEq(address(pot).balance, BUDGET, "escrow");
        _assertFresh(taskId, params);
    }

    function test_CreateTask_Erc20() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.token = address(token);
        uint256 before = token.balanceOf(owner);
        vm.prank(owner);
        uint256 taskId = pot.createTask(params);

        assertEq(token.balanceOf(address(pot)), BUDGET, "escrow");
        assertEq(token.balanceOf(owner), before - BUDGET, "paid by the owner");
        _assertFresh(taskId, params);
    }

    function test_CreateTask_GenesisHeadIsBoundToTaskContractAndChain() public {
        uint256 first = createTask();
        uint256 second = createTask();
        assertEq(pot.task(first).head, _genesis(first), "head of the first");
        assertEq(pot.task(second).head, _genesis(second), "head of the second");
    }

    /// @dev A task may pay nothing: the budget covers zero per round.
    function test_CreateTask_WithoutRewards() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        (params.budget, params.rewardPerRound) = (0, 0);
        uint256 taskId = createTask(params);
        assertState(taskId, IProofOfTraining.TaskState.Open);
    }

    function test_CreateTask_ForAFixedNumberOfMiners() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        (params.minMiners, params.maxMiners) = (3, 3);
        uint256 taskId = createTask(params);
        start(taskId);
        assertEq(pot.task(taskId).members, 3, "members");
    }

    function test_CreateTask_BudgetMayExceedRewards() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.budget = params.rewardPerRound * params.rounds + 1;
        assertEq(pot.task(createTask(params)).params.budget, params.budget, "budget");
    }

    function testFuzz_CreateTask_StoresWhatItIsGiven(IProofOfTraining.TaskParams memory params) public {
        params.spec = params.spec == 0 ? SPEC : params.spec;
        params.checkpoint = params.checkpoint == 0 ? CHECKPOINT : params.checkpoint;
        params.token = address(0);
        params.rounds = uint32(bound(params.rounds, 1, type(uint24).max));
        params.rewardPerRound = uint128(bound(params.rewardPerRound, 0, type(uint96).max / params.rounds));
        params.budget = uint128(bound(params.budget, uint256(params.rewardPerRound) * params.rounds, type(uint96).max));
        params.minMiners = uint32(bound(params.minMiners, 1, type(uint16).max));
        params.maxMiners = uint32(bound(params.maxMiners, params.minMiners, type(uint16).max));
        params.maxSkips = uint32(bound(params.maxSkips, 0, type(uint16).max - 1));
        params.startWindow = uint32(bound(params.startWindow, 1, type(uint32).max));
        params.commitWindow = uint32(bound(params.commitWindow, 1, type(uint24).max));
        params.revealWindow = uint32(bound(params.revealWindow, 1, type(uint24).max));
        params.finalizeWindow = uint32(bound(params.finalizeWindow, 1, type(uint24).max));
        params.stopLossAfter = uint32(bound(params.stopLossAfter, 0, type(uint24).max));
        params.stopLoss = uint64(bound(params.stopLoss, 0, type(uint48).max));
        vm.deal(owner, params.budget);
        _assertFresh(createTask(params), params);
    }

    // ---- parameters

    function test_CreateTask_RevertWhen_SpecIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.spec = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroSpec.selector));
    }

    function test_CreateTask_RevertWhen_CheckpointIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.checkpoint = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroCheckpoint.selector));
    }

    function test_CreateTask_RevertWhen_RoundsIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.rounds = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroRounds.selector));
    }

    function test_CreateTask_RevertWhen_MinMinersIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.minMiners = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroMinMiners.selector));
    }

    function test_CreateTask_RevertWhen_MaxMinersIsBelowMinMiners() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        (params.minMiners, params.maxMiners) = (3, 2);
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.MaxMinersTooLow.selector, 2, 3));
    }

    function test_CreateTask_RevertWhen_StartWindowIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.startWindow = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroStartWindow.selector));
    }

    function test_CreateTask_RevertWhen_CommitWindowIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.commitWindow = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroCommitWindow.selector));
    }

    function test_CreateTask_RevertWhen_RevealWindowIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.revealWindow = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroRevealWindow.selector));
    }

    function test_CreateTask_RevertWhen_FinalizeWindowIsZero() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.finalizeWindow = 0;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.ZeroFinalizeWindow.selector));
    }

    function test_CreateTask_RevertWhen_BudgetDoesNotCoverTheRounds() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.budget = params.rewardPerRound * params.rounds - 1;
        _expectRevert(
            params, abi.encodeWithSelector(IProofOfTraining.BudgetTooLow.selector, params.budget, params.budget + 1)
        );
    }

    function testFuzz_CreateTask_RevertWhen_AWindowIsTooLong(uint256 which, uint32 window) public {
        window = uint32(bound(window, uint256(type(uint24).max) + 1, type(uint32).max));
        IProofOfTraining.TaskParams memory params = defaultParams();
        if (which % 3 == 0) params.commitWindow = window;
        if (which % 3 == 1) params.revealWindow = window;
        if (which % 3 == 2) params.finalizeWindow = window;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.WindowTooLong.selector, window, type(uint24).max));
    }

    function test_CreateTask_RevertWhen_RoundsIsTooHigh() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.rounds = uint32(type(uint24).max) + 1;
        _expectRevert(params, _countTooHigh(params.rounds, type(uint24).max));
    }

    function test_CreateTask_RevertWhen_MaxMinersIsTooHigh() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.maxMiners = uint32(type(uint16).max) + 1;
        _expectRevert(params, _countTooHigh(params.maxMiners, type(uint16).max));
    }

    /// @dev The skip that expires the task is counted too, so the limit is one below the width of the counter.
    function test_CreateTask_RevertWhen_MaxSkipsIsTooHigh() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.maxSkips = type(uint16).max;
        _expectRevert(params, _countTooHigh(params.maxSkips, type(uint16).max - 1));
    }

    function test_CreateTask_RevertWhen_StopLossAfterIsTooHigh() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.stopLossAfter = uint32(type(uint24).max) + 1;
        _expectRevert(params, _countTooHigh(params.stopLossAfter, type(uint24).max));
    }

    function test_CreateTask_RevertWhen_StopLossIsTooHigh() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.stopLoss = uint64(type(uint48).max) + 1;
        _expectRevert(
            params, abi.encodeWithSelector(IProofOfTraining.StopLossTooHigh.selector, params.stopLoss, type(uint48).max)
        );
    }

    function test_CreateTask_RevertWhen_BudgetIsTooHigh() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.budget = uint128(type(uint96).max) + 1;
        _expectRevert(
            params, abi.encodeWithSelector(IProofOfTraining.BudgetTooHigh.selector, params.budget, type(uint96).max)
        );
    }

    /// @dev The largest values of every field fit side by side: none spills into its neighbour.
    function test_CreateTask_WithTheLargestParameters() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.budget = type(uint96).max;
        params.rounds = type(uint24).max;
        params.rewardPerRound = params.budget / params.rounds;
        (params.minMiners, params.maxMiners) = (type(uint16).max, type(uint16).max);
        params.maxSkips = type(uint16).max - 1;
        params.startWindow = type(uint32).max;
        (params.commitWindow, params.revealWindow) = (type(uint24).max, type(uint24).max);
        (params.finalizeWindow, params.stopLossAfter) = (type(uint24).max, type(uint24).max);
        params.stopLoss = type(uint48).max;
        vm.deal(owner, params.budget);
        _assertFresh(createTask(params), params);
    }

    /// @dev The product does not fit 128 bits: it must not wrap round to something small.
    function test_CreateTask_RevertWhen_RewardsExceed128Bits() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        (params.rewardPerRound, params.rounds) = (type(uint128).max, type(uint24).max);
        uint256 required = uint256(type(uint128).max) * type(uint24).max;
        _expectRevert(params, abi.encodeWithSelector(IProofOfTraining.BudgetTooLow.selector, params.budget, required));
    }

    // ---- funding

    function test_CreateTask_RevertWhen_ValueIsBelowBudget() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongValue.selector, BUDGET - 1, BUDGET));
        vm.prank(owner);
        pot.createTask{value: BUDGET - 1}(params);
    }

    function test_CreateTask_RevertWhen_ValueIsAboveBudget() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongValue.selector, BUDGET + 1, BUDGET));
        vm.prank(owner);
        pot.createTask{value: BUDGET + 1}(params);
    }

    function test_CreateTask_RevertWhen_ValueIsSentToATokenTask() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.token = address(token);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongValue.selector, 1, 0));
        vm.prank(owner);
        pot.createTask{value: 1}(params);
    }

    function test_CreateTask_RevertWhen_TokenHasNoCode() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.token = stranger;
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.TokenWithoutCode.selector, stranger));
        vm.prank(owner);
        pot.createTask(params);
    }

    function test_PlainTransfer_RevertWhen_Sent() public {
        vm.prank(owner);
        (bool accepted,) = address(pot).call{value: 1}("");
        assertFalse(accepted, "no receive function");
    }

    // ---- helpers

    function _expectRevert(IProofOfTraining.TaskParams memory params, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(owner);
        pot.createTask{value: BUDGET}(params);
    }

    function _countTooHigh(uint256 count, uint256 maximum) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IProofOfTraining.CountTooHigh.selector, count, maximum);
    }

    function _genesis(uint256 taskId) private view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(pot), taskId, SPEC, CHECKPOINT));
    }

    /// @dev Every field of a task that nobody has touched since its creation.
    function _assertFresh(uint256 taskId, IProofOfTraining.TaskParams memory params) private view {
        IProofOfTraining.Task memory expected;
        expected.owner = owner;
        expected.state = IProofOfTraining.TaskState.Open;
        expected.createdAt = uint64(block.timestamp);
        expected.head = keccak256(abi.encode(block.chainid, address(pot), taskId, params.spec, params.checkpoint));
        expected.params = params;
        assertEq(keccak256(abi.encode(pot.task(taskId))), keccak256(abi.encode(expected)), "task");
        (uint64 commitDeadline, uint64 revealDeadline, uint64 finalizeDeadline) = pot.deadlines(taskId);
        assertEq(commitDeadline + revealDeadline + finalizeDeadline, 0, "no deadlines yet");
    }
}
