// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {BlsHarness} from "./mocks/BlsHarness.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";

/// @notice The cheat codes of Foundry that only the BLS tests use.
interface VmMock {
    function mockCall(address callee, bytes calldata data, bytes calldata returned) external;
    function mockCallRevert(address callee, bytes calldata data, bytes calldata returned) external;
    function clearMockedCalls() external;
}

/// @notice A set of validators with BLS keys, its code as an epoch would store it, and certificates of it.
abstract contract BlsFixture is Base {
    bytes32 internal constant DIGEST = keccak256("what a quorum has decided");
    /// @dev Where the keys begin in the code of the tests: behind a STOP.
    uint256 internal constant OFFSET = 1;
    bytes internal constant INFINITY_G1 = new bytes(128);
    bytes internal constant INFINITY_G2 = new bytes(256);

    BlsHarness internal harness;

    function setUp() public virtual {
        harness = BlsHarness(create(codeOf("BlsHarness", type(BlsHarness).creationCode)));
    }

    function secretOf(uint256 index) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("BLS secret", index))) % BlsSigner.ORDER;
    }

    /// @dev The code of an epoch of `size` validators with the secrets from 0 on.
    function deployEpoch(uint256 size) internal returns (address) {
        bytes[] memory keys = new bytes[](size);
        for (uint256 i = 0; i < size; ++i) {
            keys[i] = BlsSigner.pack(BlsSigner.publicKey(secretOf(i)));
        }
        return harness.deploy(bytes.concat(hex"00", harness.aggregate(keys)));
    }

    /// @dev What all but the absentees sign, by the sum of their secrets.
    function certify(uint256 size, uint256 absentees, bytes32 digest) internal view returns (bytes memory) {
        uint256 secret = 0;
        for (uint256 i = 0; i < size; ++i) {
            if ((absentees >> i) & 1 == 0) secret = addmod(secret, secretOf(i), BlsSigner.ORDER);
        }
        return bytes.concat(bitmap(size, absentees), BlsSigner.sign(Bls12381.VOTE, digest, secret));
    }

    function bitmap(uint256 size, uint256 absentees) internal pure returns (bytes memory bits) {
        bits = new bytes((size + 7) / 8);
        for (uint256 i = 0; i < bits.length; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast)
            bits[i] = bytes1(uint8(absentees >> (8 * i))); // the lowest byte of what is left
        }
    }

    /// @dev `count` absentees spread over the set.
    function spread(uint256 size, uint256 count) internal pure returns (uint256 absentees) {
        for (uint256 i = 0; i < count; ++i) {
            absentees |= uint256(1) << (size * i / count);
        }
    }

    function allOf(uint256 size) internal pure returns (uint256) {
        return size == 0 ? 0 : type(uint256).max >> (256 - size);
    }

    function possessionOf(uint256 secret, bytes32 digest) internal view returns (bytes memory) {
        return BlsSigner.sign(Bls12381.POSSESSION, digest, secret);
    }

    /// @dev What binds a possession to an operator; a registry takes an EIP-712 digest.
    function digestOf(address operator) internal pure returns (bytes32) {
        return keccak256(abi.encode("possession", operator));
    }

    function flip(bytes memory data, uint256 bit) internal pure returns (bytes memory flipped) {
        flipped = bytes.concat(data);
        flipped[bit / 8] ^= bytes1(uint8(1)) << (bit % 8);
    }
}
