// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What a commit reads and writes of a member, in one word.
/// @dev From the high end: seal 192 bits | leftFrom 32 | commitFrom 32. An account that never joined is zero.
type Standing is uint256;

using StandingFields for Standing global;

/// @title StandingFields
/// @notice Access to the fields of a Standing. Changes return a new value, which the caller stores.
library StandingFields {
    /// @notice `leftFrom` of a member that stays.
    uint32 internal constant NEVER = type(uint32).max;

    uint256 private constant LEFT_FROM = 32;
    uint256 private constant MASK = type(uint32).max;

    /// @notice A new member that has made no seal.
    /// @param round first round that it is a member of
    function joined(uint32 round) internal pure returns (Standing) {
        return Standing.wrap(uint256(NEVER) << LEFT_FROM | round);
    }

    /// @notice First round in which the account may commit next.
    function commitFrom(Standing self) internal pure returns (uint32) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint32(Standing.unwrap(self) & MASK); // masked to its width
    }

    /// @notice First round that the account is no longer a member of; NEVER while it stays.
    function leftFrom(Standing self) internal pure returns (uint32) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint32(Standing.unwrap(self) >> LEFT_FROM & MASK); // masked to its width
    }

    /// @notice First bytes of the seal made in a round; zero if there is none or a later one has replaced it.
    function sealIn(Standing self, uint64 round) internal pure returns (bytes24) {
        return commitFrom(self) == uint256(round) + 1 ? bytes24(bytes32(Standing.unwrap(self))) : bytes24(0);
    }

    /// @notice The account, member up to, not including, a round.
    function withLeftFrom(Standing self, uint32 round) internal pure returns (Standing) {
        return Standing.wrap(Standing.unwrap(self) & ~(MASK << LEFT_FROM) | uint256(round) << LEFT_FROM);
    }

    /// @notice The account after its commit in a round.
    /// @param round below `leftFrom`, so that one more fits too
    function committed(Standing self, uint32 round, bytes24 seal) internal pure returns (Standing) {
        unchecked {
            return
                Standing.wrap(uint256(bytes32(seal)) | Standing.unwrap(self) & MASK << LEFT_FROM | uint256(round) + 1);
        }
    }
}
