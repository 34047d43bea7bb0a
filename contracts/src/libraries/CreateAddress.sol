// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title CreateAddress
/// @notice Addresses of contracts made by CREATE.
library CreateAddress {
    /// @notice Where the contract lies that `creator` makes with its nonce `nonce`; a contract's first nonce is 1 (EIP-161).
    /// @dev keccak256 of the RLP list (creator, nonce): 0xd6 0x94 creator nonce, where a nonce of 128 and more has its length in
    ///      front, which makes the list longer. Nonce 0 is encoded otherwise: it gives an address that nothing creates.
    /// @param creator account that creates
    /// @param nonce from 1 to 2^32 - 1
    function compute(address creator, uint64 nonce) internal pure returns (address created) {
        assembly ("memory-safe") {
            // what is narrower than a word may have anything in its high bits here
            let middle := shr(16, shl(96, creator))
            nonce := and(nonce, 0xffffffffffffffff)
            switch lt(nonce, 0x80)
            case 1 {
                mstore(0, or(or(shl(240, 0xd694), middle), shl(72, nonce)))
                created := shr(96, shl(96, keccak256(0, 23)))
            }
            default {
                let length := add(1, add(gt(nonce, 0xff), add(gt(nonce, 0xffff), gt(nonce, 0xffffff))))
                mstore(0, or(or(shl(248, add(0xd6, length)), shl(240, 0x94)), middle))
                mstore8(22, add(0x80, length))
                mstore(23, shl(sub(256, mul(8, length)), nonce))
                created := shr(96, shl(96, keccak256(0, add(23, length))))
            }
        }
    }
}
