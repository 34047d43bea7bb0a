// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IProofOfTraining} from "../../src/interfaces/IProofOfTraining.sol";
import {ProofOfTraining} from "../../src/ProofOfTraining.sol";
import {ProtocolHashes} from "../../src/libraries/ProtocolHashes.sol";
import {Tasks} from "../../src/libraries/Tasks.sol";
import {Round} from "../../src/types/Round.sol";
import {Base} from "../Base.sol";

/// @notice ProofOfTraining in a state of the prover's choice.
contract ProofOfTrainingInState is ProofOfTraining {
    constructor(address registry_) ProofOfTraining(registry_) {}

    function put(uint256 taskId, address owner, uint256 round, uint96 budget, uint96 claimed, bytes32 head) external {
        Tasks.Data storage t = _tasks[taskId];
        t.owner = owner;
        t.round = Round.wrap(round);
        t.budget = budget;
        t.claimed = claimed;
        t.head = head;
    }

    function putClaimed(uint256 taskId, address account, uint128 amount) external {
        _claimed[taskId][account] = amount;
    }

    function moneyOf(uint256 taskId)
        external
        view
        returns (uint96 budget, uint96 claimed, uint96 refunded, uint96 allocated)
    {
        Tasks.Data storage t = _tasks[taskId];
        return (t.budget, t.claimed, t.refunded, t.round.allocated());
    }
}

/// @notice Proofs, for every amount and every state that the contract can be in, about the functions that pay. Run by halmos.
contract MoneySymbolicTest is Base {
    uint256 private constant TASK = 1;
    uint256 private constant OTHER = 2;

    ProofOfTrainingInState private _pot;

    function setUp() public {
        _pot = new ProofOfTrainingInState(address(this));
    }

    /// @dev A claim pays what is owed within the cap, takes it from nothing but its own task, and raises nobody else's account.
    function check_Claim_PaysWithinTheCap(
        address account,
        address bystander,
        uint128 cumulative,
        uint128 paidBefore,
        uint96 allocated,
        uint96 claimed,
        uint96 budget,
        bytes32 decision
    ) public {
        vm.assume(
            account != address(_pot) && account != address(this) && account != address(vm) && uint160(account) > 0xffff
        );
        vm.assume(bystander != account);
        vm.assume(claimed <= allocated && allocated <= budget);
        bytes32 root = ProtocolHashes.rewardLeaf(TASK, account, cumulative);
        _pot.put(TASK, address(this), uint256(allocated) << 160 | 2, budget, claimed, _head(decision, root, allocated));
        _pot.put(OTHER, address(this), 1, 5, 0, keccak256("other"));
        _pot.putClaimed(TASK, account, paidBefore);
        _pot.putClaimed(TASK, bystander, 7);
        vm.deal(address(_pot), uint256(budget) + 5);
        vm.deal(account, 0);

        IProofOfTraining.Claim memory request =
            IProofOfTraining.Claim(TASK, account, cumulative, allocated, decision, new bytes32[](0));
        uint256 amount = _pot.claim(request);

        (uint96 budgetAfter, uint96 claimedAfter, uint96 refunded, uint96 allocatedAfter) = _pot.moneyOf(TASK);
        assert(amount > 0);
        assert(amount <= uint256(cumulative) - paidBefore);
        assert(uint256(claimedAfter) == uint256(claimed) + amount);
        assert(claimedAfter <= allocatedAfter);
        assert(budgetAfter == budget && allocatedAfter == allocated && refunded == 0);
        assert(_pot.claimedOf(TASK, account) == uint256(paidBefore) + amount);
        assert(_pot.claimedOf(TASK, bystander) == 7);
        assert(account.balance == amount);
        assert(address(_pot).balance == uint256(budget) + 5 - amount);
        (uint96 otherBudget, uint96 otherClaimed,,) = _pot.moneyOf(OTHER);
        assert(otherBudget == 5 && otherClaimed == 0);
    }

    /// @dev No claim succeeds whose leaf, total or decision is not what the head commits to.
    function check_Claim_NeedsItsLeafInTheHead(
        address account,
        uint128 cumulative,
        address otherAccount,
        uint128 otherCumulative,
        uint96 allocated,
        uint128 total,
        bytes32 decision,
        bytes32 otherDecision
    ) public {
        vm.assume(
            account != otherAccount || cumulative != otherCumulative || total != allocated || decision != otherDecision
        );
        bytes32 root = ProtocolHashes.rewardLeaf(TASK, account, cumulative);
        _pot.put(TASK, address(this), uint256(allocated) << 160 | 2, allocated, 0, _head(decision, root, allocated));
        vm.deal(address(_pot), allocated);
        IProofOfTraining.Claim memory request =
            IProofOfTraining.Claim(TASK, otherAccount, otherCumulative, total, otherDecision, new bytes32[](0));
        (bool success,) = address(_pot).call(abi.encodeCall(_pot.claim, (request)));
        assert(!success);
    }

    /// @dev What has been claimed cannot be claimed again with the same leaf.
    function check_Claim_NeverTwice(address account, uint128 cumulative, uint96 allocated, bytes32 decision) public {
        vm.assume(
            account != address(_pot) && account != address(this) && account != address(vm) && uint160(account) > 0xffff
        );
        vm.assume(cumulative <= allocated);
        bytes32 root = ProtocolHashes.rewardLeaf(TASK, account, cumulative);
        _pot.put(TASK, address(this), uint256(allocated) << 160 | 2, allocated, 0, _head(decision, root, allocated));
        vm.deal(address(_pot), uint256(allocated) * 2);
        IProofOfTraining.Claim memory request =
            IProofOfTraining.Claim(TASK, account, cumulative, allocated, decision, new bytes32[](0));
        _pot.claim(request);
        (bool success,) = address(_pot).call(abi.encodeCall(_pot.claim, (request)));
        assert(!success);
    }

    /// @dev The refund gives the owner what no round has earned, never what was earned, and once.
    function check_Refund_PaysTheUnallocatedOnce(
        address owner,
        uint96 budget,
        uint96 allocated,
        uint96 claimed,
        uint8 state
    ) public {
        vm.assume(owner != address(_pot) && owner != address(this) && owner != address(vm) && uint160(owner) > 0xffff);
        vm.assume(claimed <= allocated && allocated <= budget && state <= uint8(type(IProofOfTraining.TaskState).max));
        _pot.put(TASK, owner, uint256(allocated) << 160 | state, budget, claimed, keccak256("head"));
        uint256 held = uint256(budget) - claimed;
        vm.deal(address(_pot), held);
        vm.deal(owner, 0);
        uint256 amount = _pot.refund(TASK);

        // only an ended task is refunded
        assert(state > uint8(IProofOfTraining.TaskState.Running));
        assert(amount == uint256(budget) - allocated);
        assert(owner.balance == amount);
        // what the earners have not fetched yet is still there
        assert(address(_pot).balance == uint256(allocated) - claimed);
        (,, uint96 refunded,) = _pot.moneyOf(TASK);
        assert(refunded == amount);
        (bool again,) = address(_pot).call(abi.encodeCall(_pot.refund, (TASK)));
        assert(!again);
    }

    function _head(bytes32 decision, bytes32 root, uint128 total) private pure returns (bytes32) {
        return ProtocolHashes.outcomeHash(decision, root, total);
    }
}
