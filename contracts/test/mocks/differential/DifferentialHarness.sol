// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {INodeRegistry} from "../../../src/interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../../../src/interfaces/IProofOfTraining.sol";
import {Certificates} from "../../../src/libraries/Certificates.sol";
import {ProtocolHashes} from "../../../src/libraries/ProtocolHashes.sol";
import {Quorum} from "../../../src/libraries/Quorum.sol";
import {Votes} from "../../../src/libraries/Votes.sol";
import {Merkle} from "../../Merkle.sol";

/// @notice What the contracts compute, for many cases in one call: tests/differential compares it with what Python computes.
contract DifferentialHarness is EIP712 {
    struct Vote {
        uint256 taskId;
        uint64 round;
        uint64 epoch;
        uint64 viewNumber;
        bytes32 digest;
    }

    struct Rotation {
        uint64 epoch;
        address[] voteKeys;
    }

    struct Fault {
        uint256 taskId;
        uint64 round;
        address miner;
        bytes32 record;
    }

    struct Sealed {
        uint256 taskId;
        uint64 round;
        address miner;
        bytes32 cidDigest;
        bytes32 salt;
    }

    struct Genesis {
        uint256 taskId;
        bytes32 spec;
        bytes32 checkpoint;
    }

    /// @param cumulative of each account, in the order of the leaves
    struct Tree {
        uint256 taskId;
        address[] accounts;
        uint128[] cumulative;
    }

    struct Proven {
        bytes32 leaf;
        bytes32 root;
        bytes32[] proof;
    }

    /// @param keys vote keys of the epoch, ascending
    struct Signed {
        address[] keys;
        bytes32 digest;
        bytes signatures;
    }

    INodeRegistry private immutable REGISTRY;

    constructor(address registry_) EIP712("ProofOfTraining", "1") {
        REGISTRY = INodeRegistry(registry_);
    }

    function outcomes(IProofOfTraining.Outcome[] calldata cases) external pure returns (bytes32[2][] memory hashes) {
        hashes = new bytes32[2][](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            bytes32 decision = ProtocolHashes.decisionHash(cases[i]);
            hashes[i] = [decision, ProtocolHashes.outcomeHash(decision, cases[i].rewardsRoot, cases[i].rewardsTotal)];
        }
    }

    function votes(Vote[] calldata cases) external view returns (bytes32[] memory digests) {
        digests = new bytes32[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Vote calldata v = cases[i];
            digests[i] = _hashTypedDataV4(ProtocolHashes.commitHash(v.taskId, v.round, v.epoch, v.viewNumber, v.digest));
        }
    }

    function rotations(Rotation[] calldata cases) external view returns (bytes32[] memory digests) {
        digests = new bytes32[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            digests[i] = REGISTRY.rotationDigest(cases[i].epoch, cases[i].voteKeys);
        }
    }

    function faults(Fault[] calldata cases) external view returns (bytes32[2][] memory digests) {
        digests = new bytes32[2][](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Fault calldata f = cases[i];
            digests[i] = [
                _hashTypedDataV4(Votes.faultHash(Votes.MINER_FAULT_TYPEHASH, f.taskId, f.round, f.miner, f.record)),
                _hashTypedDataV4(
                    Votes.faultHash(Votes.MINER_FAULT_UPHELD_TYPEHASH, f.taskId, f.round, f.miner, f.record)
                )
            ];
        }
    }

    function seals(Sealed[] calldata cases) external view returns (bytes32[] memory made) {
        made = new bytes32[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Sealed calldata s = cases[i];
            made[i] = ProtocolHashes.seal(s.taskId, s.round, s.miner, s.cidDigest, s.salt);
        }
    }

    function heads(Genesis[] calldata cases) external view returns (bytes32[] memory made) {
        made = new bytes32[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            made[i] = ProtocolHashes.genesisHead(cases[i].taskId, cases[i].spec, cases[i].checkpoint);
        }
    }

    function quorums(uint256[] calldata sizes) external pure returns (uint256[2][] memory numbers) {
        numbers = new uint256[2][](sizes.length);
        for (uint256 i = 0; i < sizes.length; ++i) {
            numbers[i] = [Quorum.maxFaulty(sizes[i]), Quorum.quorum(sizes[i])];
        }
    }

    /// @notice The trees as Solidity builds them: roots, and the proof of a leaf of each.
    function trees(Tree[] calldata cases, uint256[] calldata indices) external pure returns (Proven[] memory proven) {
        proven = new Proven[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Tree calldata t = cases[i];
            bytes32[] memory leaves = new bytes32[](t.accounts.length);
            for (uint256 j = 0; j < leaves.length; ++j) {
                leaves[j] = ProtocolHashes.rewardLeaf(t.taskId, t.accounts[j], t.cumulative[j]);
            }
            proven[i] = Proven(leaves[indices[i]], Merkle.root(leaves), Merkle.proof(leaves, indices[i]));
        }
    }

    /// @notice Whether OpenZeppelin's MerkleProof accepts proofs.
    function accepted(Proven[] calldata cases) external pure returns (bool[] memory answers) {
        answers = new bool[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            answers[i] = MerkleProof.verifyCalldata(cases[i].proof, cases[i].root, cases[i].leaf);
        }
    }

    /// @notice Signer bitmaps of certificates; zero for what Certificates refuses.
    function certificates(Signed[] calldata cases) external view returns (uint256[] memory signers) {
        signers = new uint256[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            try this.certificate(cases[i]) returns (uint256 found) {
                signers[i] = found;
            } catch {}
        }
    }

    function certificate(Signed calldata signed) external view returns (uint256) {
        bytes memory keys;
        for (uint256 i = 0; i < signed.keys.length; ++i) {
            keys = bytes.concat(keys, bytes20(signed.keys[i]));
        }
        uint256 size = signed.keys.length;
        return Certificates.verify(keys, size, Quorum.quorum(size), signed.digest, signed.signatures);
    }
}
