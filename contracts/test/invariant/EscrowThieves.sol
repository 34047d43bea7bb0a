// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowBooks} from "./EscrowBooks.sol";
import {Merkle} from "../Merkle.sol";
import {IProofOfTraining} from "../../src/interfaces/IProofOfTraining.sol";

/// @notice What thieves try: each of it must revert.
abstract contract EscrowThieves is EscrowBooks {
    function stealByForgedLeaf(uint256 seed, uint128 amount, uint256 who) external {
        (uint256 taskId,,) = _pick(seed);
        if (taskId == 0) return;
        IProofOfTraining.Claim memory request = _claimOf(taskId, who % EARNERS);
        (request.account, request.cumulative) = (THIEF, amount);
        _attempt(abi.encodeCall(POT.claim, (request)));
    }

    /// @dev A greater total would lift the cap of the task.
    function stealByForgedTotal(uint256 seed, uint128 total, uint256 who) external {
        (uint256 taskId,,) = _pick(seed);
        if (taskId == 0) return;
        IProofOfTraining.Claim memory request = _claimOf(taskId, who % EARNERS);
        if (request.rewardsTotal == total && _finals[taskId].length > 0) return;
        request.rewardsTotal = total;
        _attempt(abi.encodeCall(POT.claim, (request)));
    }

    function stealBySecondClaim(uint256 seed, uint256 who) external {
        (uint256 taskId,,) = _pick(seed);
        who %= EARNERS;
        if (taskId == 0 || _dueTo(taskId, who) > 0) return;
        _attempt(abi.encodeCall(POT.claim, (_claimOf(taskId, who))));
    }

    function stealBySecondRefund(uint256 seed) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || (!_isLive(t.state) && ghost.refunded == 0)) return;
        _attempt(abi.encodeCall(POT.refund, (taskId)));
    }

    function stealByReplayedCertificate(uint256 seed) external {
        if (_usedCalls.length > 0) _attempt(_usedCalls[seed % _usedCalls.length]);
    }

    /// @dev All validators together cannot decide a final round anew, by the head before it or after it.
    function stealByRewritingAFinalRound(uint256 seed, bool onTheHead) external {
        (uint256 taskId, Ghost storage ghost, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || ghost.finals == 0) return;
        IProofOfTraining.Outcome memory outcome = _finals[taskId][seed % ghost.finals];
        outcome.rewardsRoot = Merkle.leaf(taskId, THIEF, outcome.rewardsTotal);
        if (onTheHead) outcome.parent = t.head;
        _attempt(abi.encodeCall(POT.finalizeRound, (outcome, _certify(outcome, t.epoch, 4))));
    }

    /// @dev Too few signatures; or enough entries, of which some are doubled, out of order or not by who they say.
    function stealByABadCertificate(uint256 seed, uint256 kind) external {
        (uint256 taskId,, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0) return;
        bytes32 root = Merkle.leaf(taskId, THIEF, t.params.rewardPerRound);
        IProofOfTraining.Outcome memory outcome = _outcome(taskId, t, root, t.params.rewardPerRound, seed);
        bytes32 vote = POT.commitDigest(taskId, t.round, t.epoch, 0, POT.outcomeDigest(outcome));
        bytes memory signatures = _sign(vote, kind % 3);
        if (kind % 6 == 3) signatures = abi.encodePacked(_entry(vote, 0, 0), _entry(vote, 1, 1), _entry(vote, 1, 1));
        if (kind % 6 == 4) signatures = abi.encodePacked(_entry(vote, 0, 0), _entry(vote, 2, 2), _entry(vote, 1, 1));
        if (kind % 6 == 5) signatures = abi.encodePacked(_entry(vote, 0, 0), _entry(vote, 1, 1), _entry(vote, 2, 0));
        IProofOfTraining.Certificate memory certificate = IProofOfTraining.Certificate(t.epoch, 0, signatures);
        _attempt(abi.encodeCall(POT.finalizeRound, (outcome, certificate)));
    }

    /// @dev A whole certificate of an epoch that has expired, or of another epoch than the round's.
    function stealByAnotherEpoch(uint256 seed) external {
        (uint256 taskId,, IProofOfTraining.Task memory t) = _pick(seed);
        if (taskId == 0 || t.state != IProofOfTraining.TaskState.Running) return;
        IProofOfTraining.Outcome memory outcome = _outcome(taskId, t, 0, 0, seed);
        uint64 epoch = t.epoch;
        if (block.timestamp <= REGISTRY.epochInfo(epoch).expiresAt) {
            // forge-lint: disable-next-line(unsafe-typecast)
            epoch = 1 + uint64(seed % REGISTRY.currentEpoch()); // below the number of an epoch
            if (epoch == t.epoch) return;
        }
        _attempt(abi.encodeCall(POT.finalizeRound, (outcome, _certify(outcome, epoch, 4))));
    }

    function stealByNoDelegate(uint256 seed, uint256 who, bytes32 seal) external {
        (uint256 taskId,, IProofOfTraining.Task memory t) = _pick(seed);
        address miner = _miners[who % _miners.length];
        _attempt(abi.encodeCall(POT.joinFor, (taskId, miner)));
        _attempt(abi.encodeCall(POT.leaveFor, (taskId, miner)));
        _attempt(abi.encodeCall(POT.commitGradientFor, (taskId, t.round, seal, miner)));
        _attempt(abi.encodeCall(POT.revealGradientFor, (taskId, t.round, seal, seal, miner)));
    }

    /// @dev The signature of validator `signer` as that of `index`.
    function _entry(bytes32 digest, uint16 index, uint256 signer) private view returns (bytes memory) {
        (bytes32 r, bytes32 vs) = vm.signCompact(_voteKeys[signer], digest);
        return abi.encodePacked(index, r, vs);
    }
}
