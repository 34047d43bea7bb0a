// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Fixture} from "./Fixture.sol";
import {HostileReceiver} from "./mocks/HostileReceiver.sol";
import {
    BlocklistToken,
    BonusToken,
    CallbackToken,
    FalseToken,
    FeeToken,
    ShrinkingToken,
    SilentToken
} from "./mocks/HostileTokens.sol";
import {TestToken} from "./mocks/TestToken.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Tokens and receivers that misbehave.
contract HostileTokensTest is Fixture {
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);

    bytes private constant REENTERED =
        abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);

    // ---- amounts

    function test_CreateTask_RevertWhen_TokenTakesAFee() public {
        FeeToken fee = new FeeToken();
        _fund(fee);
        _expectCreateRevert(
            address(fee),
            abi.encodeWithSelector(IProofOfTraining.EscrowMismatch.selector, BUDGET - BUDGET / 100, BUDGET)
        );
    }

    function test_CreateTask_RevertWhen_TokenCreditsMore() public {
        BonusToken bonus = new BonusToken();
        _fund(bonus);
        _expectCreateRevert(
            address(bonus), abi.encodeWithSelector(IProofOfTraining.EscrowMismatch.selector, BUDGET + 1, BUDGET)
        );
    }

    function test_CreateTask_RevertWhen_TokenTakesFromTheReceiver() public {
        ShrinkingToken shrinking = new ShrinkingToken();
        _fund(shrinking);
        shrinking.mint(address(pot), 1 ether);
        _expectCreateRevert(
            address(shrinking), abi.encodeWithSelector(IProofOfTraining.EscrowMismatch.selector, 0, BUDGET)
        );
    }

    function test_CreateTask_RevertWhen_AllowanceIsMissing() public {
        TestToken fresh = new TestToken();
        fresh.mint(owner, BUDGET);
        IProofOfTraining.TaskParams memory params = _paramsFor(address(fresh));
        vm.expectPartialRevert(bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)")));
        vm.prank(owner);
        pot.createTask(params);
    }

    // ---- return values

    function test_CreateTask_RevertWhen_TokenReturnsFalse() public {
        FalseToken refusing = new FalseToken();
        _fund(refusing);
        refusing.setRefusing(true);
        _expectCreateRevert(
            address(refusing), abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(refusing))
        );
    }

    function test_Claim_RevertWhen_TokenReturnsFalse() public {
        FalseToken refusing = new FalseToken();
        (uint256 taskId, uint128 cumulative) = _earned(refusing);
        refusing.setRefusing(true);
        bytes4 selector = SafeERC20.SafeERC20FailedOperation.selector;
        expectRefusal(
            claimOf(taskId, ALICE, cumulative, noProof()), abi.encodeWithSelector(selector, address(refusing))
        );
        assertEq(pot.claimedOf(taskId, ALICE), 0, "nothing is marked as paid");

        refusing.setRefusing(false);
        assertEq(claimFor(taskId, ALICE, cumulative, noProof()), REWARD, "paid when the token lets it");
    }

    function test_TokenWithoutReturnValues_Works() public {
        SilentToken silent = new SilentToken();
        silent.mint(owner, BUDGET);
        vm.prank(owner);
        silent.approve(address(pot), BUDGET);
        uint256 taskId = createTask(_paramsFor(address(silent)));
        start(taskId);
        uint128 cumulative = finalizeFor(taskId, ALICE, REWARD);
        claimFor(taskId, ALICE, cumulative, noProof());
        vm.prank(owner);
        pot.cancelTask(taskId);
        skip(taskId);
        pot.refund(taskId);
        assertEq(silent.balanceOf(ALICE), REWARD, "earner");
        assertEq(silent.balanceOf(owner), BUDGET - REWARD, "owner");
        assertEq(silent.balanceOf(address(pot)), 0, "nothing left");
    }

    // ---- refusals

    /// @dev A token that will not pay one account stops nobody else.
    function test_Claim_ABlockedAccountBlocksNobodyElse() public {
        BlocklistToken blocking = new BlocklistToken();
        (uint256 taskId, uint128 cumulative) = _earned(blocking);
        blocking.setBlocked(ALICE, true);
        expectRefusal(
            claimOf(taskId, ALICE, cumulative, noProof()),
            abi.encodeWithSelector(BlocklistToken.Blocked.selector, ALICE)
        );

        vm.prank(owner);
        pot.cancelTask(taskId);
        skip(taskId);
        assertEq(pot.refund(taskId), BUDGET - REWARD, "the owner");
        blocking.setBlocked(ALICE, false);
        assertEq(claimFor(taskId, ALICE, cumulative, noProof()), REWARD, "and she, once unblocked");
    }

    function test_Claim_RevertWhen_ReceiverRefuses() public {
        HostileReceiver receiver = new HostileReceiver();
        uint256 taskId = runningTask();
        uint128 cumulative = finalizeFor(taskId, address(receiver), REWARD);
        receiver.setRefusing(true);
        expectRefusal(
            claimOf(taskId, address(receiver), cumulative, noProof()),
            abi.encodeWithSelector(HostileReceiver.Refused.selector)
        );

        assertEq(pot.claimedOf(taskId, address(receiver)), 0, "nothing is marked as paid");
        receiver.setRefusing(false);
        claimFor(taskId, address(receiver), cumulative, noProof());
        assertEq(address(receiver).balance, REWARD, "paid when it agrees");
    }

    function test_Refund_RevertWhen_OwnerRefuses() public {
        HostileReceiver contractOwner = new HostileReceiver();
        uint256 taskId = _taskOf(contractOwner);
        contractOwner.execute(address(pot), 0, abi.encodeCall(pot.cancelTask, (taskId)));
        contractOwner.setRefusing(true);
        vm.expectRevert(abi.encodeWithSelector(HostileReceiver.Refused.selector));
        pot.refund(taskId);
        assertEq(pot.task(taskId).refunded, 0, "nothing is marked as paid");
    }

    // ---- reentrancy. A payment is settled before it is made: whoever calls back finds nothing more to take. Only a payment
    //      in, which is measured, closes the contract.

    function test_Claim_ReentrantReceiverIsPaidOnce() public {
        HostileReceiver receiver = new HostileReceiver();
        uint256 taskId = runningTask();
        finalizeFor(taskId, address(receiver), REWARD);
        IProofOfTraining.Claim memory request = claimOf(taskId, address(receiver), REWARD, noProof());
        receiver.setCallback(address(pot), abi.encodeCall(pot.claim, (request)));
        pot.claim(request);
        _assertRefused(
            receiver.called(), receiver.succeeded(), receiver.result(), _nothingToClaim(taskId, address(receiver))
        );
        assertEq(address(receiver).balance, REWARD, "once");
        assertEq(address(pot).balance, BUDGET - REWARD, "the rest is held");
    }

    function test_ClaimMany_ReentrantReceiverIsPaidOnce() public {
        HostileReceiver receiver = new HostileReceiver();
        uint256 taskId = runningTask();
        finalizeFor(taskId, address(receiver), REWARD);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](2);
        requests[0] = claimOf(taskId, address(receiver), REWARD, noProof());
        requests[1] = requests[0];
        receiver.setCallback(address(pot), abi.encodeCall(pot.claimMany, (requests)));
        pot.claimMany(requests);
        assertTrue(receiver.succeeded(), "a batch passes over what is paid");
        assertEq(address(receiver).balance, REWARD, "once");
    }

    function test_Refund_ReentrantOwnerIsPaidOnce() public {
        HostileReceiver contractOwner = new HostileReceiver();
        uint256 taskId = _taskOf(contractOwner);
        createTask(); // another escrow to be stolen
        contractOwner.execute(address(pot), 0, abi.encodeCall(pot.cancelTask, (taskId)));
        contractOwner.setCallback(address(pot), abi.encodeCall(pot.refund, (taskId)));
        pot.refund(taskId);
        _assertRefused(
            contractOwner.called(), contractOwner.succeeded(), contractOwner.result(), _nothingToRefund(taskId)
        );
        assertEq(address(contractOwner).balance, BUDGET, "once");
        assertEq(address(pot).balance, BUDGET, "the other escrow");
    }

    /// @dev A refund inside a claim goes to the owner that it is due to, and changes nothing for the claim.
    function test_Claim_ReentrantReceiverCanOnlyTriggerWhatIsDue() public {
        HostileReceiver receiver = new HostileReceiver();
        uint256 taskId = runningTask();
        finalizeFor(taskId, address(receiver), REWARD);
        uint256 cancelled = createTask();
        vm.prank(owner);
        pot.cancelTask(cancelled);
        uint256 before = owner.balance;
        receiver.setCallback(address(pot), abi.encodeCall(pot.refund, (cancelled)));
        claimFor(taskId, address(receiver), REWARD, noProof());
        assertTrue(receiver.succeeded(), "the refund was due");
        assertEq(owner.balance - before, BUDGET, "to the owner");
        assertEq(address(receiver).balance, REWARD, "and the reward to the earner");
        assertEq(address(pot).balance, BUDGET - REWARD, "the rest is held");
    }

    function test_Claim_ReentrantTokenPaysOnce() public {
        CallbackToken callback = new CallbackToken();
        (uint256 taskId, uint128 cumulative) = _earned(callback);
        IProofOfTraining.Claim memory request = claimOf(taskId, ALICE, cumulative, noProof());
        callback.setCallback(address(pot), abi.encodeCall(pot.claim, (request)));
        pot.claim(request);
        _assertRefused(callback.entered(), callback.succeeded(), callback.result(), _nothingToClaim(taskId, ALICE));
        assertEq(callback.balanceOf(ALICE), REWARD, "once");
    }

    function test_Refund_ReentrantTokenPaysOnce() public {
        CallbackToken callback = new CallbackToken();
        _fund(callback);
        uint256 taskId = createTask(_paramsFor(address(callback)));
        vm.prank(owner);
        pot.cancelTask(taskId);
        callback.setCallback(address(pot), abi.encodeCall(pot.refund, (taskId)));
        uint256 before = callback.balanceOf(owner);
        pot.refund(taskId);
        _assertRefused(callback.entered(), callback.succeeded(), callback.result(), _nothingToRefund(taskId));
        assertEq(callback.balanceOf(owner) - before, BUDGET, "once");
    }

    /// @dev Two creations inside each other would both see the one deposit in their balance difference.
    function test_CreateTask_ReentrantTokenCannotFundTwoTasksAtOnce() public {
        CallbackToken callback = new CallbackToken();
        _fund(callback);
        IProofOfTraining.TaskParams memory params = _paramsFor(address(callback));
        _assertClosedDuringFunding(callback, abi.encodeCall(pot.createTask, (params)));
        assertEq(pot.taskCount(), 1, "one task");
    }

    /// @dev A payment out while a payment in is measured would make the deposit look smaller.
    function test_CreateTask_ReentrantTokenCannotClaim() public {
        CallbackToken callback = new CallbackToken();
        (uint256 taskId, uint128 cumulative) = _earned(callback);
        IProofOfTraining.Claim memory request = claimOf(taskId, ALICE, cumulative, noProof());
        _assertClosedDuringFunding(callback, abi.encodeCall(pot.claim, (request)));
        assertEq(callback.balanceOf(ALICE), 0, "not paid");
    }

    function test_CreateTask_ReentrantTokenCannotClaimMany() public {
        CallbackToken callback = new CallbackToken();
        (uint256 taskId, uint128 cumulative) = _earned(callback);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](1);
        requests[0] = claimOf(taskId, ALICE, cumulative, noProof());
        _assertClosedDuringFunding(callback, abi.encodeCall(pot.claimMany, (requests)));
        assertEq(callback.balanceOf(ALICE), 0, "not paid");
    }

    function test_CreateTask_ReentrantTokenCannotRefund() public {
        CallbackToken callback = new CallbackToken();
        _fund(callback);
        uint256 taskId = createTask(_paramsFor(address(callback)));
        vm.prank(owner);
        pot.cancelTask(taskId);
        _assertClosedDuringFunding(callback, abi.encodeCall(pot.refund, (taskId)));
        assertEq(pot.task(taskId).refunded, 0, "not paid");
    }

    /// @dev The other way round, a creation inside a payment is measured by itself: it must bring what it says.
    function test_Claim_CallbackMayFundATask() public {
        HostileReceiver receiver = new HostileReceiver();
        uint256 taskId = runningTask();
        finalizeFor(taskId, address(receiver), REWARD);
        token.mint(address(receiver), BUDGET);
        receiver.execute(address(token), 0, abi.encodeCall(token.approve, (address(pot), BUDGET)));
        receiver.setCallback(address(pot), abi.encodeCall(pot.createTask, (_paramsFor(address(token)))));
        claimFor(taskId, address(receiver), REWARD, noProof());
        assertTrue(receiver.succeeded(), "funded");
        assertEq(token.balanceOf(address(pot)), BUDGET, "escrow of the new task");
        assertEq(address(pot).balance, BUDGET - REWARD, "escrow of the old one");
    }

    /// @dev During the funding call the task exists already; what a callback may do to it must not hurt anybody.
    function test_CreateTask_CallbackMayJoinTheTaskBeingFunded() public {
        bootEpoch(4);
        address miner = newMiner();
        HostileReceiver joiner = HostileReceiver(payable(miner));
        vm.etch(miner, address(new HostileReceiver()).code);
        CallbackToken callback = new CallbackToken();
        _fund(callback);
        IProofOfTraining.TaskParams memory params = _paramsFor(address(callback));
        params.minMiners = 1;
        bytes memory joining = abi.encodeCall(pot.join, (1));
        callback.setCallback(miner, abi.encodeCall(joiner.execute, (address(pot), 0, joining)));
        createTask(params);
        assertState(1, IProofOfTraining.TaskState.Running);
        assertEq(callback.balanceOf(address(pot)), BUDGET, "funded");
    }

    // ---- helpers

    function _paramsFor(address token_) private pure returns (IProofOfTraining.TaskParams memory params) {
        params = defaultParams();
        params.token = token_;
    }

    function _fund(TestToken token_) private {
        token_.mint(owner, 10 * BUDGET);
        vm.prank(owner);
        token_.approve(address(pot), type(uint256).max);
    }

    /// @dev A running task, paid in the token, of which ALICE has earned one reward.
    function _earned(TestToken token_) private returns (uint256 taskId, uint128 cumulative) {
        _fund(token_);
        taskId = createTask(_paramsFor(address(token_)));
        start(taskId);
        cumulative = finalizeFor(taskId, ALICE, REWARD);
    }

    /// @dev A native task owned by a contract.
    function _taskOf(HostileReceiver contractOwner) private returns (uint256 taskId) {
        vm.deal(address(contractOwner), BUDGET);
        contractOwner.execute(address(pot), BUDGET, abi.encodeCall(pot.createTask, (defaultParams())));
        taskId = pot.taskCount();
    }

    function _expectCreateRevert(address token_, bytes memory reason) private {
        IProofOfTraining.TaskParams memory params = _paramsFor(token_);
        vm.expectRevert(reason);
        vm.prank(owner);
        pot.createTask(params);
        assertEq(pot.taskCount(), 0, "no task");
    }

    /// @dev Funds a task while the token calls the contract with `data`.
    function _assertClosedDuringFunding(CallbackToken callback, bytes memory data) private {
        IProofOfTraining.TaskParams memory params = _paramsFor(address(callback));
        callback.setCallback(address(pot), data);
        createTask(params);
        _assertRefused(callback.entered(), callback.succeeded(), callback.result(), REENTERED);
    }

    function _nothingToClaim(uint256 taskId, address earner) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IProofOfTraining.NothingToClaim.selector, taskId, earner, REWARD);
    }

    function _nothingToRefund(uint256 taskId) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IProofOfTraining.NothingToRefund.selector, taskId);
    }

    function _assertRefused(bool attempted, bool succeeded, bytes memory result, bytes memory reason) private pure {
        assertTrue(attempted, "it called back");
        assertFalse(succeeded, "without success");
        assertEq(keccak256(result), keccak256(reason), "and was refused");
    }
}
