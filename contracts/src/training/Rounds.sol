// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";
import {Certificates} from "../libraries/Certificates.sol";
import {EpochBlob, EpochHeader} from "../libraries/EpochBlob.sol";
import {Tasks} from "../libraries/Tasks.sol";
import {Round} from "../types/Round.sol";
import {Terms} from "../types/Terms.sol";
import {TaskBook} from "./TaskBook.sol";

/// @title Rounds
/// @notice The part of ProofOfTraining that ends rounds, by a certificate or by its absence.
abstract contract Rounds is TaskBook {
    /// @inheritdoc IProofOfTraining
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function finalizeRound(Outcome calldata outcome, Certificate calldata certificate) external {
        (Tasks.Data storage t, Round round) = _openRoundOf(outcome.taskId, outcome.round);
        Terms terms = t.terms;
        if (outcome.parent != t.head) revert WrongParent(outcome.parent, t.head);
        if (certificate.epoch != round.epoch()) revert WrongEpoch(certificate.epoch, round.epoch());
        if (outcome.chainReveals != round.chainReveals() && block.timestamp > terms.revealDeadline(round)) {
            revert WrongChainReveals(outcome.chainReveals, round.chainReveals());
        }
        bytes32 digest = outcomeDigest(outcome);
        uint64 nextEpoch = _verify(outcome, certificate, digest);

        round = terms.finalize(round, outcome.rewardsTotal);
        t.head = digest;
        TaskState end = _endAfter(t, terms, round, outcome.loss);
        if (end == TaskState.Running) {
            bytes32 seed;
            (t.round, seed) = _openNext(round, terms, digest, nextEpoch, round.number() + 1);
            _emitFinalized(outcome, certificate.viewNumber, digest, nextEpoch, seed);
        } else {
            _emitFinalized(outcome, certificate.viewNumber, digest, 0, 0);
            t.round = _end(round, outcome.taskId, end);
        }
    }

    /// @inheritdoc IProofOfTraining
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function skipRound(uint256 taskId) external {
        (Tasks.Data storage t, Round round) = _taskIn(taskId, TaskState.Running);
        Terms terms = t.terms;
        uint64 deadline = terms.finalizeDeadline(round);
        if (block.timestamp <= deadline) revert FinalizeDeadlineNotPassed(deadline);
        emit RoundSkipped(taskId, round.number());
        round = round.skipped();
        if (round.cancelRequested()) t.round = _end(round, taskId, TaskState.Cancelled);
        else if (round.skips() > terms.maxSkips()) t.round = _end(round, taskId, TaskState.Expired);
        else t.round = _open(t, round, taskId, round.number() + 1);
    }

    /// @dev The state that a final round leads to: Running, or one of the ends.
    function _endAfter(Tasks.Data storage t, Terms terms, Round round, uint64 loss) private view returns (TaskState) {
        if (round.roundsLeft() == 0) return TaskState.Completed;
        if (round.cancelRequested()) return TaskState.Cancelled;
        uint32 after_ = terms.stopLossAfter();
        if (after_ != 0 && loss > terms.stopLoss() && t.rounds - round.roundsLeft() >= after_) {
            return TaskState.Stopped;
        }
        return TaskState.Running;
    }

    function _emitFinalized(
        Outcome calldata outcome,
        uint64 viewNumber,
        bytes32 digest,
        uint64 nextEpoch,
        bytes32 nextSeed
    ) private {
        emit RoundFinalized(
            outcome.taskId,
            outcome.round,
            digest,
            viewNumber,
            outcome.checkpoint,
            outcome.record,
            outcome.loss,
            outcome.rewardsRoot,
            outcome.rewardsTotal,
            nextEpoch,
            nextSeed
        );
    }

    /// @dev Reverts unless the certificate is a quorum of an epoch that lives. ECDSA is verified here, without a call; the
    ///      registry is asked for its current epoch only if there can be a later one.
    /// @return current the current epoch
    // slither-disable-next-line timestamp,unused-return the verifiers revert; every window is far longer than a proposer can shift the clock
    function _verify(Outcome calldata outcome, Certificate calldata certificate, bytes32 digest)
        private
        view
        returns (uint64 current)
    {
        current = certificate.epoch;
        bytes32 vote = commitDigest(outcome.taskId, outcome.round, current, certificate.viewNumber, digest);
        address blob = EpochBlob.at(address(REGISTRY), current);
        EpochHeader epoch = EpochBlob.read(blob, current);
        if (block.timestamp > epoch.expiresAt()) revert EpochOver(current, epoch.expiresAt());
        if (epoch.scheme() == INodeRegistry.Scheme.Ecdsa) {
            uint256 size = epoch.size();
            Certificates.verify(EpochBlob.readKeys(blob, size), size, epoch.quorum(), vote, certificate.signatures);
        } else {
            REGISTRY.verifyCertificate(current, vote, certificate.signatures);
        }
        if (block.timestamp >= epoch.replaceableAt()) current = REGISTRY.currentEpoch();
    }
}
