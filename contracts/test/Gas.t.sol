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
        _commit(taskId, "commitGradient", 32_293);
        finalize(taskId, bytes32(0), 0);
        _commit(taskId, "commitGradient_later", 32_305);
    }

    function test_Gas_FinalizeRound_3of4() public {
        uint256 taskId = runningTask();
        _finalize(taskId, "finalizeRound_ecdsa_3of4", 62_159);
        _finalize(taskId, "finalizeRound_ecdsa_3of4_later", 62_147);
    }

    function test_Gas_FinalizeRound_67of100() public {
        bootEpoch(100);
        uint256 taskId = runningTask();
        _finalize(taskId, "finalizeRound_ecdsa_67of100", 352_346);
        _finalize(taskId, "finalizeRound_ecdsa_67of100_later", 352_467);
    }

    function test_Gas_Claim_TreeOf1000() public {
        uint256 taskId = createTokenTask();
        start(taskId);
        _finalizeTree(taskId, 1);
        _claim(taskId, 1, "claim_first_1000", 97_285);
        _finalizeTree(taskId, 2);
        _claim(taskId, 2, "claim_again_1000", 62_709);
    }

    /// @dev Ten tasks of one account in one transaction, a tree of one leaf each.
    function test_Gas_ClaimMany_10() public {
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](10);
        for (uint256 i = 0; i < 10; ++i) {
            uint256 taskId = createTokenTask();
            start(taskId);
            finalizeFor(taskId, _earner(0), REWARD);
            requests[i] = claimOf(taskId, _earner(0), REWARD, noProof());
        }
        pot.claimMany(requests);
        _report("claimMany_10", 444_698);
    }

    function test_Gas_RevealGradient() public {
        uint256 taskId = runningTask();
        bytes32 seal = sealFor(taskId, 0, miners[0], keccak256("cid"), keccak256("salt"));
        vm.prank(miners[0]);
        pot.commitGradient(taskId, 0, seal);
        vm.prank(miners[0]);
        pot.revealGradient(taskId, 0, keccak256("cid"), keccak256("salt"));
        _report("revealGradient", 58_827);
    }

    function test_Gas_TaskLife() public {
        bootEpoch(4);
        IProofOfTraining.TaskParams memory params = defaultParams();
        vm.prank(owner);
        uint256 taskId = pot.createTask{value: BUDGET}(params);
        _report("createTask", 216_677);
        join(taskId, newMiner());
        _report("join", 60_029);
        join(taskId, newMiner());
        _report("join_starting", 72_925);
        join(taskId, newMiner());
        _report("join_running", 82_437);
        vm.prank(miners[2]);
        pot.leave(taskId);
        _report("leave", 37_016);
        skip(taskId);
        _report("skipRound", 42_103);
        vm.prank(owner);
        pot.cancelTask(taskId);
        _report("cancelTask", 31_094);
        skip(taskId);
        pot.refund(taskId);
        _report("refund", 45_297);
    }

    function test_Gas_Node() public {
        address miner = newMiner();
        _report("registerMiner", 49_895);
        registerValidator(1);
        _report("registerValidator", 190_205);
        vm.deal(miner, 2 ether);
        vm.prank(miner);
        registry.addStake{value: 1 ether}();
        _report("addStake", 28_900);
        vm.prank(miner);
        registry.authorizeDelegate{value: 1 ether}(stranger, uint64(block.timestamp) + 1 days);
        _report("authorizeDelegate", 47_471);
        vm.prank(stranger);
        registry.drawAllowance(miner, 0.5 ether);
        _report("drawAllowance", 36_941);
        vm.prank(miner);
        registry.startUnbonding();
        _report("startUnbonding", 31_516);
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(miner);
        registry.withdrawStake();
        _report("withdrawStake", 51_300);
    }

    /// @dev The dearest registration: the set is full and the lowest must be found.
    function test_Gas_RegisterValidator_Displacing() public {
        for (uint256 key = 1; key <= 100; ++key) {
            registerValidator(key);
        }
        address who = operator(101);
        vm.deal(who, VALIDATOR_STAKE + 1);
        bytes memory proof = possession(101, who);
        vm.prank(who);
        registry.registerValidator{value: VALIDATOR_STAKE + 1}(vm.addr(101), proof, "http://127.0.0.1:9000");
        _report("registerValidator_displacing", 630_087);
    }

    function test_Gas_AdvanceEpoch() public {
        bootEpoch(100);
        _report("advanceEpoch_100", 1_126_139);
        rotate();
        _report("advanceEpoch_100_certified", 1_428_136);
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
        assertGas(used, ceiling, name);
    }
}
