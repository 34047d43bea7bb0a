// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsEpochFixture} from "./BlsEpochFixture.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Gas of whole transactions of a round that 100 validators certify by BLS: see Gas.t.sol.
contract BlsRoundGasTest is BlsEpochFixture {
    uint256 private constant FAULTY = 33;

    function setUp() public override {
        super.setUp();
        bootBlsEpoch(100);
    }

    function test_Gas_FinalizeRound_Bls67of100() public {
        uint256 absentees;
        for (uint256 i = 0; i < FAULTY; ++i) {
            absentees |= uint256(1) << (3 * i);
        }
        _finalize(absentees, "finalizeRound_bls_67of100", 240_000);
    }

    function test_Gas_FinalizeRound_Bls100of100() public {
        _finalize(0, "finalizeRound_bls_100of100", 200_000);
    }

    function test_Gas_AdvanceEpoch_Bls100() public {
        vm.warp(block.timestamp + 2 * EPOCH_LENGTH);
        registry.advanceEpoch("");
        uint256 used = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint("advanceEpoch_bls_100", used);
        assertGas(used, 7_000_000, "advanceEpoch_bls_100"); // a transaction is limited to 16,777,216 (EIP-7825)
    }

    function test_Gas_RegisterBlsKey() public {
        uint256 voteKey = uint256(keccak256("one more vote key"));
        vm.prank(operator(voteKeys[0]));
        registry.startUnbonding(); // all 100 places are taken
        registerValidator(voteKey);
        registerBlsKey(voteKey);
        uint256 used = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint("registerBlsKey", used);
        assertGas(used, 350_000, "registerBlsKey");
    }

    function _finalize(uint256 absentees, string memory name, uint256 ceiling) private {
        IProofOfTraining.Outcome memory outcome = outcomeOf(runningTask(), keccak256("root"), REWARD);
        IProofOfTraining.Certificate memory certificate = blsCertificate(outcome, absentees);
        pot.finalizeRound(outcome, certificate);
        uint256 used = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint(name, used);
        assertGas(used, ceiling, name);
    }
}
