// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fixture} from "./Fixture.sol";
import {Merkle} from "./Merkle.sol";
import {HostileReceiver} from "./mocks/HostileReceiver.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";

/// @notice Claims in a batch: what is due is paid, the rest is passed over.
contract ClaimManyTest is Fixture {
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);

    uint256 private _native;
    uint256 private _token;

    function setUp() public override {
        super.setUp();
        _native = runningTask();
        _token = createTokenTask();
        join(_token, miners[0]);
        join(_token, miners[1]);
    }

    function test_ClaimMany_OfSeveralTasksAndAccounts() public {
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = Merkle.leaf(_native, ALICE, REWARD / 4);
        leaves[1] = Merkle.leaf(_native, BOB, REWARD / 2);
        finalize(_native, Merkle.root(leaves), REWARD);
        finalizeFor(_token, ALICE, REWARD);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](3);
        requests[0] = claimOf(_native, ALICE, REWARD / 4, Merkle.proof(leaves, 0));
        requests[1] = claimOf(_native, BOB, REWARD / 2, Merkle.proof(leaves, 1));
        requests[2] = claimOf(_token, ALICE, REWARD, noProof());

        vm.expectEmit(address(pot));
        emit IProofOfTraining.RewardClaimed(_native, ALICE, REWARD / 4, REWARD / 4);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RewardClaimed(_native, BOB, REWARD / 2, REWARD / 2);
        vm.expectEmit(address(pot));
        emit IProofOfTraining.RewardClaimed(_token, ALICE, REWARD, REWARD);
        vm.prank(stranger); // anybody may call: the money goes to the accounts of the leaves
        uint256[] memory amounts = pot.claimMany(requests);

        assertEq(amounts.length, 3, "one amount a request");
        assertEq(amounts[0], REWARD / 4, "first");
        assertEq(amounts[1], REWARD / 2, "second");
        assertEq(amounts[2], REWARD, "third");
        assertEq(ALICE.balance, REWARD / 4, "hers, native");
        assertEq(token.balanceOf(ALICE), REWARD, "hers, tokens");
        assertEq(BOB.balance, REWARD / 2, "his");
        assertEq(stranger.balance, 0, "the caller gets nothing");
    }

    /// @dev Nobody can spoil a batch by claiming one of its requests first.
    function test_ClaimMany_PassesOverWhatWasPaidAlready() public {
        finalizeFor(_native, ALICE, REWARD);
        finalizeFor(_token, ALICE, REWARD);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](2);
        requests[0] = claimOf(_native, ALICE, REWARD, noProof());
        requests[1] = claimOf(_token, ALICE, REWARD, noProof());
        vm.prank(stranger);
        pot.claim(requests[0]);
        uint256[] memory amounts = pot.claimMany(requests);
        assertEq(amounts[0], 0, "passed over");
        assertEq(amounts[1], REWARD, "paid");
    }

    /// @dev Nor does a round that becomes final in the meantime spoil the claims to other tasks.
    function test_ClaimMany_PassesOverAStaleProof() public {
        finalizeFor(_native, ALICE, REWARD);
        finalizeFor(_token, ALICE, REWARD);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](2);
        requests[0] = claimOf(_native, ALICE, REWARD, noProof());
        requests[1] = claimOf(_token, ALICE, REWARD, noProof());
        finalizeFor(_native, ALICE, REWARD);
        uint256[] memory amounts = pot.claimMany(requests);
        assertEq(amounts[0], 0, "passed over");
        assertEq(ALICE.balance, 0, "nothing paid");
        assertEq(amounts[1], REWARD, "paid");
    }

    function test_ClaimMany_PassesOverUnknownTasksAndForgedLeaves() public {
        finalizeFor(_native, ALICE, REWARD);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](4);
        requests[0] = claimOf(99, ALICE, REWARD, noProof());
        requests[1] = claimOf(_native, BOB, REWARD, noProof());
        requests[2] = claimOf(_native, ALICE, REWARD + 1, noProof());
        requests[3] = claimOf(_native, ALICE, REWARD, noProof());
        uint256[] memory amounts = pot.claimMany(requests);
        assertEq(amounts[0] + amounts[1] + amounts[2], 0, "passed over");
        assertEq(amounts[3], REWARD, "paid");
        assertEq(address(pot).balance, BUDGET - REWARD, "no more than that");
    }

    function test_ClaimMany_TheSameTwicePaysOnce() public {
        finalizeFor(_native, ALICE, REWARD);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](2);
        requests[0] = claimOf(_native, ALICE, REWARD, noProof());
        requests[1] = requests[0];
        uint256[] memory amounts = pot.claimMany(requests);
        assertEq(amounts[0], REWARD, "first");
        assertEq(amounts[1], 0, "second");
        assertEq(ALICE.balance, REWARD, "once");
    }

    /// @dev The cap on what a task has allocated holds within a batch as it does across calls.
    function test_ClaimMany_ATreeThatPromisesTooMuchIsCapped() public {
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = Merkle.leaf(_native, ALICE, REWARD);
        leaves[1] = Merkle.leaf(_native, BOB, REWARD);
        finalize(_native, Merkle.root(leaves), REWARD);
        finalize(_native, Merkle.root(leaves), REWARD / 2);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](2);
        requests[0] = claimOf(_native, ALICE, REWARD, Merkle.proof(leaves, 0));
        requests[1] = claimOf(_native, BOB, REWARD, Merkle.proof(leaves, 1));
        uint256[] memory amounts = pot.claimMany(requests);
        assertEq(amounts[0], REWARD, "first come");
        assertEq(amounts[1], REWARD / 2, "what is there");
    }

    function test_ClaimMany_OfNothing() public {
        assertEq(pot.claimMany(new IProofOfTraining.Claim[](0)).length, 0, "no amounts");
    }

    /// @dev A payment that fails is no claim without worth: it reverts, and with it the batch, which leaves nothing half done.
    function test_ClaimMany_RevertWhen_AReceiverRefuses() public {
        HostileReceiver receiver = new HostileReceiver();
        receiver.setRefusing(true);
        finalizeFor(_native, address(receiver), REWARD);
        finalizeFor(_token, ALICE, REWARD);
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](2);
        requests[0] = claimOf(_token, ALICE, REWARD, noProof());
        requests[1] = claimOf(_native, address(receiver), REWARD, noProof());
        vm.expectRevert(abi.encodeWithSelector(HostileReceiver.Refused.selector));
        pot.claimMany(requests);
        assertEq(pot.claimedOf(_token, ALICE), 0, "nothing is marked as paid");
    }

    /// @dev A batch is worth what its requests are worth one by one, in any order and with any repetition.
    function testFuzz_ClaimMany_EqualsSingleClaims(uint8[6] memory order, uint128[2] memory increases) public {
        uint256[2] memory tasks = [_native, _token];
        for (uint256 i = 0; i < 2; ++i) {
            finalizeFor(tasks[i], ALICE, uint128(bound(increases[i], 0, REWARD)));
        }
        IProofOfTraining.Claim[] memory requests = new IProofOfTraining.Claim[](6);
        for (uint256 i = 0; i < 6; ++i) {
            uint256 taskId = tasks[order[i] % 2];
            requests[i] = claimOf(taskId, ALICE, pot.task(taskId).allocated, noProof());
        }
        uint256[] memory amounts = pot.claimMany(requests);
        bool[2] memory seen;
        for (uint256 i = 0; i < 6; ++i) {
            uint256 which = order[i] % 2;
            assertEq(amounts[i], seen[which] ? 0 : pot.task(tasks[which]).allocated, "amount");
            seen[which] = true;
        }
        assertEq(ALICE.balance, seen[0] ? pot.task(_native).allocated : 0, "native");
        assertEq(token.balanceOf(ALICE), seen[1] ? pot.task(_token).allocated : 0, "tokens");
    }
}
