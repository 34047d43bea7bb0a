// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "../Base.sol";
import {Merkle} from "../Merkle.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {IProofOfTraining} from "../../src/interfaces/IProofOfTraining.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {ProofOfTraining} from "../../src/ProofOfTraining.sol";

/// @notice Drives tasks through their lives for the invariant tests: owner, miners, a relayer with real certificates, thieves,
///         donors and time. It keeps its own books (ghosts), which the invariants compare with the contract's.
/// @dev No call of a handler function may revert (fail_on_revert): each checks what it needs and returns if it is not there.
contract EscrowHandler is Base {
    uint256 public constant EARNERS = 4;
    uint256 private constant MAX_TASKS = 6;
    address private constant THIEF = address(0x7E1EF);

    /// @dev What the handler knows of a task.
    struct Ghost {
        uint256 budget;
        uint256 allocated;
        uint256 refunded;
        uint256 finals;
        uint256 skips;
        uint256 members;
        bytes32 head;
        IProofOfTraining.TaskState state;
        uint128[4] promised;
        uint256[4] paid;
    }

    ProofOfTraining private immutable POT;
    NodeRegistry private immutable REGISTRY;
    TestToken private immutable TOKEN;

    uint256[] private _voteKeys;
    address[] private _miners;
    address private _owner = account("owner");

    mapping(uint256 taskId => Ghost) private _ghosts;
    mapping(uint256 taskId => mapping(address miner => bool)) private _joined;
    /// @dev The latest certificate that was accepted, to be replayed.
    bytes private _usedCall;

    uint256 public taskCount;
    uint256 public forcedEther;
    uint256 public donatedTokens;
    /// @notice Attempts of thieves that succeeded.
    uint256 public thefts;
    /// @notice How often each path was taken, to see that the run reaches all of them.
    mapping(bytes32 path => uint256) public taken;

    constructor(
        ProofOfTraining pot,
        NodeRegistry registry,
        TestToken token,
        uint256[] memory voteKeys,
        address[] memory miners
    ) {
        (POT, REGISTRY, TOKEN) = (pot, registry, token);
        (_voteKeys, _miners) = (voteKeys, miners);
        vm.prank(_owner);
        token.approve(address(pot), type(uint256).max);
    }

    // ---- the owner

    function createTask(bool native, uint96 budget, uint8 rounds, uint8 minMiners, uint8 maxSkips) external {
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
        vm.prank(miner);
        POT.join(taskId);
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
        vm.prank(miner);
        POT.leave(taskId);
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
        vm.prank(miner);
        POT.commitGradient(taskId, t.round, seal);
        vm.prank(miner);
        POT.revealGradient(taskId, t.round, cid, bytes32(seed));
        _count("commitAndReveal");
    }

    // ---- the validators' relayer

    /// @dev The leaves need not add up to the total: the validators of some rounds promise too much or too little.
    function finalizeRound(uint256 seed, uint128 increase, uint128[4] calldata raises) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || t.state != IProofOfTraining.TaskState.Running) return;
        increase = uint128(bound(increase, 0, t.params.rewardPerRound));
        for (uint256 i = 0; i < EARNERS; ++i) {
            ghost.promised[i] += uint128(bound(raises[i], 0, t.params.rewardPerRound / 2));
        }
        IProofOfTraining.Outcome memory outcome = IProofOfTraining.Outcome({
            taskId: taskId,
            round: t.round,
            parent: t.head,
            checkpoint: keccak256(abi.encode(seed)),
            record: keccak256(abi.encode(seed, "record")),
            rewardsRoot: Merkle.root(_leaves(taskId)),
            rewardsTotal: t.allocated + increase,
            accepted: t.members,
            chainReveals: t.chainReveals
        });
        bytes32 digest = POT.outcomeDigest(outcome);
        bytes32 vote = POT.commitDigest(taskId, t.round, t.epoch, 0, digest);
        bytes memory signatures = _sign(vote, 3 + seed % 2);
        IProofOfTraining.Certificate memory certificate =
            IProofOfTraining.Certificate({epoch: t.epoch, viewNumber: 0, signatures: signatures});
        _usedCall = abi.encodeCall(POT.finalizeRound, (outcome, certificate));
        POT.finalizeRound(outcome, certificate);

        ghost.allocated += increase;
        ghost.head = digest;
        ++ghost.finals;
        if (ghost.finals == t.params.rounds) ghost.state = IProofOfTraining.TaskState.Completed;
        else if (t.cancelRequested) ghost.state = IProofOfTraining.TaskState.Cancelled;
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
        _count("skipRound");
    }

    function advanceEpoch() external {
        vm.warp(block.timestamp + REGISTRY.epochLength());
        REGISTRY.advanceEpoch();
        _count("advanceEpoch");
    }

    // ---- earners

    function claim(uint256 seed, uint256 who) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        who %= EARNERS;
        // the tree of the contract is the one of the latest final round
        if (taskId == 0 || t.finalizedRounds == 0) return;
        if (ghost.promised[who] <= ghost.paid[who] || t.allocated == t.claimed) return;
        bytes32[] memory proof = Merkle.proof(_leaves(taskId), who);
        ghost.paid[who] += POT.claim(taskId, earner(who), ghost.promised[who], proof);
        _count("claim");
    }

    // ---- thieves: whatever they try reverts

    function stealByForgedLeaf(uint256 seed, uint128 amount, uint256 who) external {
        (uint256 taskId,,) = _pick(seed);
        if (taskId == 0) return;
        bytes32[] memory proof = Merkle.proof(_leaves(taskId), who % EARNERS);
        _attempt(abi.encodeCall(POT.claim, (taskId, THIEF, amount, proof)));
    }

    function stealBySecondRefund(uint256 seed) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || (!_isLive(t.state) && ghost.refunded == 0)) return;
        _attempt(abi.encodeCall(POT.refund, (taskId)));
    }

    function stealByReplayedCertificate() external {
        if (_usedCall.length > 0) _attempt(_usedCall);
    }

    function stealByTooFewSignatures(uint256 seed, uint256 count) external {
        (uint256 taskId,, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0) return;
        IProofOfTraining.Outcome memory outcome = IProofOfTraining.Outcome(
            taskId, t.round, t.head, 0, 0, Merkle.leaf(taskId, THIEF, t.params.rewardPerRound), t.allocated, 0, 0
        );
        outcome.rewardsTotal += t.params.rewardPerRound;
        bytes32 vote = POT.commitDigest(taskId, t.round, t.epoch, 0, POT.outcomeDigest(outcome));
        IProofOfTraining.Certificate memory certificate =
            IProofOfTraining.Certificate(t.epoch, 0, _sign(vote, count % 3));
        _attempt(abi.encodeCall(POT.finalizeRound, (outcome, certificate)));
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

    // ---- for the invariants

    function ghostOf(uint256 taskId) external view returns (Ghost memory) {
        return _ghosts[taskId];
    }

    function earner(uint256 i) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("earner", i)))));
    }

    function thief() external pure returns (address) {
        return THIEF;
    }

    // ---- internal

    function _pick(uint256 seed)
        private
        view
        returns (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t)
    {
        if (taskCount > 0) taskId = 1 + seed % taskCount; // 0: there is none yet
        ghost = _ghosts[taskId];
        t = POT.task(taskId);
    }

    function _isLive(IProofOfTraining.TaskState state) private pure returns (bool) {
        return state == IProofOfTraining.TaskState.Open || state == IProofOfTraining.TaskState.Running;
    }

    function _leaves(uint256 taskId) private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](EARNERS);
        for (uint256 i = 0; i < EARNERS; ++i) {
            leaves[i] = Merkle.leaf(taskId, earner(i), _ghosts[taskId].promised[i]);
        }
    }

    function _sign(bytes32 digest, uint256 count) private view returns (bytes memory signatures) {
        for (uint256 i = 0; i < count; ++i) {
            (bytes32 r, bytes32 vs) = vm.signCompact(_voteKeys[i], digest);
            // forge-lint: disable-next-line(unsafe-typecast)
            signatures = abi.encodePacked(signatures, uint16(i), r, vs); // four validators
        }
    }

    function _attempt(bytes memory data) private {
        vm.prank(THIEF);
        (bool success,) = address(POT).call(data);
        if (success) ++thefts;
        _count("theft attempted");
    }

    function _count(string memory path) private {
        ++taken[keccak256(bytes(path))];
    }
}
