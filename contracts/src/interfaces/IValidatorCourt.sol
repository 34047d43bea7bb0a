// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Votes} from "../libraries/Votes.sol";
import {IBlsErrors} from "./IBlsErrors.sol";
import {ICourt} from "./ICourt.sol";

/// @title IValidatorCourt
/// @notice Takes the whole stake of validators that have signed what an honest replica never signs. Nobody decides: the
///         signatures are the proof.
/// @dev A reporter commits to the evidence first, and shows it `REVEAL_DELAY` blocks later: whoever sees it then in a pending
///      transaction is too late to take the bounty. A commitment binds the evidence, so none can be made in advance by anybody
///      but those who hold the evidence. A culprit may well report himself: most of his stake is burned.
///
///      Evidence names an operator and is checked against the keys of its current registration. Keys are for one registration,
///      ever, so evidence against an earlier one proves nothing; and the stake can be taken until it is withdrawn. Signatures
///      of votes have 65 bytes (r ‖ s ‖ v, low s) or 64 (EIP-2098) if they are the vote key's, 128 if the BLS key's.
interface IValidatorCourt is ICourt, IBlsErrors {
    /// @notice What is proven.
    enum Offence {
        DoubleVote,
        HiddenCommit,
        ConflictingCertificates
    }

    /// @notice What a vote is in PBFT.
    enum Phase {
        Propose,
        Prepare,
        Commit
    }

    /// @notice Two votes of one phase and view for different outcomes.
    /// @dev Votes in different views are no offence: a later view may decide otherwise.
    /// @param operator validator
    /// @param phase of both votes
    /// @param slot task, round and epoch of both votes
    /// @param viewNumber view of both votes
    /// @param digestA outcome of one vote
    /// @param digestB outcome of the other
    /// @param signatureA over the one
    /// @param signatureB over the other
    struct DoubleVote {
        address operator;
        Phase phase;
        Votes.Slot slot;
        uint64 viewNumber;
        bytes32 digestA;
        bytes32 digestB;
        bytes signatureA;
        bytes signatureB;
    }

    /// @notice A commit, and a later view change that conceals it.
    /// @dev Whoever commits in a view has prepared the outcome there, so a view change to a later view names that view and that
    ///      outcome, or a still later view.
    /// @param operator validator
    /// @param slot task, round and epoch of both messages
    /// @param commitView view of the commit
    /// @param commitDigest outcome of the commit
    /// @param commitSignature over the commit
    /// @param changeView view that the view change asks for
    /// @param preparedView highest view that it says to have prepared in
    /// @param preparedDigest outcome that it says to have prepared there; zero for none
    /// @param changeSignature over the view change
    struct HiddenCommit {
        address operator;
        Votes.Slot slot;
        uint64 commitView;
        bytes32 commitDigest;
        bytes commitSignature;
        uint64 changeView;
        uint64 preparedView;
        bytes32 preparedDigest;
        bytes changeSignature;
    }

    /// @notice Two commit certificates of one view for different outcomes. Everybody in both is guilty: at least f + 1.
    /// @param slot task, round and epoch of both certificates
    /// @param viewNumber view of both certificates
    /// @param digestA outcome of one certificate
    /// @param digestB outcome of the other
    /// @param certificateA see INodeRegistry.verifyCertificate
    /// @param certificateB see INodeRegistry.verifyCertificate
    struct ConflictingCertificates {
        Votes.Slot slot;
        uint64 viewNumber;
        bytes32 digestA;
        bytes32 digestB;
        bytes certificateA;
        bytes certificateB;
    }

    /// @notice Somebody holds evidence, or says so.
    /// @param commitment see commitEvidence
    /// @param revealableFrom first block in which it can be shown
    event EvidenceCommitted(bytes32 indexed commitment, uint256 revealableFrom);
    /// @notice An offence was proven; the registry tells whose stake was taken.
    /// @param offence what
    /// @param taskId task that was harmed
    /// @param reporter who proved it
    /// @param evidenceHash keccak256(abi.encode(offence, evidence))
    /// @param taken wei taken from all culprits
    event OffenceProven(
        Offence indexed offence, uint256 indexed taskId, address indexed reporter, bytes32 evidenceHash, uint256 taken
    );

    /// @notice A stake of nothing would let a culprit go on with the registration that was punished.
    error NoMinimumStake();
    /// @notice The commitment was made already.
    error EvidenceAlreadyCommitted(bytes32 commitment);
    /// @notice The sender has not committed to this evidence with this salt.
    error EvidenceNotCommitted(bytes32 commitment);
    /// @notice The evidence can be shown from a later block on.
    error RevealTooEarly(uint256 revealableFrom);
    /// @notice Two statements of the same are no offence.
    error SameDigest(bytes32 digest);
    /// @notice The view change reports the commit (or a later prepared view), or came before it.
    error CommitNotHidden();
    /// @notice The account is not a validator, or no longer.
    error NotValidatorAccount(address account);
    /// @notice The vote key has not signed this digest.
    error NotSigned(address voteKey, bytes32 digest);
    /// @notice The BLS key has not signed this digest.
    error NotSignedByBlsKey(address operator, bytes32 digest);
    /// @notice The validator has no BLS key.
    error NoBlsKey(address operator);
    /// @notice All culprits have been punished, or have gone.
    error NothingToSlash();

    /// @notice Announce evidence without showing it.
    /// @param commitment keccak256(abi.encode(reporter, keccak256(abi.encode(offence, evidence)), salt)), where the reporter is
    ///        the account that will show it
    function commitEvidence(bytes32 commitment) external;

    /// @notice Punish a validator for two votes where there can be one.
    /// @param evidence the votes
    /// @param salt of the commitment
    function reportDoubleVote(DoubleVote calldata evidence, bytes32 salt) external;

    /// @notice Punish a validator for a view change that conceals a commit.
    /// @param evidence both messages
    /// @param salt of the commitment
    function reportViewChange(HiddenCommit calldata evidence, bytes32 salt) external;

    /// @notice Punish everybody who has signed two conflicting certificates. Those that have withdrawn are passed over.
    /// @param evidence the certificates
    /// @param salt of the commitment
    function reportCertificates(ConflictingCertificates calldata evidence, bytes32 salt) external;

    /// @notice Commitment to a double vote.
    /// @param reporter who will report it
    /// @param evidence the votes
    /// @param salt blinds the commitment
    function doubleVoteCommitment(address reporter, DoubleVote calldata evidence, bytes32 salt)
        external
        view
        returns (bytes32);

    /// @notice Commitment to a hidden commit.
    /// @param reporter who will report it
    /// @param evidence both messages
    /// @param salt blinds the commitment
    function viewChangeCommitment(address reporter, HiddenCommit calldata evidence, bytes32 salt)
        external
        view
        returns (bytes32);

    /// @notice Commitment to conflicting certificates.
    /// @param reporter who will report them
    /// @param evidence the certificates
    /// @param salt blinds the commitment
    function certificatesCommitment(address reporter, ConflictingCertificates calldata evidence, bytes32 salt)
        external
        view
        returns (bytes32);

    /// @notice First block in which committed evidence can be shown; 0 if it was not committed.
    /// @param commitment see commitEvidence
    function revealableFrom(bytes32 commitment) external view returns (uint256);
}
