// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowBooks} from "./EscrowBooks.sol";
import {EscrowThieves} from "./EscrowThieves.sol";
import {Merkle} from "../Merkle.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {IProofOfTraining} from "../../src/interfaces/IProofOfTraining.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {ProofOfTraining} from "../../src/ProofOfTraining.sol";

/// @notice Drives tasks through their lives for the invariant tests: owner, miners and their delegates, a relayer with real
///         certificates, rotating validators, a court, donors and time; thieves are in EscrowThieves, the books in EscrowBooks.
/// @dev No call of a handler function may revert (fail_on_revert): each checks what it needs and returns if it is not there.
contract EscrowHandler is EscrowThieves {
    constructor(
        ProofOfTraining pot,
        NodeRegistry registry,
        TestToken token,
        uint256[] memory voteKeys,
        address[] memory miners
    ) EscrowBooks(pot, registry, token, voteKeys, miners) {}

    // ---- the owner

    function createTask(bool native, uint96 budget, uint8 rounds, uint8 minMiners, uint8 maxSkips, uint8 stopLoss)
        external
    {
        if (taskCount == MAX_TASKS) return;
        IProofOfTraining.TaskParams memory params;
        params.spec = keccak256("spec");
        params.checkpoint = keccak256("checkpoint");
        params.token = native ? address(0) : address(TOKEN);
        params.budget = budget;
        params.rounds = uint32(bound(rounds, 1, 6));
        params.rewardPerRound = budget / params.rounds;
        params.minMiners = uint32(bound(minMiners, 1, 2));
        params.maxMiners = 3;
        params.maxSkips = uint32(bound(maxSkips, 0, 3));
        (params.stopLossAfter, params.stopLoss) = (stopLoss % 4, stopLoss / 4 % 4);
        (params.startWindow, params.commitWindow) = (1 days, 60);
        (params.revealWindow, params.finalizeWindow) = (30, 120);

        vm.deal(_owner, budget);
        TOKEN.mint(_owner, budget);
        vm.prank(_owner);
        uint256 taskId = POT.createTask{value: native ? budget : 0}(params);
        taskCount = taskId;
        Ghost storage ghost = _ghosts[taskId];
        ghost.budget = budget;
        ghost.head = POT.task(taskId).head;
        ghost.state = IProofOfTraining.TaskState.Open;
        _count("createTask");
    }

    function cancelTask(uint256 seed) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || t.cancelRequested || !_isLive(t.state)) return;
        vm.prank(_owner);
        POT.cancelTask(taskId);
        if (t.state == IProofOfTraining.TaskState.Open) ghost.state = IProofOfTraining.TaskState.Cancelled;
        _count("cancelTask");
    }

    function expireTask(uint256 seed) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || t.state != IProofOfTraining.TaskState.Open) return;
        uint256 deadline = uint256(t.createdAt) + t.params.startWindow;
        if (block.timestamp < deadline) vm.warp(deadline);
        POT.expireTask(taskId);
        ghost.state = IProofOfTraining.TaskState.Expired;
        _count("expireTask");
    }

    function refund(uint256 seed) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || _isLive(t.state) || ghost.refunded > 0 || ghost.allocated == ghost.budget) return;
        ghost.refunded = POT.refund(taskId);
        _count("refund");
    }

    // ---- miners

    function join(uint256 seed, uint256 who) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        address miner = _miners[who % _miners.length];
        if (taskId == 0 || !_isLive(t.state) || _joined[taskId][miner] || t.members == t.params.maxMiners) return;
        if (!REGISTRY.isActiveMiner(miner)) {
            vm.prank(miner);
            (bool success,) = address(POT).call(abi.encodeCall(POT.join, (taskId)));
            assertFalse(success, "without a stake nobody joins");
            return _count("join refused");
        }
        if (_byDelegate(seed)) {
            vm.prank(HOT);
            POT.joinFor(taskId, miner);
        } else {
            vm.prank(miner);
            POT.join(taskId);
        }
        _joined[taskId][miner] = true;
        ++ghost.members;
        if (t.state == IProofOfTraining.TaskState.Open && ghost.members == t.params.minMiners) {
            ghost.state = IProofOfTraining.TaskState.Running;
        }
        _count("join");
    }

    function leave(uint256 seed, uint256 who) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        address miner = _miners[who % _miners.length];
        if (taskId == 0 || !_isLive(t.state) || !_joined[taskId][miner]) return;
        if (_byDelegate(seed)) {
            vm.prank(HOT);
            POT.leaveFor(taskId, miner);
        } else {
            vm.prank(miner);
            POT.leave(taskId);
        }
        _joined[taskId][miner] = false;
        --ghost.members;
        _count("leave");
    }

    function commitAndReveal(uint256 seed, uint256 who, bytes32 cid) external {
        (uint256 taskId,, IProofOfTraining.Task memory t) = _pick(seed);
        address miner = _miners[who % _miners.length];
        if (taskId == 0 || t.state != IProofOfTraining.TaskState.Running) return;
        if (!POT.isMember(taskId, t.round, miner) || POT.sealOf(taskId, t.round, miner) != 0) return;
        (uint64 commitDeadline,,) = POT.deadlines(taskId);
        if (block.timestamp > commitDeadline) return;
        bytes32 seal = keccak256(abi.encode(block.chainid, address(POT), taskId, t.round, miner, cid, bytes32(seed)));
        vm.prank(_byDelegate(seed) ? HOT : miner);
        if (_byDelegate(seed)) POT.commitGradientFor(taskId, t.round, seal, miner);
        else POT.commitGradient(taskId, t.round, seal);
        vm.prank(_byDelegate(seed) ? miner : HOT);
        if (_byDelegate(seed)) POT.revealGradient(taskId, t.round, cid, bytes32(seed));
        else POT.revealGradientFor(taskId, t.round, cid, bytes32(seed), miner);
        _count("commitAndReveal");
    }

    // ---- the validators' relayer

    /// @dev The leaves need not add up to the total: the validators of some rounds promise too much or too little.
    function finalizeRound(uint256 seed, uint128 increase, uint128[4] calldata raises) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || t.state != IProofOfTraining.TaskState.Running) return;
        if (block.timestamp > REGISTRY.epochInfo(t.epoch).expiresAt) return; // see stealByAnotherEpoch
        increase = uint128(bound(increase, 0, t.params.rewardPerRound));
        for (uint256 i = 0; i < EARNERS; ++i) {
            ghost.promised[i] += uint128(bound(raises[i], 0, t.params.rewardPerRound / 2));
        }
        IProofOfTraining.Outcome memory outcome = _outcome(taskId, t, Merkle.root(_leaves(taskId)), increase, seed >> 8);
        bytes memory data = abi.encodeCall(POT.finalizeRound, (outcome, _certify(outcome, t.epoch, 3 + seed % 2)));
        (bool success,) = address(POT).call(data);
        assertTrue(success, "a quorum of a living epoch decides");
        _usedCalls.push(data);
        _finals[taskId].push(outcome);

        ghost.allocated += increase;
        ghost.head = POT.outcomeDigest(outcome);
        ++ghost.finals;
        uint256 watchedFrom = t.params.stopLossAfter;
        bool tooHigh = watchedFrom != 0 && ghost.finals >= watchedFrom && outcome.loss > t.params.stopLoss;
        if (ghost.finals == t.params.rounds) ghost.state = IProofOfTraining.TaskState.Completed;
        else if (t.cancelRequested) ghost.state = IProofOfTraining.TaskState.Cancelled;
        else if (tooHigh) ghost.state = IProofOfTraining.TaskState.Stopped;
        else _noteOpened(taskId);
        _count("finalizeRound");
    }

    function skipRound(uint256 seed) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || t.state != IProofOfTraining.TaskState.Running) return;
        (,, uint64 deadline) = POT.deadlines(taskId);
        if (block.timestamp <= deadline) vm.warp(uint256(deadline) + 1);
        POT.skipRound(taskId);
        ++ghost.skips;
        if (t.cancelRequested) ghost.state = IProofOfTraining.TaskState.Cancelled;
        else if (t.consecutiveSkips == t.params.maxSkips) ghost.state = IProofOfTraining.TaskState.Expired;
        else _noteOpened(taskId);
        _count("skipRound");
    }

    /// @dev The set of the four stays the same; what changes is the number of the epoch, which every vote names.
    function advanceEpoch(bool byAnybody) external {
        uint64 current = REGISTRY.currentEpoch();
        uint256 from = REGISTRY.epochInfo(current).replaceableAt;
        if (byAnybody) from += REGISTRY.config().epochLength;
        if (block.timestamp < from) vm.warp(from);
        bytes32 digest = REGISTRY.rotationDigest(current + 1, REGISTRY.nextValidators());
        REGISTRY.advanceEpoch(byAnybody ? bytes("") : _sign(digest, 3));
        _count("advanceEpoch");
    }

    /// @dev A court takes a miner's stake while it works: its memberships and rewards go on, but it joins nothing more.
    function slashMiner(uint256 who, uint128 amount) external {
        if (who % 16 != 0) return; // a miner that is gone does not come back
        address miner = _miners[_miners.length - 1];
        address court = REGISTRY.config().minerCourt;
        vm.prank(court);
        REGISTRY.slash(miner, amount);
        _count("slashMiner");
    }

    // ---- earners

    function claim(uint256 seed, uint256 who) external {
        (uint256 taskId, Ghost storage ghost,) = _pick(seed);
        who %= EARNERS;
        uint256 due = taskId == 0 ? 0 : _dueTo(taskId, who);
        if (due == 0) return; // see stealBySecondClaim
        assertEq(POT.claim(_claimOf(taskId, who)), due, "what is due");
        ghost.paid[who] += due;
        _count("claim");
    }

    /// @dev Every earner of every task from some task on, whether anything is due or not, and one request twice.
    function claimMany(uint256 seed) external {
        (uint256 first,,) = _pick(seed);
        if (first == 0) return;
        uint256 size = (taskCount - first + 1) * EARNERS;
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](size + 1);
        for (uint256 i = 0; i < size; ++i) {
            requests[i] = _claimOf(first + i / EARNERS, i % EARNERS);
        }
        requests[size] = requests[seed % size];
        uint256[] memory amounts = POT.claimMany(requests);
        for (uint256 i = 0; i < size; ++i) {
            uint256 due = _dueTo(first + i / EARNERS, i % EARNERS);
            assertEq(amounts[i], due, "what is due");
            _ghosts[first + i / EARNERS].paid[i % EARNERS] += due;
        }
        assertEq(amounts[size], 0, "nobody is paid twice");
        _count("claimMany");
    }

    // ---- nature

    function forceEther(uint64 amount) external {
        vm.deal(address(POT), address(POT).balance + amount);
        forcedEther += amount;
    }

    function donateTokens(uint64 amount) external {
        TOKEN.mint(address(POT), amount);
        donatedTokens += amount;
    }

    function passTime(uint16 delay, bytes32 randao) external {
        vm.warp(block.timestamp + delay);
        vm.prevrandao(randao);
    }

    /// @dev Longer than an epoch lives: open rounds can only be skipped from then on.
    function passWeeks(uint8 choice) external {
        if (choice % 8 != 0) return;
        vm.warp(block.timestamp + REGISTRY.config().epochLifetime + 1);
        _count("passWeeks");
    }

    // ---- internal

    /// @dev Half of what miners do, their delegates do.
    function _byDelegate(uint256 seed) private pure returns (bool) {
        return seed >> 255 == 1;
    }

    /// @dev A round that opens is bound to the current epoch.
    function _noteOpened(uint256 taskId) private view {
        assertEq(POT.task(taskId).epoch, REGISTRY.currentEpoch(), "epoch of the round");
    }
}
