// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProofOfTraining} from "../interfaces/IProofOfTraining.sol";

/// @title ProtocolHashes
/// @notice The hashes that the chain and the nodes must compute alike (pot_chain.protocol; vectors in tests/vectors).
library ProtocolHashes {
    bytes32 internal constant DECISION_TYPEHASH = keccak256(
        "Decision(uint256 taskId,uint64 round,bytes32 parent,bytes32 checkpoint,bytes32 record,uint64 loss,uint32 accepted,uint32 chainReveals)"
    );
    bytes32 internal constant OUTCOME_TYPEHASH = keccak256(
        "Outcome(Decision decision,bytes32 rewardsRoot,uint128 rewardsTotal)Decision(uint256 taskId,uint64 round,bytes32 parent,bytes32 checkpoint,bytes32 record,uint64 loss,uint32 accepted,uint32 chainReveals)"
    );
    bytes32 internal constant COMMIT_TYPEHASH =
        keccak256("Commit(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)");

    /// @notice EIP-712 hashStruct of the decision in an outcome.
    /// @param outcome what a round decided
    function decisionHash(IProofOfTraining.Outcome calldata outcome) internal pure returns (bytes32 hash) {
        bytes32 typeHash = DECISION_TYPEHASH;
        assembly ("memory-safe") {
            // the first eight words of an outcome are the decision, in the order of its type; the caller's decoder has not
            // looked at them, so a word that is too wide for its field makes a hash that nobody has signed
            let memory_ := mload(0x40)
            mstore(memory_, typeHash)
            calldatacopy(add(memory_, 32), outcome, 256)
            hash := keccak256(memory_, 288)
        }
    }

    /// @notice EIP-712 hashStruct of an outcome.
    /// @param decision decisionHash of the outcome
    /// @param rewardsRoot root of the cumulative rewards tree
    /// @param rewardsTotal sum of the leaves of that tree
    function outcomeHash(bytes32 decision, bytes32 rewardsRoot, uint128 rewardsTotal) internal pure returns (bytes32) {
        return keccak256(abi.encode(OUTCOME_TYPEHASH, decision, rewardsRoot, rewardsTotal));
    }

    /// @notice EIP-712 hashStruct of a commit vote.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param epoch validator epoch of the round
    /// @param viewNumber PBFT view
    /// @param digest outcomeHash that the vote is for
    function commitHash(uint256 taskId, uint64 round, uint64 epoch, uint64 viewNumber, bytes32 digest)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(COMMIT_TYPEHASH, taskId, round, epoch, viewNumber, digest));
    }

    /// @notice Head of a task before its first outcome.
    /// @param taskId number of the task
    /// @param spec digest of the task spec
    /// @param checkpoint digest of the initial checkpoint
    function genesisHead(uint256 taskId, bytes32 spec, bytes32 checkpoint) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), taskId, spec, checkpoint));
    }

    /// @notice Randomness of a round that opens now.
    /// @dev `head` is fixed by a quorum before anybody knows the block's randomness.
    /// @param head head of the task
    /// @param round round that opens
    function roundSeed(bytes32 head, uint64 round) internal view returns (bytes32) {
        return keccak256(abi.encode(head, round, block.prevrandao));
    }

    /// @notice A miner's commitment to a submission.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner author: a seal is worthless to anybody else
    /// @param cidDigest digest of the submission manifest
    /// @param salt blinds the seal
    function seal(uint256 taskId, uint64 round, address miner, bytes32 cidDigest, bytes32 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), taskId, round, miner, cidDigest, salt));
    }

    /// @notice Leaf of the cumulative rewards tree.
    /// @dev Hashed twice, so that no inner node (64 bytes, hashed once) can be passed off as a leaf.
    /// @param taskId number of the task
    /// @param account who is paid
    /// @param cumulative what it has earned over all rounds so far
    function rewardLeaf(uint256 taskId, address account, uint128 cumulative) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(taskId, account, cumulative))));
    }
}
