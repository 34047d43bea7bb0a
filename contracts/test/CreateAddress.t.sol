// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {CreateAddress} from "../src/libraries/CreateAddress.sol";

/// @notice The address of a contract, computed and real.
contract CreateAddressTest is Base {
    /// @dev On both sides of every nonce at which the RLP encoding changes.
    function test_CreateAddress_IsWhereCreatePutsIt() public {
        uint64[12] memory nonces = [
            1,
            2,
            127,
            128,
            255,
            256,
            65_535,
            65_536,
            (uint64(1) << 24) - 1,
            uint64(1) << 24,
            uint64(1) << 31,
            (uint64(1) << 32) - 1
        ];
        Creator creator = new Creator();
        for (uint256 i = 0; i < nonces.length; ++i) {
            vm.setNonce(address(creator), nonces[i]);
            assertEq(CreateAddress.compute(address(creator), nonces[i]), creator.create(), "address");
        }
    }

    function testFuzz_CreateAddress_EqualsTheCheatCode(address creator, uint64 nonce, uint256 width) public pure {
        nonce = uint64(bound(nonce >> bound(width, 32, 63), 1, type(uint32).max));
        assertEq(CreateAddress.compute(creator, nonce), vm.computeCreateAddress(creator, nonce), "address");
    }

    /// @dev What the caller keeps above the 20 bytes of an address or the 8 of a nonce is none of its business.
    function testFuzz_CreateAddress_IgnoresDirtyBits(address creator, uint64 nonce, uint256 dirt) public pure {
        nonce = uint64(bound(nonce, 1, type(uint32).max));
        address dirtyCreator;
        uint64 dirtyNonce;
        assembly ("memory-safe") {
            dirtyCreator := or(creator, shl(160, dirt))
            dirtyNonce := or(nonce, shl(64, dirt))
        }
        address expected = vm.computeCreateAddress(creator, nonce);
        assertEq(CreateAddress.compute(dirtyCreator, dirtyNonce), expected, "address");
    }

    /// @dev The hash has 32 bytes, the address 20: nothing above them may be left.
    function testFuzz_CreateAddress_IsClean(address creator, uint64 nonce) public pure {
        address created = CreateAddress.compute(creator, nonce);
        uint256 above;
        assembly ("memory-safe") {
            above := shr(160, created)
        }
        assertEq(above, 0, "clean");
    }

    /// @dev Nonce 0 has another encoding, so no epoch 0 can be found where something lies.
    function testFuzz_CreateAddress_OfNonceZeroIsOfNothing(address creator) public pure {
        assertFalse(CreateAddress.compute(creator, 0) == vm.computeCreateAddress(creator, 0), "not a created contract");
    }
}

/// @notice Creates empty contracts.
contract Creator {
    function create() external returns (address created) {
        assembly ("memory-safe") {
            created := create(0, 0, 0)
        }
    }
}
