// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Votes
/// @notice EIP-712 hashStructs of what validators sign and a court must hash (pot_chain.protocol.eip712).
library Votes {
    bytes32 internal constant PROPOSE_TYPEHASH =
        keccak256("Propose(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)");
    bytes32 internal constant PREPARE_TYPEHASH =
        keccak256("Prepare(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)");
    bytes32 internal constant COMMIT_TYPEHASH =
        keccak256("Commit(uint256 taskId,uint64 round,uint64 epoch,uint64 view,bytes32 digest)");
    bytes32 internal constant VIEW_CHANGE_TYPEHASH = keccak256(
        "ViewChange(uint256 taskId,uint64 round,uint64 epoch,uint64 view,uint64 preparedView,bytes32 preparedDigest)"
    );
    bytes32 internal constant MINER_FAULT_TYPEHASH =
        keccak256("MinerFault(uint256 taskId,uint64 round,address miner,bytes32 record)");
    bytes32 internal constant MINER_FAULT_UPHELD_TYPEHASH =
        keccak256("MinerFaultUpheld(uint256 taskId,uint64 round,address miner,bytes32 record)");

    /// @notice Where in the protocol a statement belongs.
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param epoch validator epoch of the round
    struct Slot {
        uint256 taskId;
        uint64 round;
        uint64 epoch;
    }

    /// @notice Hash of a Propose, Prepare or Commit.
    /// @param typeHash which of the three
    /// @param slot task, round and epoch
    /// @param viewNumber PBFT view
    /// @param digest outcome that the vote is for
    function voteHash(bytes32 typeHash, Slot calldata slot, uint64 viewNumber, bytes32 digest)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(typeHash, slot.taskId, slot.round, slot.epoch, viewNumber, digest));
    }

    /// @notice Hash of a ViewChange.
    /// @param slot task, round and epoch
    /// @param viewNumber view that the replica wants
    /// @param preparedView highest view in which it says that it has prepared
    /// @param preparedDigest outcome prepared there; zero for none
    function viewChangeHash(Slot calldata slot, uint64 viewNumber, uint64 preparedView, bytes32 preparedDigest)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                VIEW_CHANGE_TYPEHASH, slot.taskId, slot.round, slot.epoch, viewNumber, preparedView, preparedDigest
            )
        );
    }

    /// @notice Hash of a MinerFault or MinerFaultUpheld.
    /// @param typeHash which of the two
    /// @param taskId number of the task
    /// @param round round of the task
    /// @param miner who is at fault
    /// @param record digest of the record that shows it
    function faultHash(bytes32 typeHash, uint256 taskId, uint64 round, address miner, bytes32 record)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(typeHash, taskId, round, miner, record));
    }
}
