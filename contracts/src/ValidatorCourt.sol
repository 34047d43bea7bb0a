// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Court} from "./courts/Court.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IValidatorCourt} from "./interfaces/IValidatorCourt.sol";
import {Bls12381, G2} from "./libraries/Bls12381.sol";
import {Votes} from "./libraries/Votes.sol";

/// @title ValidatorCourt
/// @notice Punishes validators on evidence that anybody can check.
contract ValidatorCourt is Court, IValidatorCourt {
    /// @notice Blocks between the commitment to evidence and its reveal.
    uint256 public constant REVEAL_DELAY = 5;

    mapping(bytes32 commitment => uint256 firstBlock) private _revealableFrom;

    /// @param registry_ NodeRegistry that names this court
    /// @param training_ ProofOfTraining of that registry
    constructor(address registry_, address training_) Court(registry_, training_) {
        // whoever has lost all then stops being bonded and cannot add to the stake: the same evidence takes nothing twice
        if (REGISTRY.config().minValidatorStake == 0) revert NoMinimumStake();
    }

    // ---- evidence

    /// @inheritdoc IValidatorCourt
    function commitEvidence(bytes32 commitment) external {
        // the first counts: nobody can put off a reveal by repeating a commitment that he has seen
        if (_revealableFrom[commitment] != 0) revert EvidenceAlreadyCommitted(commitment);
        uint256 firstBlock = block.number + REVEAL_DELAY;
        _revealableFrom[commitment] = firstBlock;
        emit EvidenceCommitted(commitment, firstBlock);
    }

    /// @inheritdoc IValidatorCourt
    // slither-disable-next-line reentrancy-benign,reentrancy-events the registry is immutable and calls nobody but this court
    function reportDoubleVote(DoubleVote calldata evidence, bytes32 salt) external {
        bytes32 evidenceHash = _doubleVoteHash(evidence);
        _requireCommitted(evidenceHash, salt);
        (bytes32 digestA, bytes32 digestB) = (evidence.digestA, evidence.digestB);
        if (digestA == digestB) revert SameDigest(digestA);
        bytes32 typeHash = _typeHash(evidence.phase);
        INodeRegistry.Node memory culprit = _validator(evidence.operator);
        Votes.Slot calldata slot = evidence.slot;
        bytes32 voteA = Votes.voteHash(typeHash, slot, evidence.viewNumber, digestA);
        bytes32 voteB = Votes.voteHash(typeHash, slot, evidence.viewNumber, digestB);
        _requireSigned(evidence.operator, culprit.voteKey, voteA, evidence.signatureA);
        _requireSigned(evidence.operator, culprit.voteKey, voteB, evidence.signatureB);
        uint256 taken = REGISTRY.slash(evidence.operator, culprit.stake);
        _conclude(Offence.DoubleVote, slot.taskId, evidenceHash, taken);
    }

    /// @inheritdoc IValidatorCourt
    // slither-disable-next-line reentrancy-benign,reentrancy-events the registry is immutable and calls nobody but this court
    function reportViewChange(HiddenCommit calldata evidence, bytes32 salt) external {
        bytes32 evidenceHash = _hiddenCommitHash(evidence);
        _requireCommitted(evidenceHash, salt);
        if (!_hides(evidence)) revert CommitNotHidden();
        INodeRegistry.Node memory culprit = _validator(evidence.operator);
        Votes.Slot calldata slot = evidence.slot;
        bytes32 commit = Votes.voteHash(Votes.COMMIT_TYPEHASH, slot, evidence.commitView, evidence.commitDigest);
        bytes32 change = Votes.viewChangeHash(slot, evidence.changeView, evidence.preparedView, evidence.preparedDigest);
        _requireSigned(evidence.operator, culprit.voteKey, commit, evidence.commitSignature);
        _requireSigned(evidence.operator, culprit.voteKey, change, evidence.changeSignature);
        uint256 taken = REGISTRY.slash(evidence.operator, culprit.stake);
        _conclude(Offence.HiddenCommit, slot.taskId, evidenceHash, taken);
    }

    /// @inheritdoc IValidatorCourt
    // slither-disable-next-line reentrancy-benign,reentrancy-events the registry is immutable and calls nobody but this court
    function reportCertificates(ConflictingCertificates calldata evidence, bytes32 salt) external {
        bytes32 evidenceHash = _certificatesHash(evidence);
        _requireCommitted(evidenceHash, salt);
        if (evidence.digestA == evidence.digestB) revert SameDigest(evidence.digestA);
        uint256 culprits = _signers(evidence, evidence.digestA, evidence.certificateA)
            & _signers(evidence, evidence.digestB, evidence.certificateB);
        uint256 taken = _slashAll(evidence.slot.epoch, culprits);
        _conclude(Offence.ConflictingCertificates, evidence.slot.taskId, evidenceHash, taken);
    }

    // ---- views

    /// @inheritdoc IValidatorCourt
    function doubleVoteCommitment(address reporter, DoubleVote calldata evidence, bytes32 salt)
        external
        pure
        returns (bytes32)
    {
        return _commitment(reporter, _doubleVoteHash(evidence), salt);
    }

    /// @inheritdoc IValidatorCourt
    function viewChangeCommitment(address reporter, HiddenCommit calldata evidence, bytes32 salt)
        external
        pure
        returns (bytes32)
    {
        return _commitment(reporter, _hiddenCommitHash(evidence), salt);
    }

    /// @inheritdoc IValidatorCourt
    function certificatesCommitment(address reporter, ConflictingCertificates calldata evidence, bytes32 salt)
        external
        pure
        returns (bytes32)
    {
        return _commitment(reporter, _certificatesHash(evidence), salt);
    }

    /// @inheritdoc IValidatorCourt
    function revealableFrom(bytes32 commitment) external view returns (uint256) {
        return _revealableFrom[commitment];
    }

    // ---- internal

    function _requireCommitted(bytes32 evidenceHash, bytes32 salt) private view {
        bytes32 commitment = _commitment(msg.sender, evidenceHash, salt);
        uint256 firstBlock = _revealableFrom[commitment];
        if (firstBlock == 0) revert EvidenceNotCommitted(commitment);
        if (block.number < firstBlock) revert RevealTooEarly(firstBlock);
    }

    function _conclude(Offence offence, uint256 taskId, bytes32 evidenceHash, uint256 taken) private {
        if (taken == 0) revert NothingToSlash();
        emit OffenceProven(offence, taskId, msg.sender, evidenceHash, taken);
        _distribute(taken, taskId, msg.sender);
    }

    // slither-disable-next-line calls-loop an epoch has at most a hundred validators
    function _slashAll(uint64 epoch, uint256 culprits) private returns (uint256 taken) {
        address[] memory voteKeys = REGISTRY.epochValidators(epoch);
        for (uint256 i = 0; i < voteKeys.length; ++i) {
            if (culprits >> i & 1 == 0) continue;
            address operator = REGISTRY.operatorOf(voteKeys[i]);
            INodeRegistry.Node memory culprit = REGISTRY.node(operator);
            // whoever has withdrawn may be back, with another key, and has not signed with that one
            if (culprit.voteKey != voteKeys[i] || culprit.stake == 0) continue;
            taken += REGISTRY.slash(operator, culprit.stake);
        }
    }

    function _signers(ConflictingCertificates calldata evidence, bytes32 digest, bytes calldata certificate)
        private
        view
        returns (uint256)
    {
        bytes32 commit = Votes.voteHash(Votes.COMMIT_TYPEHASH, evidence.slot, evidence.viewNumber, digest);
        return REGISTRY.verifyCertificate(evidence.slot.epoch, _digest(commit), certificate);
    }

    function _validator(address operator) private view returns (INodeRegistry.Node memory culprit) {
        culprit = REGISTRY.node(operator);
        if (culprit.role != INodeRegistry.Role.Validator) revert NotValidatorAccount(operator);
    }

    /// @dev A validator's vote key is not zero, so a recovery that fails does not match it.
    // slither-disable-next-line unused-return only the signer matters, not why there is none
    function _requireSigned(address operator, address voteKey, bytes32 structHash, bytes calldata signature)
        private
        view
    {
        bytes32 digest = _digest(structHash);
        if (signature.length == Bls12381.G1_SIZE) {
            bytes memory key = REGISTRY.blsKeyOf(operator);
            if (key.length == 0) revert NoBlsKey(operator);
            (G2 point,) = Bls12381.newSum();
            Bls12381.unpack(key, point);
            if (!Bls12381.verify(Bls12381.VOTE, digest, point, signature)) revert NotSignedByBlsKey(operator, digest);
            return;
        }
        address recovered;
        if (signature.length == 64) {
            (recovered,,) = ECDSA.tryRecover(digest, bytes32(signature[:32]), bytes32(signature[32:]));
        } else {
            (recovered,,) = ECDSA.tryRecoverCalldata(digest, signature);
        }
        if (recovered != voteKey) revert NotSigned(voteKey, digest);
    }

    /// @dev Whether the view change, honest, would have had to say something else.
    function _hides(HiddenCommit calldata evidence) private pure returns (bool) {
        if (evidence.changeView <= evidence.commitView) return false;
        if (evidence.preparedDigest == 0) return true;
        if (evidence.preparedView != evidence.commitView) return evidence.preparedView < evidence.commitView;
        return evidence.preparedDigest != evidence.commitDigest;
    }

    function _typeHash(Phase phase) private pure returns (bytes32) {
        if (phase == Phase.Propose) return Votes.PROPOSE_TYPEHASH;
        return phase == Phase.Prepare ? Votes.PREPARE_TYPEHASH : Votes.COMMIT_TYPEHASH;
    }

    function _commitment(address reporter, bytes32 evidenceHash, bytes32 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(reporter, evidenceHash, salt));
    }

    function _doubleVoteHash(DoubleVote calldata evidence) private pure returns (bytes32) {
        return keccak256(abi.encode(Offence.DoubleVote, evidence));
    }

    function _hiddenCommitHash(HiddenCommit calldata evidence) private pure returns (bytes32) {
        return keccak256(abi.encode(Offence.HiddenCommit, evidence));
    }

    function _certificatesHash(ConflictingCertificates calldata evidence) private pure returns (bytes32) {
        return keccak256(abi.encode(Offence.ConflictingCertificates, evidence));
    }
}
