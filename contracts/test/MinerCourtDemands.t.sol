// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MinerCourtFixture} from "./MinerCourtFixture.sol";
import {HostileReceiver} from "./mocks/HostileReceiver.sol";
import {ICourt} from "../src/interfaces/ICourt.sol";
import {IMinerCourt} from "../src/interfaces/IMinerCourt.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {ContentLinks} from "../src/libraries/ContentLinks.sol";

/// @notice Data availability: what can be demanded, what answers it, what becomes of the deposits.
contract MinerCourtDemandsTest is MinerCourtFixture {
    // ---- answered

    function test_Publish_GivesTheDepositToTheMiner() public {
        bytes32 id = demandManifest();
        assertEq(id, mining.demandIdOf(task, 0, miner, 0), "id");
        vm.expectEmit(address(mining));
        emit IMinerCourt.Published(id, sha256(manifest), uint64(block.timestamp) + ANSWER_WINDOW);
        vm.prank(stranger); // anybody may answer
        mining.publish(id, SALT, manifest);
        assertEq(mining.owedTo(miner), DEPOSIT, "deposit");
        assertEq(mining.demandOf(id).target, sha256(manifest), "digest");
    }

    function test_PublishBlock_AnswersDownToTheLastChunk() public {
        mining.publishBlock(demandChunk(1), CHUNK_2);
        assertEq(mining.owedTo(miner), 3 * DEPOSIT, "three answers");
        bytes32 parent = mining.demandIdOf(task, 0, miner, sha256(root));
        vm.prank(reporter);
        bytes32 id = mining.demandBlock{value: DEPOSIT}(parent, root, 0);
        mining.publishBlock(id, CHUNK);
        assertEq(address(mining).balance, 4 * DEPOSIT, "held");
    }

    // ---- not answered

    function test_Punish_PaysTheDemander() public {
        bytes32 id = demandManifest();
        uint64 deadline = mining.demandOf(id).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooEarly.selector, deadline));
        mining.punish(id);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooLate.selector, deadline));
        mining.publish(id, SALT, manifest);
        vm.expectEmit(address(mining));
        emit IMinerCourt.Punished(id, MINER_STAKE);
        vm.prank(stranger); // anybody may
        mining.punish(id);
        assertEq(mining.owedTo(reporter), DEPOSIT + MINER_STAKE / 20, "deposit and bounty");
        assertEq(mining.owedTo(owner), MINER_STAKE / 4, "compensation");
        assertEq(BURN.balance, MINER_STAKE * 7 / 10, "burned");
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongDemandState.selector, IMinerCourt.DemandState.Punished));
        mining.punish(id);
    }

    function test_Punish_ReachesALeavingMiner() public {
        vm.prank(miner);
        registry.startUnbonding();
        vm.warp(block.timestamp + UNBONDING - 1);
        pot.skipRound(task); // the seal is of the round before
        vm.prank(reporter);
        bytes32 id = mining.demand{value: DEPOSIT}(task, 0, miner);
        vm.warp(block.timestamp + 2 * ANSWER_WINDOW); // somebody has had as long again to punish
        vm.expectPartialRevert(INodeRegistry.StakeLocked.selector);
        vm.prank(miner);
        registry.withdrawStake();
        mining.punish(id);
        assertEq(stakeOf(miner), 0, "stake");
    }

    /// @dev Gone, or back as something else: the deposit comes back in any case.
    function test_Punish_ReturnsTheDepositThoughTheMinerHasGone() public {
        bytes32 id = demandManifest();
        vm.prank(miner);
        registry.startUnbonding();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(miner);
        registry.withdrawStake();
        bytes memory proof = possession(99, miner);
        vm.deal(miner, VALIDATOR_STAKE);
        vm.prank(miner);
        registry.registerValidator{value: VALIDATOR_STAKE}(vm.addr(99), proof, "http://127.0.0.1");
        mining.punish(id);
        assertEq(mining.owedTo(reporter), DEPOSIT, "deposit");
        assertEq(stakeOf(miner), VALIDATOR_STAKE, "not this court's");
    }

    // ---- who can be asked, and when

    function test_RevertIf_NoSeal() public {
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.NoSeal.selector, task, 0, miners[1]));
        mining.demand{value: DEPOSIT}(task, 0, miners[1]);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.NoSeal.selector, task, 1, miner));
        mining.demand{value: DEPOSIT}(task, 1, miner);
    }

    function test_RevertIf_CommitsAreOpen() public {
        (uint64 deadline,,) = pot.deadlines(task);
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooEarly.selector, deadline));
        mining.demand{value: DEPOSIT}(task, 0, miner);
    }

    function test_RevertIf_RoundIsLongOver() public {
        (,, uint64 deadline) = pot.deadlines(task);
        vm.warp(deadline + ANSWER_WINDOW + 1);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooLate.selector, deadline + ANSWER_WINDOW));
        mining.demand{value: DEPOSIT}(task, 0, miner);
        uint64 opened = deadline + ANSWER_WINDOW + 1;
        pot.skipRound(task);
        vm.warp(opened + ANSWER_WINDOW + 1);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooLate.selector, opened + ANSWER_WINDOW));
        mining.demand{value: DEPOSIT}(task, 0, miner);
        pot.skipRound(task);
        vm.expectPartialRevert(IMinerCourt.TooLate.selector);
        mining.demand{value: DEPOSIT}(task, 0, miner);
    }

    function test_RevertIf_DemandedTwice() public {
        demandManifest();
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongDemandState.selector, IMinerCourt.DemandState.Open));
        mining.demand{value: DEPOSIT}(task, 0, miner);
    }

    function test_RevertIf_DepositIsWrong() public {
        afterCommits();
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongDeposit.selector, DEPOSIT + 1, DEPOSIT));
        mining.demand{value: DEPOSIT + 1}(task, 0, miner);
    }

    // ---- what is no answer

    function test_RevertIf_ManifestDoesNotOpenTheSeal() public {
        bytes32 id = demandManifest();
        vm.expectPartialRevert(IMinerCourt.WrongData.selector);
        mining.publish(id, SALT, root);
        vm.expectPartialRevert(IMinerCourt.WrongData.selector);
        mining.publish(id, B, manifest);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongContent.selector, IMinerCourt.Content.Manifest));
        mining.publishBlock(id, manifest);
    }

    function test_RevertIf_BlockIsAnother() public {
        bytes32 id = demandRoot();
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongData.selector, sha256(root), sha256(CHUNK)));
        mining.publishBlock(id, CHUNK);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongContent.selector, IMinerCourt.Content.Node));
        mining.publish(id, SALT, root);
        mining.publishBlock(id, root);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongDemandState.selector, IMinerCourt.DemandState.Answered));
        mining.publishBlock(id, root);
    }

    // ---- what cannot be demanded

    function test_RevertIf_ParentIsNotAnswered() public {
        bytes32 id = demandManifest();
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongDemandState.selector, IMinerCourt.DemandState.Open));
        mining.demandBlock{value: DEPOSIT}(id, manifest, 13);
        mining.publish(id, SALT, manifest);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongData.selector, sha256(manifest), sha256(root)));
        mining.demandBlock{value: DEPOSIT}(id, root, 0);
        uint64 until = mining.demandOf(id).deadline;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.TooLate.selector, until));
        mining.demandBlock{value: DEPOSIT}(id, manifest, 13);
    }

    function test_RevertIf_ThereIsNoCidAtTheOffset() public {
        bytes32 id = demandManifest();
        mining.publish(id, SALT, manifest);
        for (uint256 offset = 0; offset < manifest.length + 2; ++offset) {
            if (offset == 13) continue;
            _expectNoLink(offset);
            mining.demandBlock{value: DEPOSIT}(id, manifest, offset);
        }
        _expectNoLink(type(uint256).max);
        mining.demandBlock{value: DEPOSIT}(id, manifest, type(uint256).max);
    }

    function test_RevertIf_ThereIsNoLinkAtTheOffset() public {
        bytes32 id = demandRoot();
        mining.publishBlock(id, root);
        for (uint256 offset = 0; offset < root.length + 2; ++offset) {
            if (offset == 0 || offset == 46) continue;
            _expectNoLink(offset);
            mining.demandBlock{value: DEPOSIT}(id, root, offset);
        }
        _expectNoLink(type(uint256).max);
        mining.demandBlock{value: DEPOSIT}(id, root, type(uint256).max);
    }

    /// @dev A gradient holds any bytes: what looks like a reference there can be opened by nobody.
    function test_RevertIf_ParentIsRaw() public {
        bytes32 id = demandChunk(0);
        mining.publishBlock(id, CHUNK);
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.WrongContent.selector, IMinerCourt.Content.Raw));
        mining.demandBlock{value: DEPOSIT}(id, CHUNK, 0);
    }

    /// @dev So does a digest: this one holds the beginning of a link, which no walk from the node's beginning meets.
    function test_RevertIf_LinkStandsWithinADigest() public {
        bytes memory node =
            bytes.concat(linkTo(0x55, hex"122c0a2401551220ffffffffffffffffffffffffffffffffffffffffffffffff"));
        node = bytes.concat(node, linkTo(0x55, sha256(CHUNK)));
        (uint8 codec, bytes32 digest) = this.inNode(node, 46);
        assertTrue(codec == 0x55 && digest == sha256(CHUNK), "the second link");
        _expectNoLink(8);
        this.inNode(node, 8);
    }

    function testFuzz_Links_AreReadAsTheyAreWritten(bytes32 digest, bool raw, uint8 before) public view {
        uint8 written = raw ? 0x55 : 0x70;
        bytes memory text = bytes.concat(new bytes(before), cidText(written, digest), '"');
        (uint8 codec, bytes32 read) = this.inText(text, before);
        assertTrue(codec == written && read == digest, "text");
        bytes memory node;
        for (uint256 i = 0; i < before % 8; ++i) {
            node = bytes.concat(node, linkTo(0x55, keccak256(abi.encode(digest, i))));
        }
        uint256 offset = node.length;
        (codec, read) = this.inNode(bytes.concat(node, linkTo(written, digest)), offset);
        assertTrue(codec == written && read == digest, "node");
    }

    /// @dev Another version, codec, hash function or length; padding bits that are not zero; a capital; a link cut short.
    function test_RevertIf_CidIsOfAnotherKind() public {
        _refuseText(cidText(0x71, A));
        bytes memory text = cidText(0x55, A);
        text[58] = bytes1(uint8(text[58]) + 1);
        _refuseText(text);
        text = cidText(0x55, A);
        text[20] = "A";
        _refuseText(text);
        text[20] = "1";
        _refuseText(text);
        text[20] = "8";
        _refuseText(text);
        text[20] = "{";
        _refuseText(text);
        text = cidText(0x55, A);
        text[0] = "z";
        _refuseText(text);
        bytes memory link = linkTo(0x55, A);
        for (uint256 i = 0; i < 8; ++i) {
            bytes memory wrong = bytes.concat(link);
            wrong[i] = i == 1 ? bytes1(uint8(37)) : wrong[i] ^ 0x80;
            _expectNoLink(0);
            this.inNode(wrong, 0);
        }
        bytes memory overlong = bytes.concat(link, link);
        overlong[1] = 0x80;
        _expectNoLink(46);
        this.inNode(overlong, 46);
    }

    // ---- strangers

    function test_RevertIf_StrangerPaysTheCourt() public {
        vm.prank(stranger);
        (bool success, bytes memory reason) = address(mining).call{value: 1}("");
        assertFalse(success, "refused");
        assertEq(keccak256(reason), keccak256(abi.encodeWithSelector(ICourt.NotRegistry.selector, stranger)), "reason");
    }

    function test_Withdraw_ReentrantDemanderIsPaidOnce() public {
        HostileReceiver hostile = new HostileReceiver();
        vm.deal(address(hostile), DEPOSIT);
        afterCommits();
        bytes memory id = hostile.execute(address(mining), DEPOSIT, abi.encodeCall(mining.demand, (task, 0, miner)));
        vm.warp(block.timestamp + ANSWER_WINDOW + 1);
        mining.punish(abi.decode(id, (bytes32)));
        hostile.setCallback(address(mining), abi.encodeCall(ICourt.withdraw, ()));
        hostile.execute(address(mining), 0, abi.encodeCall(ICourt.withdraw, ()));
        assertTrue(hostile.called() && !hostile.succeeded(), "refused");
        assertEq(address(hostile).balance, DEPOSIT + MINER_STAKE / 20, "paid once");
        assertEq(address(mining).balance, MINER_STAKE / 4, "what is the owner's");
    }

    // ---- internal

    function inText(bytes calldata text, uint256 offset) external pure returns (uint8, bytes32) {
        return ContentLinks.inText(text, offset);
    }

    function inNode(bytes calldata node, uint256 offset) external pure returns (uint8, bytes32) {
        return ContentLinks.inNode(node, offset);
    }

    function _refuseText(bytes memory text) private {
        _expectNoLink(0);
        this.inText(text, 0);
    }

    function _expectNoLink(uint256 offset) private {
        vm.expectRevert(abi.encodeWithSelector(IMinerCourt.NoLink.selector, offset));
    }
}
