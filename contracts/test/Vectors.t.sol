// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {VectorHarness} from "./mocks/VectorHarness.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";

/// @notice The contracts compute what tests/vectors/eip712.json says; pytest checks the Python side against the same file.
/// @dev The file is written by independent encoders (scripts/make_vectors.py).
contract VectorsTest is Base {
    string private _json;
    VectorHarness private _pot;
    NodeRegistry private _registry;

    function setUp() public {
        _json = vm.readFile("tests/vectors/eip712.json");
        vm.chainId(_uint(".chainId"));
        // the code of real deployments at the addresses of the file: OpenZeppelin's EIP712 notices the move
        NodeRegistry registry = new NodeRegistry(
            INodeRegistry.Config({
                minMinerStake: 1,
                minValidatorStake: 1,
                unbondingPeriod: 2,
                epochLength: 0,
                epochLifetime: 1,
                evidenceWindow: 1,
                validatorCourt: address(0),
                minerCourt: address(0)
            })
        );
        VectorHarness pot = new VectorHarness(address(registry));
        _registry = NodeRegistry(_address(".registry"));
        _pot = VectorHarness(_address(".contract"));
        vm.etch(address(_registry), address(registry).code);
        vm.etch(address(_pot), address(pot).code);
    }

    function test_Vectors_DomainSeparator() public view {
        assertEq(_pot.domainSeparator(), _bytes32(".structs.commit.domainSeparator"), "ProofOfTraining");
    }

    function test_Vectors_TypeHashes() public view {
        assertEq(_pot.decisionTypeHash(), _bytes32(".structs.decision.typeHash"), "Decision");
        assertEq(_pot.outcomeTypeHash(), _bytes32(".structs.outcome.typeHash"), "Outcome");
        assertEq(_pot.commitTypeHash(), _bytes32(".structs.commit.typeHash"), "Commit");
    }

    function test_Vectors_Decision() public view {
        IProofOfTraining.Outcome memory outcome = _outcome(".structs.decision.message.");
        assertEq(_pot.decisionHash(outcome), _bytes32(".structs.decision.structHash"), "hashStruct");
    }

    function test_Vectors_Outcome() public view {
        string memory at = ".structs.outcome.message.";
        IProofOfTraining.Outcome memory outcome = _outcome(string.concat(at, "decision."));
        outcome.rewardsRoot = _bytes32(string.concat(at, "rewardsRoot"));
        outcome.rewardsTotal = uint128(_uint(string.concat(at, "rewardsTotal")));
        assertEq(_pot.outcomeDigest(outcome), _bytes32(".structs.outcome.structHash"), "hashStruct");
    }

    function test_Vectors_Rotation() public view {
        string memory at = ".structs.rotation.message.";
        address[] memory voteKeys = vm.parseJsonAddressArray(_json, string.concat(at, "voteKeys"));
        bytes32 digest = _registry.rotationDigest(uint64(_uint(string.concat(at, "epoch"))), voteKeys);
        assertEq(digest, _bytes32(".structs.rotation.digest"), "digest");
    }

    function test_Vectors_Commit() public view {
        string memory at = ".structs.commit.message.";
        bytes32 digest = _pot.commitDigest(
            _uint(string.concat(at, "taskId")),
            uint64(_uint(string.concat(at, "round"))),
            uint64(_uint(string.concat(at, "epoch"))),
            uint64(_uint(string.concat(at, "view"))),
            _bytes32(string.concat(at, "digest"))
        );
        assertEq(digest, _bytes32(".structs.commit.digest"), "digest");
    }

    /// @dev A possession signed over the digest of the file is accepted by the registry at the address of the file.
    function test_Vectors_KeyOwnership() public {
        uint256 key = uint256(keccak256("vote key"));
        address operator = _address(".structs.keyOwnership.message.operator");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _bytes32(".structs.keyOwnership.digest"));
        vm.deal(operator, 1);
        vm.prank(operator);
        _registry.registerValidator{value: 1}(vm.addr(key), abi.encodePacked(r, s, v), "http://127.0.0.1:1");
        assertEq(_registry.operatorOf(vm.addr(key)), operator, "operator");
    }

    function test_Vectors_Seal() public view {
        bytes32 seal = _pot.seal(
            _uint(".seal.taskId"),
            uint64(_uint(".seal.round")),
            _address(".seal.miner"),
            _bytes32(".seal.cidDigest"),
            _bytes32(".seal.salt")
        );
        assertEq(seal, _bytes32(".seal.seal"), "seal");
    }

    function test_Vectors_GenesisHead() public view {
        bytes32 head =
            _pot.genesisHead(_uint(".genesis.taskId"), _bytes32(".genesis.spec"), _bytes32(".genesis.checkpoint"));
        assertEq(head, _bytes32(".genesis.head"), "head");
    }

    function test_Vectors_Quorums() public view {
        uint256 rows;
        for (; _exists(".quorum", rows); ++rows) {
            string memory at = _item(".quorum", rows);
            uint256 n = _uint(string.concat(at, ".n"));
            assertEq(Quorum.maxFaulty(n), _uint(string.concat(at, ".maxFaulty")), "maxFaulty");
            assertEq(Quorum.quorum(n), _uint(string.concat(at, ".quorum")), "quorum");
        }
        assertGe(rows, 100, "rows of the table");
    }

    function test_Vectors_MerkleTrees() public view {
        uint256 trees;
        uint256 leaves;
        for (; _exists(".merkle", trees); ++trees) {
            string memory tree = _item(".merkle", trees);
            uint256 taskId = _uint(string.concat(tree, ".taskId"));
            bytes32 root = _bytes32(string.concat(tree, ".root"));
            string memory list = string.concat(tree, ".leaves");
            for (uint256 i = 0; _exists(list, i); ++i) {
                _checkLeaf(_item(list, i), taskId, root);
                ++leaves;
            }
        }
        assertGe(trees, 6, "trees");
        assertGe(leaves, 32, "leaves");
    }

    /// @dev The decision at a place of the file; without rewards.
    function _outcome(string memory at) private view returns (IProofOfTraining.Outcome memory outcome) {
        outcome.taskId = _uint(string.concat(at, "taskId"));
        outcome.round = uint64(_uint(string.concat(at, "round")));
        outcome.parent = _bytes32(string.concat(at, "parent"));
        outcome.checkpoint = _bytes32(string.concat(at, "checkpoint"));
        outcome.record = _bytes32(string.concat(at, "record"));
        outcome.loss = uint64(_uint(string.concat(at, "loss")));
        outcome.accepted = uint32(_uint(string.concat(at, "accepted")));
        outcome.chainReveals = uint32(_uint(string.concat(at, "chainReveals")));
    }

    function _checkLeaf(string memory at, uint256 taskId, bytes32 root) private view {
        address account_ = _address(string.concat(at, ".account"));
        uint128 cumulative = uint128(_uint(string.concat(at, ".cumulative")));
        bytes32 leaf = _pot.rewardLeaf(taskId, account_, cumulative);
        assertEq(leaf, _bytes32(string.concat(at, ".leaf")), "leaf");
        bytes32[] memory proof = vm.parseJsonBytes32Array(_json, string.concat(at, ".proof"));
        assertTrue(_pot.verifyProof(proof, root, leaf), "proof");
    }

    function _item(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]");
    }

    function _exists(string memory list, uint256 index) private view returns (bool) {
        return vm.keyExistsJson(_json, _item(list, index));
    }

    function _uint(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(_json, key);
    }

    function _address(string memory key) private view returns (address) {
        return vm.parseJsonAddress(_json, key);
    }

    function _bytes32(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(_json, key);
    }
}
