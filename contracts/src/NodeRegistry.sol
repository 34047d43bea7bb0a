// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {BlsCertificates} from "./libraries/BlsCertificates.sol";
import {BlsKeys} from "./libraries/BlsKeys.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {EpochBlob, EpochHeader} from "./libraries/EpochBlob.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {Delegations} from "./registry/Delegations.sol";
import {Nodes} from "./registry/Nodes.sol";

/// @title NodeRegistry
/// @notice Stakes and keys (Nodes), hot keys (Delegations) and validator epochs. The registry creates no contract but epochs:
///         EpochBlob.at depends on it.
contract NodeRegistry is Nodes, Delegations {
    using BlsKeys for BlsKeys.Book;
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @notice Least number of validators of an epoch: the smallest set that tolerates one fault.
    uint256 public constant MIN_VALIDATORS = 4;
    /// @notice Least number of validators of an epoch that certifies by BLS. Below, ECDSA costs less when a third is absent; when
    ///         nobody is, BLS costs less from 40 on (measured in BlsGas.t.sol).
    uint256 public constant MIN_BLS_VALIDATORS = 47;

    bytes32 private constant ROTATION_TYPEHASH = keccak256("Rotation(uint64 epoch,address[] voteKeys)");

    uint64 private _currentEpoch;

    /// @param config_ see INodeRegistry.Config
    constructor(Config memory config_) Nodes(config_) {}

    /// @inheritdoc INodeRegistry
    // slither-disable-next-line unused-return the address of an epoch follows from its number
    function advanceEpoch(bytes calldata certificate) external returns (uint64 epoch) {
        uint256 size = _bonded.length();
        if (size < MIN_VALIDATORS) revert TooFewValidators(size, MIN_VALIDATORS);
        address[] memory voteKeys = nextValidators();
        epoch = _currentEpoch + 1;
        if (epoch != 1) _authorizeRotation(epoch, voteKeys, certificate);

        (bytes memory keys, Scheme scheme) = _certifyingKeys(voteKeys);
        uint256 quorum = Quorum.quorum(size);
        uint256 expiresAt = block.timestamp + EPOCH_LIFETIME;
        _currentEpoch = epoch;
        EpochBlob.write(
            Epoch({
                size: SafeCast.toUint16(size),
                quorum: SafeCast.toUint16(quorum),
                scheme: scheme,
                startedAt: SafeCast.toUint40(block.timestamp),
                replaceableAt: SafeCast.toUint40(block.timestamp + EPOCH_LENGTH),
                expiresAt: SafeCast.toUint40(expiresAt)
            }),
            voteKeys,
            keys
        );
        emit EpochAdvanced(epoch, quorum, scheme, SafeCast.toUint64(expiresAt), voteKeys);
    }

    /// @inheritdoc INodeRegistry
    function verifyCertificate(uint64 epoch, bytes32 digest, bytes calldata signatures)
        public
        view
        returns (uint256 signers)
    {
        address blob = EpochBlob.at(address(this), epoch);
        EpochHeader header = EpochBlob.read(blob, epoch);
        (uint256 size, uint256 quorum) = (header.size(), header.quorum());
        if (header.scheme() == Scheme.Ecdsa) {
            return Certificates.verify(EpochBlob.readKeys(blob, size), size, quorum, digest, signatures);
        }
        return BlsCertificates.verify(blob, EpochBlob.blsOffset(size), size, quorum, digest, signatures);
    }

    /// @inheritdoc INodeRegistry
    function currentEpoch() external view returns (uint64) {
        return _currentEpoch;
    }

    /// @inheritdoc INodeRegistry
    function epochInfo(uint64 epoch) external view returns (Epoch memory) {
        EpochHeader header = EpochBlob.read(EpochBlob.at(address(this), epoch), epoch);
        return Epoch({
            size: header.size(),
            quorum: header.quorum(),
            scheme: header.scheme(),
            startedAt: header.startedAt(),
            replaceableAt: header.replaceableAt(),
            expiresAt: header.expiresAt()
        });
    }

    /// @inheritdoc INodeRegistry
    function epochValidators(uint64 epoch) external view returns (address[] memory voteKeys) {
        address blob = EpochBlob.at(address(this), epoch);
        uint256 size = EpochBlob.read(blob, epoch).size();
        bytes memory keys = EpochBlob.readKeys(blob, size);
        voteKeys = new address[](size);
        for (uint256 i = 0; i < size; ++i) {
            voteKeys[i] = EpochBlob.keyAt(keys, i);
        }
    }

    /// @inheritdoc INodeRegistry
    // slither-disable-next-line unused-return the list is sorted in place
    function nextValidators() public view returns (address[] memory voteKeys) {
        voteKeys = _bonded.values();
        for (uint256 i = 0; i < voteKeys.length; ++i) {
            voteKeys[i] = _nodes[voteKeys[i]].voteKey;
        }
        Arrays.sort(voteKeys);
    }

    /// @inheritdoc INodeRegistry
    function rotationDigest(uint64 epoch, address[] memory voteKeys) public view returns (bytes32) {
        // EIP-712 hashes an array as its elements in one word each, which is how encodePacked pads them
        bytes32 keys = keccak256(abi.encodePacked(voteKeys));
        return _hashTypedDataV4(keccak256(abi.encode(ROTATION_TYPEHASH, epoch, keys)));
    }

    // ---- internal

    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function _authorizeRotation(uint64 epoch, address[] memory voteKeys, bytes calldata certificate) private view {
        uint64 current = epoch - 1;
        uint64 replaceableAt = EpochBlob.read(EpochBlob.at(address(this), current), current).replaceableAt();
        if (block.timestamp < replaceableAt) revert EpochNotOver(replaceableAt);
        if (block.timestamp < replaceableAt + EPOCH_LENGTH) {
            verifyCertificate(current, rotationDigest(epoch, voteKeys), certificate);
        }
    }

    /// @dev Sum and keys for a BLS epoch, empty for an ECDSA epoch.
    function _certifyingKeys(address[] memory voteKeys) private view returns (bytes memory keys, Scheme scheme) {
        if (voteKeys.length < MIN_BLS_VALIDATORS) return ("", Scheme.Ecdsa);
        for (uint256 i = 0; i < voteKeys.length; ++i) {
            if (!_blsKeys.has(_operators[voteKeys[i]])) return ("", Scheme.Ecdsa);
        }
        bytes[] memory packed = new bytes[](voteKeys.length);
        for (uint256 i = 0; i < voteKeys.length; ++i) {
            packed[i] = _blsKeys.keyOf(_operators[voteKeys[i]]);
        }
        return (BlsCertificates.aggregate(packed), Scheme.Bls);
    }
}
