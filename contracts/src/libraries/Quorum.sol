// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Quorum
/// @notice Byzantine quorum arithmetic.
library Quorum {
    /// @notice Most validators of a set that may be Byzantine: ⌊(n - 1) / 3⌋.
    /// @param n size of the set, at least 1
    function maxFaulty(uint256 n) internal pure returns (uint256) {
        return (n - 1) / 3;
    }

    /// @notice Votes that decide: ⌊(n + f) / 2⌋ + 1.
    /// @dev The smallest number of which any two sets share more than f members. 2f + 1 has that property only where
    ///      n = 3f + 1; elsewhere two quorums could share f members, all of them faulty.
    /// @param n size of the set, at least 1
    function quorum(uint256 n) internal pure returns (uint256) {
        return (n + maxFaulty(n)) / 2 + 1;
    }
}
