// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Quorum} from "../src/libraries/Quorum.sol";

/// @notice Properties of the quorum arithmetic.
contract QuorumTest is Base {
    /// @dev Safety: two quorums share more than f members, so at least one honest one.
    function testFuzz_Quorum_TwoQuorumsShareAnHonestMember(uint256 n) public pure {
        n = bound(n, 1, type(uint128).max);
        assertTrue(2 * Quorum.quorum(n) >= n + Quorum.maxFaulty(n) + 1, "intersection");
    }

    /// @dev Liveness: the honest members are a quorum without the faulty ones.
    function testFuzz_Quorum_HonestMembersSuffice(uint256 n) public pure {
        n = bound(n, 1, type(uint128).max);
        assertLe(Quorum.quorum(n), n - Quorum.maxFaulty(n), "reachable");
    }

    /// @dev And no smaller number would be safe.
    function testFuzz_Quorum_IsTheSmallest(uint256 n) public pure {
        n = bound(n, 1, type(uint128).max);
        assertTrue(2 * (Quorum.quorum(n) - 1) < n + Quorum.maxFaulty(n) + 1, "minimal");
    }
}
