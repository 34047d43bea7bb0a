// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBlsErrors} from "../../src/interfaces/IBlsErrors.sol";
import {Bls12381, G2} from "../../src/libraries/Bls12381.sol";
import {BlsCertificates} from "../../src/libraries/BlsCertificates.sol";
import {BlsKeys} from "../../src/libraries/BlsKeys.sol";
import {Certificates} from "../../src/libraries/Certificates.sol";

/// @notice The BLS libraries in reach of the tests, as a registry would use them.
contract BlsHarness is IBlsErrors {
    using BlsKeys for BlsKeys.Book;

    BlsKeys.Book private _book;

    // ---- Bls12381

    function hashToG1(bytes32 domain, bytes32 digest) external view returns (bytes memory) {
        return Bls12381.hashToG1(domain, digest);
    }

    function verify(bytes32 domain, bytes32 digest, bytes calldata key, bytes calldata signature)
        external
        view
        returns (bool)
    {
        return Bls12381.verify(domain, digest, Bls12381.load(key), signature);
    }

    function negate(bytes calldata key) external pure returns (bytes memory) {
        G2 point = Bls12381.load(key);
        Bls12381.negate(point);
        return _encode(point);
    }

    function isInfinite(bytes calldata key) external pure returns (bool) {
        return Bls12381.isInfinite(Bls12381.load(key));
    }

    function pack(bytes calldata key) external pure returns (bytes memory) {
        return Bls12381.pack(Bls12381.load(key));
    }

    function add(bytes memory a, bytes memory b) external view returns (bytes memory) {
        (G2 sum, G2 term) = Bls12381.newSum();
        Bls12381.unpack(a, sum);
        Bls12381.unpack(b, term);
        Bls12381.accumulate(sum);
        return _encode(sum);
    }

    function _encode(G2 point) private pure returns (bytes memory encoded) {
        encoded = new bytes(256);
        assembly ("memory-safe") {
            mcopy(add(encoded, 32), point, 256)
        }
    }

    // ---- BlsKeys

    function register(address operator, bytes calldata key, bytes calldata possession, bytes32 digest) external {
        _book.register(operator, key, possession, digest);
    }

    function remove(address operator) external {
        _book.remove(operator);
    }

    function keyOf(address operator) external view returns (bytes memory) {
        return _book.keyOf(operator);
    }

    function has(address operator) external view returns (bool) {
        return _book.has(operator);
    }

    // ---- certificates

    function aggregate(bytes[] memory keys) external view returns (bytes memory) {
        return BlsCertificates.aggregate(keys);
    }

    function verifyBls(
        address blob,
        uint256 offset,
        uint256 size,
        uint256 quorum,
        bytes32 digest,
        bytes calldata certificate
    ) external view returns (uint256 signers) {
        return BlsCertificates.verify(blob, offset, size, quorum, digest, certificate);
    }

    /// @dev The counterpart with ECDSA: `size` addresses of 20 bytes behind `offset`.
    function verifyEcdsa(
        address blob,
        uint256 offset,
        uint256 size,
        uint256 quorum,
        bytes32 digest,
        bytes calldata certificate
    ) external view returns (uint256 signers) {
        bytes memory keys = new bytes(20 * size);
        assembly ("memory-safe") {
            extcodecopy(blob, add(keys, 32), offset, mload(keys))
        }
        return Certificates.verify(keys, size, quorum, digest, certificate);
    }

    /// @notice A contract with this code.
    function deploy(bytes memory code) external returns (address blob) {
        // PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY, RETURNDATASIZE, RETURN
        bytes memory initCode = abi.encodePacked(hex"61", uint16(code.length), hex"80600a3d393df3", code);
        assembly ("memory-safe") {
            blob := create(0, add(initCode, 32), mload(initCode))
        }
    }
}
