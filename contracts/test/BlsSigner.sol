// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bls12381} from "../src/libraries/Bls12381.sol";

/// @title BlsSigner
/// @notice Makes real BLS keys and signatures inside forge: multiplications by a secret are the MSM precompiles.
/// @dev Points are `bytes` in the encoding of EIP-2537, as a node sends them. What is signed is hashed by the library under
///      test, which BlsVectors.t.sol compares with an independent implementation.
library BlsSigner {
    /// @notice Order of the subgroups.
    uint256 internal constant ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

    bytes internal constant GENERATOR = bytes.concat(
        hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8",
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e",
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801",
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be"
    );

    error PrecompileRefused(address precompile);

    /// @notice The public key of a secret, 256 bytes.
    function publicKey(uint256 secret) internal view returns (bytes memory) {
        return _run(address(0x0e), bytes.concat(GENERATOR, bytes32(secret)));
    }

    /// @notice A signature, 128 bytes. That of a sum of secrets is the sum of their signatures.
    function sign(bytes32 domain, bytes32 digest, uint256 secret) internal view returns (bytes memory) {
        return _run(address(0x0c), bytes.concat(Bls12381.hashToG1(domain, digest), bytes32(secret)));
    }

    /// @notice The sum of two signatures.
    function add(bytes memory a, bytes memory b) internal view returns (bytes memory) {
        return _run(address(0x0b), bytes.concat(a, b));
    }

    /// @notice The sum of two keys.
    function addKeys(bytes memory a, bytes memory b) internal view returns (bytes memory) {
        return _run(address(0x0d), bytes.concat(a, b));
    }

    /// @notice A key without its padding, 192 bytes.
    function pack(bytes memory key) internal pure returns (bytes memory packed) {
        packed = new bytes(192);
        for (uint256 i = 0; i < 4; ++i) {
            assembly ("memory-safe") {
                mcopy(add(add(packed, 32), mul(48, i)), add(add(key, 48), mul(64, i)), 48)
            }
        }
    }

    function _run(address precompile, bytes memory input) private view returns (bytes memory output) {
        bool success;
        (success, output) = precompile.staticcall(input);
        if (!success || output.length == 0) revert PrecompileRefused(precompile);
    }
}
