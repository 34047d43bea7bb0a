// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {CourtFixture} from "./CourtFixture.sol";
import {IMinerCourt} from "../src/interfaces/IMinerCourt.sol";

/// @notice A running task with a sealed submission: a manifest, a file of two chunks and its root.
abstract contract MinerCourtFixture is CourtFixture {
    bytes internal constant CHUNK = "a chunk of a gradient";
    bytes internal constant CHUNK_2 = "another chunk";
    bytes32 internal constant RECORD = keccak256("fault record");
    string private constant BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

    uint256 internal task;
    address internal miner;
    bytes internal manifest;
    /// @dev dag-pb node with links to both chunks.
    bytes internal root;

    function setUp() public virtual override {
        super.setUp();
        task = runningTask();
        miner = miners[0];
        root = bytes.concat(linkTo(0x55, sha256(CHUNK)), linkTo(0x55, sha256(CHUNK_2)), hex"0a020802");
        manifest = bytes.concat('{"gradient":"', cidText(0x70, sha256(root)), '","kind":"submission"}');
        bytes32 seal = sealFor(task, 0, miner, sha256(manifest), SALT);
        vm.prank(miner);
        pot.commitGradient(task, 0, seal);
        vm.deal(reporter, 10 ether);
        vm.deal(stranger, 10 ether);
    }

    // ---- blocks

    function linkTo(uint8 codec, bytes32 digest) internal pure returns (bytes memory) {
        return bytes.concat(hex"122c0a2401", bytes1(codec), hex"1220", digest, hex"120018808010");
    }

    function cidText(uint8 codec, bytes32 digest) internal pure returns (bytes memory text) {
        text = new bytes(59);
        text[0] = "b";
        bytes memory binary = bytes.concat(hex"01", bytes1(codec), hex"1220", digest, hex"00");
        for (uint256 i = 0; i < 58; ++i) {
            uint256 value;
            for (uint256 bit = 5 * i; bit < 5 * i + 5; ++bit) {
                value = value << 1 | uint8(binary[bit / 8]) >> (7 - bit % 8) & 1;
            }
            text[1 + i] = bytes(BASE32)[value];
        }
    }

    // ---- cases

    function fault() internal view returns (IMinerCourt.Fault memory) {
        return IMinerCourt.Fault({taskId: task, round: 0, miner: miner, record: RECORD});
    }

    function faultDigest(string memory name, IMinerCourt.Fault memory fault_) internal view returns (bytes32) {
        bytes32 typeHash =
            keccak256(abi.encodePacked(name, "(uint256 taskId,uint64 round,address miner,bytes32 record)"));
        return typed(keccak256(abi.encode(typeHash, fault_.taskId, fault_.round, fault_.miner, fault_.record)));
    }

    function accuse() internal {
        mining.accuse(fault(), 1, signedBy(faultDigest("MinerFault", fault()), 7));
    }

    function appeal() internal {
        vm.prank(stranger);
        mining.appeal{value: DEPOSIT}(task, 0, miner);
    }

    function uphold() internal {
        mining.uphold(fault(), signedBy(faultDigest("MinerFaultUpheld", fault()), 15));
    }

    function afterCommits() internal {
        (uint64 deadline,,) = pot.deadlines(task);
        vm.warp(deadline + 1);
    }

    // ---- demands

    function demandManifest() internal returns (bytes32 id) {
        afterCommits();
        vm.prank(reporter);
        id = mining.demand{value: DEPOSIT}(task, 0, miner);
    }

    function demandRoot() internal returns (bytes32 id) {
        bytes32 parent = demandManifest();
        mining.publish(parent, SALT, manifest);
        vm.prank(reporter);
        id = mining.demandBlock{value: DEPOSIT}(parent, manifest, 13);
    }

    /// @dev The chunk behind link `index` of the root.
    function demandChunk(uint256 index) internal returns (bytes32 id) {
        bytes32 parent = demandRoot();
        mining.publishBlock(parent, root);
        vm.prank(reporter);
        id = mining.demandBlock{value: DEPOSIT}(parent, root, 46 * index);
    }
}
