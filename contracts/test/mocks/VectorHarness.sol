// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {ProofOfTraining} from "../../src/ProofOfTraining.sol";
import {ProtocolHashes} from "../../src/libraries/ProtocolHashes.sol";

/// @notice ProofOfTraining with its internal hashes in reach of the vector tests.
contract VectorHarness is ProofOfTraining {
    constructor(address registry_) ProofOfTraining(registry_) {}

    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function decisionTypeHash() external pure returns (bytes32) {
        return ProtocolHashes.DECISION_TYPEHASH;
    }

    function outcomeTypeHash() external pure returns (bytes32) {
        return ProtocolHashes.OUTCOME_TYPEHASH;
    }

    function commitTypeHash() external pure returns (bytes32) {
        return ProtocolHashes.COMMIT_TYPEHASH;
    }

    function genesisHead(uint256 taskId, bytes32 spec, bytes32 checkpoint) external view returns (bytes32) {
        return ProtocolHashes.genesisHead(taskId, spec, checkpoint);
    }

    function seal(uint256 taskId, uint64 round, address miner, bytes32 cidDigest, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return ProtocolHashes.seal(taskId, round, miner, cidDigest, salt);
    }

    function rewardLeaf(uint256 taskId, address account, uint128 cumulative) external pure returns (bytes32) {
        return ProtocolHashes.rewardLeaf(taskId, account, cumulative);
    }

    function verifyProof(bytes32[] calldata proof, bytes32 root, bytes32 leaf) external pure returns (bool) {
        return MerkleProof.verifyCalldata(proof, root, leaf);
    }
}
