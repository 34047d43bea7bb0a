// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsSigner} from "./BlsSigner.sol";
import {Fixture} from "./Fixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";

/// @notice A network whose validators have BLS keys.
abstract contract BlsEpochFixture is Fixture {
    function blsSecret(uint256 voteKey) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("BLS", voteKey))) % BlsSigner.ORDER;
    }

    function blsPossession(uint256 secret, address forOperator) internal view returns (bytes memory) {
        return BlsSigner.sign(Bls12381.POSSESSION, ownershipDigest(forOperator), secret);
    }

    function registerBlsKey(uint256 voteKey) internal {
        address who = operator(voteKey);
        bytes memory key = BlsSigner.publicKey(blsSecret(voteKey));
        bytes memory proof = blsPossession(blsSecret(voteKey), who);
        vm.prank(who);
        registry.registerBlsKey(key, proof);
    }

    /// @dev `bootEpoch` and, when the time has come, a second epoch in which everybody has a BLS key.
    function bootBlsEpoch(uint256 count) internal {
        bootEpoch(count);
        for (uint256 i = 0; i < count; ++i) {
            registerBlsKey(voteKeys[i]);
        }
        vm.warp(block.timestamp + 2 * EPOCH_LENGTH);
        registry.advanceEpoch("");
    }

    /// @dev By all validators of the epoch but those in the bitmap `absentees`, in view 0.
    function blsCertificate(IProofOfTraining.Outcome memory outcome, uint256 absentees)
        internal
        view
        returns (IProofOfTraining.Certificate memory)
    {
        uint64 epoch = pot.task(outcome.taskId).epoch;
        bytes32 digest = pot.commitDigest(outcome.taskId, outcome.round, epoch, 0, pot.outcomeDigest(outcome));
        return IProofOfTraining.Certificate({epoch: epoch, viewNumber: 0, signatures: blsSignatures(digest, absentees)});
    }

    /// @dev The sum of the signatures is the signature of the sum of the secrets.
    function blsSignatures(bytes32 digest, uint256 absentees) internal view returns (bytes memory) {
        uint256 size = voteKeys.length;
        bytes memory bitmap = new bytes((size + 7) / 8);
        uint256 secret = 0;
        for (uint256 i = 0; i < size; ++i) {
            if (absentees >> i & 1 == 0) secret = addmod(secret, blsSecret(voteKeys[i]), BlsSigner.ORDER);
            else bitmap[i / 8] |= bytes1(uint8(1)) << (i % 8);
        }
        return bytes.concat(bitmap, BlsSigner.sign(Bls12381.VOTE, digest, secret));
    }
}
