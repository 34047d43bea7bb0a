// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Merkle} from "./Merkle.sol";
import {TestToken} from "./mocks/TestToken.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "../src/interfaces/IProofOfTraining.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {ProofOfTraining} from "../src/ProofOfTraining.sol";

/// @notice A network of validators and miners, and the steps of a task's life. Signatures are real.
abstract contract Fixture is Base {
    /// @dev Order of the curve, to turn a signature into its malleable twin.
    uint256 internal constant SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    uint256 internal constant MINER_STAKE = 1 ether;
    uint256 internal constant VALIDATOR_STAKE = 10 ether;
    uint64 internal constant UNBONDING = 21 days;
    uint64 internal constant EPOCH_LENGTH = 1 hours;
    uint64 internal constant EPOCH_LIFETIME = 14 days;
    uint64 internal constant EVIDENCE_WINDOW = 7 days;

    bytes32 internal constant SPEC = keccak256("spec");
    bytes32 internal constant CHECKPOINT = keccak256("checkpoint 0");
    uint128 internal constant BUDGET = 10 ether;
    uint128 internal constant REWARD = 1 ether;

    uint32 internal constant COMMIT_WINDOW = 60;
    uint32 internal constant REVEAL_WINDOW = 30;
    uint32 internal constant FINALIZE_WINDOW = 120;

    NodeRegistry internal registry;
    ProofOfTraining internal pot;
    TestToken internal token;

    address internal owner = account("owner");
    address internal stranger = account("stranger");
    address internal validatorCourt = account("validator court");
    address internal minerCourt = account("miner court");
    address[] internal miners;
    /// @dev Vote keys in the order of the epoch: ascending by address.
    uint256[] internal voteKeys;
    /// @dev By task: what `finalizeWith` made final last.
    mapping(uint256 taskId => IProofOfTraining.Outcome) internal lastOutcome;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        vm.prevrandao(keccak256("randao 0"));
        bytes memory code = codeOf("NodeRegistry", type(NodeRegistry).creationCode);
        registry = NodeRegistry(create(bytes.concat(code, abi.encode(registryConfig()))));
        code = codeOf("ProofOfTraining", type(ProofOfTraining).creationCode);
        pot = ProofOfTraining(create(bytes.concat(code, abi.encode(registry))));
        token = new TestToken();
        vm.deal(owner, 1000 ether);
        token.mint(owner, 1000 ether);
        vm.prank(owner);
        token.approve(address(pot), type(uint256).max);
    }

    // ---- registry

    function registryConfig() internal view returns (INodeRegistry.Config memory) {
        return INodeRegistry.Config({
            minMinerStake: MINER_STAKE,
            minValidatorStake: VALIDATOR_STAKE,
            unbondingPeriod: UNBONDING,
            epochLength: EPOCH_LENGTH,
            epochLifetime: EPOCH_LIFETIME,
            evidenceWindow: EVIDENCE_WINDOW,
            validatorCourt: validatorCourt,
            minerCourt: minerCourt
        });
    }

    function operator(uint256 key) internal pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("operator", key)))));
    }

    function possession(uint256 key, address forOperator) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, ownershipDigest(forOperator));
        return abi.encodePacked(r, s, v);
    }

    function ownershipDigest(address forOperator) internal view returns (bytes32) {
        bytes32 domain = domainOf("NodeRegistry", address(registry));
        bytes32 structHash = keccak256(abi.encode(keccak256("KeyOwnership(address operator)"), forOperator));
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function domainOf(string memory name, address verifier) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
    }

    function registerValidator(uint256 key) internal {
        address who = operator(key);
        vm.deal(who, VALIDATOR_STAKE);
        bytes memory proof = possession(key, who);
        vm.prank(who);
        registry.registerValidator{value: VALIDATOR_STAKE}(vm.addr(key), proof, "http://127.0.0.1:9000");
    }

    /// @dev Registers `count` validators and makes them the next epoch.
    function bootEpoch(uint256 count) internal {
        for (uint256 i = 0; i < count; ++i) {
            uint256 key = uint256(keccak256(abi.encode("vote key", voteKeys.length)));
            registerValidator(key);
            _insertSorted(key);
        }
        registry.advanceEpoch("");
    }

    /// @dev What the first `count` members of the current set sign to hand over to the next one.
    function handover(uint256 count) internal view returns (bytes memory) {
        return signAll(registry.rotationDigest(registry.currentEpoch() + 1, registry.nextValidators()), count);
    }

    /// @dev Moves the time to the end of the current epoch and lets its set hand over.
    function rotate() internal returns (uint64 epoch) {
        vm.warp(registry.epochInfo(registry.currentEpoch()).replaceableAt);
        return registry.advanceEpoch(handover(quorum()));
    }

    function _insertSorted(uint256 key) private {
        voteKeys.push(key);
        for (uint256 i = voteKeys.length - 1; i > 0 && vm.addr(voteKeys[i]) < vm.addr(voteKeys[i - 1]); --i) {
            (voteKeys[i], voteKeys[i - 1]) = (voteKeys[i - 1], voteKeys[i]);
        }
    }

    function startUnbonding(address who) internal {
        vm.prank(who);
        registry.startUnbonding();
    }

    function leaveRegistry(address who) internal {
        startUnbonding(who);
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(who);
        registry.withdrawStake();
    }

    function assertNode(address who, INodeRegistry.Role role, uint256 stake, uint256 unbondingAt, address voteKey)
        internal
        view
    {
        INodeRegistry.Node memory node = registry.node(who);
        assertEq(uint256(node.role), uint256(role), "role");
        assertEq(node.stake, stake, "stake");
        assertEq(node.unbondingAt, unbondingAt, "unbondingAt");
        assertEq(node.voteKey, voteKey, "voteKey");
    }

    function newMiner() internal returns (address miner) {
        miner = address(uint160(uint256(keccak256(abi.encode("miner", miners.length)))));
        miners.push(miner);
        vm.deal(miner, MINER_STAKE);
        vm.prank(miner);
        registry.registerMiner{value: MINER_STAKE}();
    }

    // ---- tasks

    function defaultParams() internal pure returns (IProofOfTraining.TaskParams memory) {
        return IProofOfTraining.TaskParams({
            spec: SPEC,
            checkpoint: CHECKPOINT,
            token: address(0),
            budget: BUDGET,
            rewardPerRound: REWARD,
            rounds: 5,
            minMiners: 2,
            maxMiners: 4,
            maxSkips: 2,
            startWindow: 1 days,
            commitWindow: COMMIT_WINDOW,
            revealWindow: REVEAL_WINDOW,
            finalizeWindow: FINALIZE_WINDOW,
            stopLossAfter: 0,
            stopLoss: 0
        });
    }

    function createTask(IProofOfTraining.TaskParams memory params) internal returns (uint256 taskId) {
        uint256 value = params.token == address(0) ? params.budget : 0;
        vm.prank(owner);
        taskId = pot.createTask{value: value}(params);
    }

    function createTask() internal returns (uint256) {
        return createTask(defaultParams());
    }

    function createTokenTask() internal returns (uint256) {
        IProofOfTraining.TaskParams memory params = defaultParams();
        params.token = address(token);
        return createTask(params);
    }

    function join(uint256 taskId, address miner) internal {
        vm.prank(miner);
        pot.join(taskId);
    }

    /// @dev Boots an epoch of four if there is none, and lets `minMiners` new miners join.
    function start(uint256 taskId) internal {
        if (registry.currentEpoch() == 0) bootEpoch(4);
        uint32 minMiners = pot.task(taskId).params.minMiners;
        while (pot.task(taskId).members < minMiners) join(taskId, newMiner());
    }

    function runningTask() internal returns (uint256 taskId) {
        taskId = createTask();
        start(taskId);
    }

    // ---- rounds

    function sealFor(uint256 taskId, uint64 round, address miner, bytes32 cid, bytes32 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(pot), taskId, round, miner, cid, salt));
    }

    /// @dev What the contract keeps of a seal.
    function prefix(bytes32 seal) internal pure returns (bytes24) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return bytes24(seal); // the cut is the point
    }

    /// @dev An outcome of the open round that allocates `increase` more to the tree `root`.
    function outcomeOf(uint256 taskId, bytes32 root, uint128 increase)
        internal
        view
        returns (IProofOfTraining.Outcome memory)
    {
        IProofOfTraining.Task memory t = pot.task(taskId);
        return IProofOfTraining.Outcome({
            taskId: taskId,
            round: t.round,
            parent: t.head,
            checkpoint: keccak256(abi.encode("checkpoint", taskId, t.round + 1)),
            record: keccak256(abi.encode("record", taskId, t.round)),
            loss: 500_000,
            accepted: t.members,
            chainReveals: t.chainReveals,
            rewardsRoot: root,
            rewardsTotal: t.allocated + increase
        });
    }

    /// @dev Certificate by the first `count` validators of the epoch, in view 0.
    function certify(IProofOfTraining.Outcome memory outcome, uint256 count)
        internal
        view
        returns (IProofOfTraining.Certificate memory)
    {
        uint64 epoch = pot.task(outcome.taskId).epoch;
        bytes32 digest = pot.commitDigest(outcome.taskId, outcome.round, epoch, 0, pot.outcomeDigest(outcome));
        return IProofOfTraining.Certificate({epoch: epoch, viewNumber: 0, signatures: signAll(digest, count)});
    }

    function signAll(bytes32 digest, uint256 count) internal view returns (bytes memory signatures) {
        for (uint256 i = 0; i < count; ++i) {
            signatures = abi.encodePacked(signatures, entry(digest, i));
        }
    }

    function entry(bytes32 digest, uint256 index) internal view returns (bytes memory) {
        (bytes32 r, bytes32 vs) = vm.signCompact(voteKeys[index], digest);
        // forge-lint: disable-next-line(unsafe-typecast)
        return abi.encodePacked(uint16(index), r, vs); // at most 100 validators
    }

    function quorum() internal view returns (uint256) {
        return registry.epochInfo(registry.currentEpoch()).quorum;
    }

    /// @dev Finalizes the open round with a tree of a single leaf: everything allocated so far goes to `account_`.
    function finalizeFor(uint256 taskId, address account_, uint128 increase) internal returns (uint128 cumulative) {
        cumulative = pot.task(taskId).allocated + increase;
        finalize(taskId, Merkle.leaf(taskId, account_, cumulative), increase);
    }

    function finalize(uint256 taskId, bytes32 root, uint128 increase) internal {
        IProofOfTraining.Outcome memory outcome = outcomeOf(taskId, root, increase);
        finalizeWith(outcome);
    }

    /// @dev Finalizes the open round, and notes the outcome for claims.
    function finalizeWith(IProofOfTraining.Outcome memory outcome) internal {
        pot.finalizeRound(outcome, certify(outcome, quorum()));
        lastOutcome[outcome.taskId] = outcome;
    }

    /// @dev A claim against the last outcome that `finalizeWith` made final.
    function claimOf(uint256 taskId, address account_, uint128 cumulative, bytes32[] memory proof)
        internal
        view
        returns (IProofOfTraining.Claim memory)
    {
        IProofOfTraining.Outcome memory outcome = lastOutcome[taskId];
        return IProofOfTraining.Claim({
            taskId: taskId,
            account: account_,
            cumulative: cumulative,
            rewardsTotal: outcome.rewardsTotal,
            decision: pot.decisionHash(outcome),
            proof: proof
        });
    }

    function claimFor(uint256 taskId, address account_, uint128 cumulative, bytes32[] memory proof)
        internal
        returns (uint256)
    {
        return pot.claim(claimOf(taskId, account_, cumulative, proof));
    }

    function expectRefusal(IProofOfTraining.Claim memory request, bytes memory reason) internal {
        vm.expectRevert(reason);
        pot.claim(request);
    }

    /// @dev Moves the time behind the finalize deadline and skips the open round.
    function skip(uint256 taskId) internal {
        (,, uint64 deadline) = pot.deadlines(taskId);
        vm.warp(uint256(deadline) + 1);
        pot.skipRound(taskId);
    }

    function state(uint256 taskId) internal view returns (IProofOfTraining.TaskState) {
        return pot.task(taskId).state;
    }

    function assertState(uint256 taskId, IProofOfTraining.TaskState expected) internal view {
        assertEq(uint256(state(taskId)), uint256(expected), "state of the task");
    }

    function noProof() internal pure returns (bytes32[] memory) {
        return new bytes32[](0);
    }
}
