// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {Merkle} from "./Merkle.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Gas of whole transactions: run with `forge test --isolate --match-contract GasTest -vv`.
/// @dev Without `--isolate` the figures leave out the 21,000 of a transaction and its call data, and count slots that an earlier
///      call of the same test has touched as warm; the ceilings hold in both ways.
contract GasTest is Fixture {
    uint128 private constant LEAVES = 1000;

    bytes32[] private _leaves;

    function test_Gas_CommitGradient() public {
        uint256 taskId = runningTask();
        _commit(taskId, "commitGradient, first of the miner", 33_000);
        finalize(taskId, bytes32(0), 0);
        _commit(taskId, "commitGradient, later", 33_000);
    }

    function test_Gas_FinalizeRound_3of4() public {
        uint256 taskId = runningTask();
        _finalize(taskId, "finalizeRound 3 of 4, first", 115_000);
        _finalize(taskId, "finalizeRound 3 of 4, later", 98_500);
    }

    function test_Gas_FinalizeRound_67of100() public {
        bootEpoch(100);
        uint256 taskId = runningTask();
        _finalize(taskId, "finalizeRound 67 of 100, first", 446_000);
        _finalize(taskId, "finalizeRound 67 of 100, later", 430_000);
    }

    function test_Gas_Claim_TreeOf1000() public {
        uint256 taskId = createTokenTask();
        start(taskId);
        _finalizeTree(taskId, 1);
        _claim(taskId, 1, "claim ERC-20, tree of 1,000, first", 99_000);
        _finalizeTree(taskId, 2);
        _claim(taskId, 2, "claim ERC-20, tree of 1,000, again", 65_000);
    }

    function test_Gas_CreateAndJoin() public {
        bootEpoch(4);
        IProofOfTraining.TaskParams memory params = defaultParams();
        vm.prank(owner);
        uint256 taskId = pot.createTask{value: BUDGET}(params);
        _report("createTask, native", 285_000);
        join(taskId, newMiner());
        _report("join, open", 63_000);
        join(taskId, newMiner());
        _report("join, starts the task", 96_000);
    }

    function test_Gas_AdvanceEpoch() public {
        bootEpoch(100);
        _report("advanceEpoch, 100 validators", 900_000);
    }

    function _commit(uint256 taskId, string memory name, uint256 ceiling) private {
        uint64 round = pot.task(taskId).round;
        bytes32 seal = sealFor(taskId, round, miners[0], keccak256("cid"), keccak256("salt"));
        vm.prank(miners[0]);
        pot.commitGradient(taskId, round, seal);
        _report(name, ceiling);
    }

    function _finalize(uint256 taskId, string memory name, uint256 ceiling) private {
        IProofOfTraining.Outcome memory outcome = outcomeOf(taskId, keccak256(abi.encode(name)), REWARD);
        IProofOfTraining.Certificate memory certificate = certify(outcome, quorum());
        pot.finalizeRound(outcome, certificate);
        _report(name, ceiling);
        lastOutcome[taskId] = outcome;
    }

    function _finalizeTree(uint256 taskId, uint256 unit) private {
        delete _leaves;
        for (uint256 i = 0; i < LEAVES; ++i) {
            _leaves.push(Merkle.leaf(taskId, _earner(i), unit * 1e12));
        }
        finalize(taskId, Merkle.root(_leaves), LEAVES * 1e12);
    }

    function _claim(uint256 taskId, uint128 unit, string memory name, uint256 ceiling) private {
        bytes32[] memory proof = Merkle.proof(_leaves, 500);
        assertEq(proof.length, 10, "depth of the tree");
        IProofOfTraining.Claim memory request = claimOf(taskId, _earner(500), unit * 1e12, proof);
        pot.claim(request);
        _report(name, ceiling);
    }

    function _earner(uint256 i) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("earner", i)))));
    }

    function _report(string memory name, uint256 ceiling) private {
        uint256 used = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint(name, used);
        assertLe(used, ceiling, name);
    }
}
