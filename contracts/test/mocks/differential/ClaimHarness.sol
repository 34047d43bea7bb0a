// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ProofOfTraining} from "../../../src/ProofOfTraining.sol";

/// @notice ProofOfTraining in any state that a claim can meet: tests/differential compares what it pays with the ledgers.
contract ClaimHarness is ProofOfTraining {
    /// @param head of the task
    /// @param claimed paid to everybody before
    /// @param paid paid to the account before
    struct Claimed {
        Claim request;
        bytes32 head;
        uint96 claimed;
        uint128 paid;
    }

    constructor(address registry_) ProofOfTraining(registry_) {}

    /// @notice What claimMany pays in tasks with these heads and histories.
    function claims(Claimed[] calldata cases) external returns (uint256[] memory amounts) {
        Claim[] memory requests = new Claim[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            Claimed calldata c = cases[i];
            _tasks[c.request.taskId].head = c.head;
            _tasks[c.request.taskId].claimed = c.claimed;
            _claimed[c.request.taskId][c.request.account] = c.paid;
            requests[i] = c.request;
        }
        return this.claimMany(requests);
    }
}
