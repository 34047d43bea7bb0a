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

    /// @param paidBefore what the account has been paid for the task
    /// @param allocated total that the head commits to
    /// @param claimed what all accounts have been paid for the task
    struct Money {
        uint128 paidBefore;
        uint96 allocated;
        uint96 claimed;
        uint96 budget;
    }

    /// @dev A claim pays what is owed within the cap, takes it from nothing but its own task, and raises nobody else's account.
    function check_Claim_PaysWithinTheCap(
        address account,
        address bystander,
        uint128 cumulative,
        Money memory money,
        bytes32 decision
    ) public {
        vm.assume(_isPlain(account) && bystander != account);
        vm.assume(money.claimed <= money.allocated && money.allocated <= money.budget);
        _prepare(account, cumulative, money, decision);
        _pot.putClaimed(TASK, bystander, 7);

        uint256 amount =
            _pot.claim(IProofOfTraining.Claim(TASK, account, cumulative, money.allocated, decision, new bytes32[](0)));

        assert(amount > 0);
        assert(amount <= uint256(cumulative) - money.paidBefore);
        assert(_pot.claimedOf(TASK, account) == uint256(money.paidBefore) + amount);
        assert(_pot.claimedOf(TASK, bystander) == 7);
        assert(account.balance == amount);
        assert(address(_pot).balance == uint256(money.budget) + 5 - amount);
        _checkTask(money, amount);
        (uint96 otherBudget, uint96 otherClaimed,,) = _pot.moneyOf(OTHER);
        assert(otherBudget == 5 && otherClaimed == 0);
    }

    function _prepare(address account, uint128 cumulative, Money memory money, bytes32 decision) private {
        bytes32 root = ProtocolHashes.rewardLeaf(TASK, account, cumulative);
        bytes32 head = _head(decision, root, money.allocated);
        _pot.put(TASK, address(this), uint256(money.allocated) << 160 | 2, money.budget, money.claimed, head);
        _pot.put(OTHER, address(this), 1, 5, 0, keccak256("other"));
        _pot.putClaimed(TASK, account, money.paidBefore);
        vm.deal(address(_pot), uint256(money.budget) + 5);
        vm.deal(account, 0);
    }

    function _checkTask(Money memory money, uint256 amount) private view {
        (uint96 budget, uint96 claimed, uint96 refunded, uint96 allocated) = _pot.moneyOf(TASK);
        assert(uint256(claimed) == uint256(money.claimed) + amount);
        assert(claimed <= allocated);
        assert(budget == money.budget && allocated == money.allocated && refunded == 0);
    }

    /// @dev An account that is neither a contract of this test nor a precompile.
    function _isPlain(address account) private view returns (bool) {
        return
            account != address(_pot) && account != address(this) && account != address(vm) && uint160(account) > 0xffff;
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
        vm.assume(_isPlain(account));
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
        vm.assume(_isPlain(owner));
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
