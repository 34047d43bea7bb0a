// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {Merkle} from "./Merkle.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Claims and refunds: every wei of a budget goes to an earner or back to the owner.
contract RewardsTest is Fixture {
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);

    uint256 private _taskId;

    function setUp() public override {
        super.setUp();
        _taskId = runningTask();
    }

    // ---- claim

    function test_Claim_NativePaysTheAccount() public {
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        IProofOfTraining.Claim memory request = claimOf(_taskId, ALICE, cumulative, noProof());
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RewardClaimed(_taskId, ALICE, REWARD, REWARD);
        vm.prank(stranger); // anybody may call: the money goes to the account of the leaf
        uint256 amount = pot.claim(request);

        assertEq(amount, REWARD, "amount");
        assertEq(ALICE.balance, REWARD, "paid");
        assertEq(stranger.balance, 0, "the caller gets nothing");
        assertEq(pot.claimedOf(_taskId, ALICE), REWARD, "claimedOf");
        assertEq(pot.task(_taskId).claimed, REWARD, "claimed");
        assertEq(address(pot).balance, BUDGET - REWARD, "still held");
    }

    function test_Claim_Erc20PaysTheAccount() public {
        uint256 taskId = createTokenTask();
        join(taskId, miners[0]);
        join(taskId, miners[1]);
        uint128 cumulative = finalizeFor(taskId, ALICE, REWARD);
        claimFor(taskId, ALICE, cumulative, noProof());
        assertEq(token.balanceOf(ALICE), REWARD, "paid");
        assertEq(token.balanceOf(address(pot)), BUDGET - REWARD, "still held");
        assertEq(address(pot).balance, BUDGET, "the native task is untouched");
    }

    function test_Claim_OncePaysForManyRounds() public {
        finalizeFor(_taskId, ALICE, REWARD);
        finalizeFor(_taskId, ALICE, REWARD);
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        assertEq(claimFor(_taskId, ALICE, cumulative, noProof()), 3 * REWARD, "three rounds");
    }

    function test_Claim_LaterPaysTheDifference() public {
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        claimFor(_taskId, ALICE, cumulative, noProof());
        cumulative = finalizeFor(_taskId, ALICE, REWARD / 3);
        IProofOfTraining.Claim memory request = claimOf(_taskId, ALICE, cumulative, noProof());
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RewardClaimed(_taskId, ALICE, REWARD / 3, cumulative);
        assertEq(pot.claim(request), REWARD / 3, "difference");
    }

    function test_Claim_YearsAfterTheEnd() public {
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        _cancelAndEnd();
        pot.refund(_taskId);
        vm.warp(block.timestamp + 3650 days);
        claimFor(_taskId, ALICE, cumulative, noProof());
        assertEq(ALICE.balance, REWARD, "paid");
        assertEq(address(pot).balance, 0, "nothing left");
    }

    /// @dev Leaves that add up to more than the certified total: first come, first served, up to the total and no
    ///      further. Neither the owner's part nor another task's escrow is touched.
    function test_Claim_TreeThatPromisesTooMuchIsCappedAtTheAllocation() public {
        uint256 other = createTask();
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = Merkle.leaf(_taskId, ALICE, REWARD);
        leaves[1] = Merkle.leaf(_taskId, BOB, REWARD);
        finalize(_taskId, Merkle.root(leaves), REWARD); // the leaves add up to twice that
        assertEq(claimFor(_taskId, ALICE, REWARD, Merkle.proof(leaves, 0)), REWARD, "the first gets all");
        bytes32[] memory proof = Merkle.proof(leaves, 1);
        expectRefusal(
            claimOf(_taskId, BOB, REWARD, proof),
            abi.encodeWithSelector(IProofOfTraining.NothingToClaim.selector, _taskId, BOB, 0)
        );

        // the next round allocates half a reward more: so much of his leaf can be paid
        finalize(_taskId, Merkle.root(leaves), REWARD / 2);
        assertEq(claimFor(_taskId, BOB, REWARD, proof), REWARD / 2, "what is there");
        assertEq(pot.claimedOf(_taskId, BOB), REWARD / 2, "the rest stays owed");
        assertEq(address(pot).balance, 2 * uint256(BUDGET) - REWARD - REWARD / 2, "escrow of both tasks");
        assertEq(pot.task(other).params.budget, BUDGET, "the other task");
    }

    function test_Claim_RevertWhen_TaskUnknown() public {
        expectRefusal(
            claimOf(99, ALICE, 1, noProof()),
            abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, 99, ALICE, 1)
        );
    }

    function test_Claim_RevertWhen_NothingIsFinal() public {
        expectRefusal(
            claimOf(_taskId, ALICE, 1, noProof()),
            abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, ALICE, 1)
        );
    }

    function test_Claim_RevertWhen_Twice() public {
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        claimFor(_taskId, ALICE, cumulative, noProof());
        expectRefusal(
            claimOf(_taskId, ALICE, cumulative, noProof()),
            abi.encodeWithSelector(IProofOfTraining.NothingToClaim.selector, _taskId, ALICE, REWARD)
        );
    }

    function test_Claim_RevertWhen_LeafIsBelowWhatWasPaid() public {
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        claimFor(_taskId, ALICE, cumulative, noProof());
        finalize(_taskId, Merkle.leaf(_taskId, ALICE, REWARD - 1), 0);
        expectRefusal(
            claimOf(_taskId, ALICE, REWARD - 1, noProof()),
            abi.encodeWithSelector(IProofOfTraining.NothingToClaim.selector, _taskId, ALICE, REWARD)
        );
    }

    function test_Claim_RevertWhen_LeafIsOfAnotherAccount() public {
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        expectRefusal(
            claimOf(_taskId, BOB, cumulative, noProof()),
            abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, BOB, cumulative)
        );
    }

    function test_Claim_RevertWhen_LeafIsOfAnotherTask() public {
        uint256 other = createTask();
        join(other, miners[0]);
        join(other, miners[1]);
        finalize(other, Merkle.leaf(_taskId, ALICE, REWARD), REWARD);
        expectRefusal(
            claimOf(other, ALICE, REWARD, noProof()),
            abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, other, ALICE, REWARD)
        );
    }

    function test_Claim_RevertWhen_RootWasReplaced() public {
        finalizeFor(_taskId, ALICE, REWARD);
        IProofOfTraining.Claim memory old = claimOf(_taskId, ALICE, REWARD, noProof());
        finalizeFor(_taskId, ALICE, REWARD);
        expectRefusal(old, abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, ALICE, REWARD));
        expectRefusal(
            claimOf(_taskId, ALICE, REWARD, noProof()),
            abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, ALICE, REWARD)
        );
    }

    /// @dev An inner node presented as a leaf: leaves are hashed twice, so its pre-image is no (task, account, amount).
    function test_Claim_RevertWhen_AnInnerNodeIsShownAsALeaf() public {
        bytes32[] memory leaves = new bytes32[](4);
        for (uint160 i = 0; i < 4; ++i) {
            leaves[i] = Merkle.leaf(_taskId, address(i + 1), REWARD / 4);
        }
        finalize(_taskId, Merkle.root(leaves), REWARD);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = Merkle.proof(leaves, 0)[1]; // the sibling of the inner node above leaves 0 and 1
        expectRefusal(
            claimOf(_taskId, address(1), REWARD / 4, proof),
            abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, address(1), REWARD / 4)
        );
    }

    function testFuzz_Claim_EveryLeafOfATreeIsPaidOnce(uint256 seed, uint256 size) public {
        size = bound(size, 1, 40);
        uint128[] memory amounts = new uint128[](size);
        bytes32[] memory leaves = new bytes32[](size);
        uint128 total;
        for (uint256 i = 0; i < size; ++i) {
            amounts[i] = uint128(bound(uint256(keccak256(abi.encode(seed, i))), 1, REWARD / size));
            leaves[i] = Merkle.leaf(_taskId, _earner(i), amounts[i]);
            total += amounts[i];
        }
        finalize(_taskId, Merkle.root(leaves), total);
        for (uint256 i = 0; i < size; ++i) {
            bytes32[] memory proof = Merkle.proof(leaves, i);
            claimFor(_taskId, _earner(i), amounts[i], proof);
            assertEq(_earner(i).balance, amounts[i], "paid");
            expectRefusal(
                claimOf(_taskId, _earner(i), amounts[i], proof),
                abi.encodeWithSelector(IProofOfTraining.NothingToClaim.selector, _taskId, _earner(i), amounts[i])
            );
        }
        assertEq(pot.task(_taskId).claimed, total, "claimed");
        assertEq(address(pot).balance, BUDGET - total, "held");
    }

    function testFuzz_Claim_RevertWhen_AmountIsNotTheLeafs(uint128 amount) public {
        vm.assume(amount != REWARD);
        finalizeFor(_taskId, ALICE, REWARD);
        expectRefusal(
            claimOf(_taskId, ALICE, amount, noProof()),
            abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, ALICE, amount)
        );
    }

    /// @dev The total is part of the head: naming a greater one, to lift the cap, breaks the proof.
    function testFuzz_Claim_RevertWhen_TheTotalIsNotTheCertifiedOne(uint128 total) public {
        vm.assume(total != REWARD);
        finalizeFor(_taskId, ALICE, REWARD);
        IProofOfTraining.Claim memory request = claimOf(_taskId, ALICE, REWARD, noProof());
        request.rewardsTotal = total;
        expectRefusal(
            request, abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, ALICE, REWARD)
        );
    }

    function testFuzz_Claim_RevertWhen_TheDecisionIsNotTheCertifiedOne(bytes32 decision) public {
        finalizeFor(_taskId, ALICE, REWARD);
        IProofOfTraining.Claim memory request = claimOf(_taskId, ALICE, REWARD, noProof());
        vm.assume(request.decision != decision);
        request.decision = decision;
        expectRefusal(
            request, abi.encodeWithSelector(IProofOfTraining.InvalidRewardProof.selector, _taskId, ALICE, REWARD)
        );
    }

    /// @dev A claim is against the head, whoever certified it: skipped rounds leave it as it was.
    function test_Claim_AfterASkippedRound() public {
        finalizeFor(_taskId, ALICE, REWARD);
        skip(_taskId);
        assertEq(claimFor(_taskId, ALICE, REWARD, noProof()), REWARD, "the last final round counts");
    }

    // ---- refund

    function test_Refund_OfACompletedTaskPaysTheRest() public {
        for (uint256 i = 0; i < 5; ++i) {
            finalizeFor(_taskId, ALICE, REWARD);
        }
        uint256 before = owner.balance;
        vm.expectEmit(address(pot));
        emit IProofOfTraining.TaskRefunded(_taskId, owner, BUDGET - 5 * REWARD);
        vm.prank(stranger); // anybody may call: the money goes to the owner
        uint256 amount = pot.refund(_taskId);

        assertEq(amount, BUDGET - 5 * REWARD, "amount");
        assertEq(owner.balance - before, amount, "paid");
        IProofOfTraining.Task memory t = pot.task(_taskId);
        assertEq(t.refunded, amount, "refunded");
        assertEq(t.allocated, 5 * REWARD, "what was earned stays allocated");
        assertEq(address(pot).balance, 5 * REWARD, "and held");
    }

    function test_Refund_OfATokenTask() public {
        uint256 taskId = createTokenTask();
        vm.prank(owner);
        pot.cancelTask(taskId);
        uint256 before = token.balanceOf(owner);
        pot.refund(taskId);
        assertEq(token.balanceOf(owner) - before, BUDGET, "everything back");
    }

    function test_Refund_KeepsWhatIsNotClaimedYet() public {
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        _cancelAndEnd();
        pot.refund(_taskId);
        assertEq(address(pot).balance, REWARD, "hers");
        claimFor(_taskId, ALICE, cumulative, noProof());
        assertEq(address(pot).balance, 0, "nothing left");
        IProofOfTraining.Task memory t = pot.task(_taskId);
        assertEq(uint256(t.claimed) + t.refunded, BUDGET, "claimed + refunded == budget");
    }

    function test_Refund_RevertWhen_Open() public {
        uint256 taskId = createTask();
        _expectWrongState(taskId, IProofOfTraining.TaskState.Open);
        pot.refund(taskId);
    }

    function test_Refund_RevertWhen_Running() public {
        _expectWrongState(_taskId, IProofOfTraining.TaskState.Running);
        pot.refund(_taskId);
    }

    function test_Refund_RevertWhen_CancelIsOnlyRequested() public {
        vm.prank(owner);
        pot.cancelTask(_taskId);
        _expectWrongState(_taskId, IProofOfTraining.TaskState.Running);
        pot.refund(_taskId);
    }

    function test_Refund_RevertWhen_Twice() public {
        _cancelAndEnd();
        pot.refund(_taskId);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NothingToRefund.selector, _taskId));
        pot.refund(_taskId);
    }

    function test_Refund_RevertWhen_EverythingWasAllocated() public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        (params.rounds, params.budget) = (1, REWARD);
        uint256 taskId = createTask(params);
        join(taskId, miners[0]);
        join(taskId, miners[1]);
        finalizeFor(taskId, ALICE, REWARD);
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.NothingToRefund.selector, taskId));
        pot.refund(taskId);
    }

    function test_Refund_RevertWhen_TaskUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.UnknownTask.selector, 42));
        pot.refund(42);
    }

    // ---- both

    function test_ForcedEther_ChangesNothing() public {
        vm.deal(address(pot), address(pot).balance + 7 ether);
        uint128 cumulative = finalizeFor(_taskId, ALICE, REWARD);
        _cancelAndEnd();
        claimFor(_taskId, ALICE, cumulative, noProof());
        assertEq(pot.refund(_taskId), BUDGET - REWARD, "exactly the rest");
        assertEq(address(pot).balance, 7 ether, "the forced ether is nobody's");
    }

    function test_DonatedTokens_ChangeNothing() public {
        uint256 taskId = createTokenTask();
        token.mint(address(pot), 7 ether);
        vm.prank(owner);
        pot.cancelTask(taskId);
        assertEq(pot.refund(taskId), BUDGET, "exactly the budget");
        assertEq(createTokenTask(), taskId + 1, "and the next task is funded by its own budget alone");
    }

    /// @dev For any budget, rewards and number of final rounds, in both currencies: all of it comes out, and no more.
    function testFuzz_Money_EveryWeiIsClaimedOrRefunded(
        bool native,
        uint96 budget,
        uint8 rounds,
        uint8 finals,
        uint256 seed
    ) public {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.token = native ? address(0) : address(token);
        params.rounds = uint32(bound(rounds, 1, 8));
        params.budget = uint128(bound(budget, 1, 500 ether));
        params.rewardPerRound = params.budget / params.rounds;
        finals = uint8(bound(finals, 0, params.rounds));

        uint256 held = address(pot).balance;
        uint256 ownerBefore = _balance(native, owner);
        uint256 taskId = createTask(params);
        join(taskId, miners[0]);
        join(taskId, miners[1]);
        uint128 earned;
        for (uint256 i = 0; i < finals; ++i) {
            uint128 increase = uint128(bound(uint256(keccak256(abi.encode(seed, i))), 0, params.rewardPerRound));
            earned = finalizeFor(taskId, ALICE, increase);
            if (earned > pot.claimedOf(taskId, ALICE) && seed >> i & 1 == 1) {
                claimFor(taskId, ALICE, earned, noProof());
            }
        }
        if (finals < params.rounds) {
            vm.prank(owner);
            pot.cancelTask(taskId);
            skip(taskId);
        }
        if (earned < params.budget) pot.refund(taskId);
        if (earned > pot.claimedOf(taskId, ALICE)) claimFor(taskId, ALICE, earned, noProof());

        assertEq(_balance(native, ALICE), earned, "the earner");
        assertEq(ownerBefore - _balance(native, owner), earned, "the owner");
        assertEq(address(pot).balance, held, "nothing of the task is left");
        assertEq(token.balanceOf(address(pot)), 0, "nothing of the task is left");
    }

    // ---- helpers

    function _cancelAndEnd() private {
        vm.prank(owner);
        pot.cancelTask(_taskId);
        skip(_taskId);
    }

    function _expectWrongState(uint256 taskId, IProofOfTraining.TaskState actual) private {
        vm.expectRevert(abi.encodeWithSelector(IProofOfTraining.WrongTaskState.selector, taskId, actual));
    }

    function _balance(bool native, address who) private view returns (uint256) {
        return native ? who.balance : token.balanceOf(who);
    }

    function _earner(uint256 i) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("earner", i)))));
    }
}
