// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "../Base.sol";
import {Merkle} from "../Merkle.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {IProofOfTraining} from "../../src/interfaces/IProofOfTraining.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {ProofOfTraining} from "../../src/ProofOfTraining.sol";

/// @notice What EscrowHandler knows (ghosts), which the invariants compare with what the contract says.
abstract contract EscrowBooks is Base {
    uint256 public constant EARNERS = 4;
    uint256 internal constant MAX_TASKS = 6;
    /// @dev Hot key of every miner.
    address internal constant HOT = address(0x407);
    address internal constant THIEF = address(0x7E1EF);

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

    ProofOfTraining internal immutable POT;
    NodeRegistry internal immutable REGISTRY;
    TestToken internal immutable TOKEN;

    uint256[] internal _voteKeys;
    address[] internal _miners;
    address internal _owner = account("owner");

    mapping(uint256 taskId => Ghost) internal _ghosts;
    mapping(uint256 taskId => mapping(address miner => bool)) internal _joined;
    /// @dev By task: the outcomes that became final, in order, and the calls that made them so.
    mapping(uint256 taskId => IProofOfTraining.Outcome[]) internal _finals;
    bytes[] internal _usedCalls;

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
        for (uint256 i = 0; i < miners.length; ++i) {
            vm.prank(miners[i]);
            registry.authorizeDelegate(HOT, type(uint64).max);
        }
    }

    function ghostOf(uint256 taskId) external view returns (Ghost memory) {
        return _ghosts[taskId];
    }

    function earner(uint256 i) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("earner", i)))));
    }

    function thief() external pure returns (address) {
        return THIEF;
    }

    function _pick(uint256 seed)
        internal
        view
        returns (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t)
    {
        if (taskCount > 0) taskId = 1 + seed % taskCount; // 0: there is none yet
        ghost = _ghosts[taskId];
        t = POT.task(taskId);
    }

    function _isLive(IProofOfTraining.TaskState state) internal pure returns (bool) {
        return state == IProofOfTraining.TaskState.Open || state == IProofOfTraining.TaskState.Running;
    }

    function _leaves(uint256 taskId) internal view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](EARNERS);
        for (uint256 i = 0; i < EARNERS; ++i) {
            leaves[i] = Merkle.leaf(taskId, earner(i), _ghosts[taskId].promised[i]);
        }
    }

    function _sign(bytes32 digest, uint256 count) internal view returns (bytes memory signatures) {
        for (uint256 i = 0; i < count; ++i) {
            (bytes32 r, bytes32 vs) = vm.signCompact(_voteKeys[i], digest);
            // forge-lint: disable-next-line(unsafe-typecast)
            signatures = abi.encodePacked(signatures, uint16(i), r, vs); // four validators
        }
    }

    function _outcome(uint256 taskId, IProofOfTraining.Task memory t, bytes32 root, uint128 increase, uint256 seed)
        internal
        pure
        returns (IProofOfTraining.Outcome memory)
    {
        return IProofOfTraining.Outcome({
            taskId: taskId,
            round: t.round,
            parent: t.head,
            checkpoint: keccak256(abi.encode(seed)),
            record: keccak256(abi.encode(seed, "record")),
            // forge-lint: disable-next-line(unsafe-typecast)
            loss: uint64(seed % 4), // below four
            accepted: t.members,
            chainReveals: t.chainReveals,
            rewardsRoot: root,
            rewardsTotal: t.allocated + increase
        });
    }

    /// @dev The first `count` validators of the epoch commit in view 0.
    function _certify(IProofOfTraining.Outcome memory outcome, uint64 epoch, uint256 count)
        internal
        view
        returns (IProofOfTraining.Certificate memory)
    {
        bytes32 vote = POT.commitDigest(outcome.taskId, outcome.round, epoch, 0, POT.outcomeDigest(outcome));
        return IProofOfTraining.Certificate({epoch: epoch, viewNumber: 0, signatures: _sign(vote, count)});
    }

    function _claimOf(uint256 taskId, uint256 who) internal view returns (IProofOfTraining.Claim memory request) {
        request.taskId = taskId;
        request.account = earner(who);
        request.cumulative = _ghosts[taskId].promised[who];
        request.proof = Merkle.proof(_leaves(taskId), who);
        uint256 count = _finals[taskId].length;
        if (count == 0) return request;
        request.rewardsTotal = _finals[taskId][count - 1].rewardsTotal;
        request.decision = POT.decisionHash(_finals[taskId][count - 1]);
    }

    /// @dev What is due to an earner by the books.
    function _dueTo(uint256 taskId, uint256 who) internal view returns (uint256) {
        Ghost storage ghost = _ghosts[taskId];
        if (ghost.finals == 0 || ghost.promised[who] <= ghost.paid[who]) return 0;
        uint256 unclaimed = ghost.allocated;
        for (uint256 i = 0; i < EARNERS; ++i) {
            unclaimed -= ghost.paid[i];
        }
        uint256 owed = ghost.promised[who] - ghost.paid[who];
        return owed < unclaimed ? owed : unclaimed;
    }

    function _attempt(bytes memory data) internal {
        vm.prank(THIEF);
        (bool success,) = address(POT).call(data);
        if (success) ++thefts;
        _count("theft attempted");
    }

    function _count(string memory path) internal {
        ++taken[keccak256(bytes(path))];
    }
}
