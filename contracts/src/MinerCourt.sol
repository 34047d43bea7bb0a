// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Court} from "./courts/Court.sol";
import {IMinerCourt} from "./interfaces/IMinerCourt.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofOfTraining} from "./interfaces/IProofOfTraining.sol";
import {ContentLinks} from "./libraries/ContentLinks.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {Votes} from "./libraries/Votes.sol";

/// @title MinerCourt
/// @notice Punishes miners for certified faults and for content that they do not publish.
contract MinerCourt is Court, IMinerCourt {
    uint64 private immutable ANSWER_WINDOW;
    uint64 private immutable APPEAL_WINDOW;
    uint256 private immutable DEPOSIT;
    uint256 private immutable PENALTY;

    mapping(uint256 taskId => mapping(uint64 round => mapping(address miner => Case))) private _cases;
    mapping(bytes32 demandId => Demand) private _demands;

    /// @param registry_ NodeRegistry that names this court
    /// @param training_ ProofOfTraining of that registry
    /// @param answerWindow_ seconds that a miner has to publish
    /// @param appealWindow_ seconds that anybody has to appeal, and then the committee to uphold
    /// @param deposit_ wei that a demand or an appeal costs
    constructor(address registry_, address training_, uint64 answerWindow_, uint64 appealWindow_, uint256 deposit_)
        Court(registry_, training_)
    {
        INodeRegistry.Config memory config = REGISTRY.config();
        _requireWindow(answerWindow_, config.evidenceWindow);
        _requireWindow(appealWindow_, config.evidenceWindow);
        (ANSWER_WINDOW, APPEAL_WINDOW) = (answerWindow_, appealWindow_);
        (DEPOSIT, PENALTY) = (deposit_, config.minMinerStake);
    }

    // ---- certified faults

    /// @inheritdoc IMinerCourt
    // slither-disable-next-line unused-return,reentrancy-events the verification reverts; the registry is immutable and calls nobody but this court
    function accuse(Fault calldata fault, uint64 epoch, bytes calldata certificate) external {
        (uint256 taskId, uint64 round, address miner) = (fault.taskId, fault.round, fault.miner);
        Case storage case_ = _caseIn(taskId, round, miner, CaseState.None);
        // of rounds to come everybody is a member who has not left
        if (round > TRAINING.task(taskId).round || !TRAINING.isMember(taskId, round, miner)) {
            revert NotMemberOf(taskId, round, miner);
        }
        _requireLiving(epoch);
        REGISTRY.verifyCertificate(epoch, _faultDigest(Votes.MINER_FAULT_TYPEHASH, fault), certificate);
        uint64 deadline = _startWindow(miner, APPEAL_WINDOW);
        (case_.record, case_.state, case_.deadline) = (fault.record, CaseState.Accused, deadline);
        emit Accused(taskId, round, miner, fault.record, deadline);
    }

    /// @inheritdoc IMinerCourt
    function appeal(uint256 taskId, uint64 round, address miner) external payable {
        Case storage case_ = _caseIn(taskId, round, miner, CaseState.Accused);
        _requireNotAfter(case_.deadline);
        _requireDeposit();
        // accuse has held the stake for this window too
        uint64 deadline = uint64(block.timestamp) + APPEAL_WINDOW;
        (case_.state, case_.deadline, case_.appellant) = (CaseState.Appealed, deadline, msg.sender);
        emit Appealed(taskId, round, miner, msg.sender, deadline);
    }

    /// @inheritdoc IMinerCourt
    function uphold(Fault calldata fault, bytes calldata certificate) external {
        Case storage case_ = _caseIn(fault.taskId, fault.round, fault.miner, CaseState.Appealed);
        _requireNotAfter(case_.deadline);
        if (fault.record != case_.record) revert WrongRecord(fault.record, case_.record);
        uint64 epoch = REGISTRY.currentEpoch();
        uint256 needed = appealQuorum(_requireLiving(epoch));
        bytes32 digest = _faultDigest(Votes.MINER_FAULT_UPHELD_TYPEHASH, fault);
        uint256 signers = _count(REGISTRY.verifyCertificate(epoch, digest, certificate));
        if (signers < needed) revert AppealQuorumNotReached(signers, needed);
        _convict(case_, fault.taskId, fault.round, fault.miner);
        _burn(DEPOSIT);
    }

    /// @inheritdoc IMinerCourt
    function acquit(uint256 taskId, uint64 round, address miner) external {
        Case storage case_ = _caseIn(taskId, round, miner, CaseState.Appealed);
        _requireAfter(case_.deadline);
        case_.state = CaseState.Closed;
        _credit(case_.appellant, DEPOSIT);
        emit Acquitted(taskId, round, miner);
    }

    /// @inheritdoc IMinerCourt
    function execute(uint256 taskId, uint64 round, address miner) external {
        Case storage case_ = _caseIn(taskId, round, miner, CaseState.Accused);
        _requireAfter(case_.deadline);
        _convict(case_, taskId, round, miner);
    }

    // ---- data availability

    /// @inheritdoc IMinerCourt
    function demand(uint256 taskId, uint64 round, address miner) external payable returns (bytes32 demandId) {
        bytes24 seal = TRAINING.sealOf(taskId, round, miner);
        if (seal == 0) revert NoSeal(taskId, round, miner);
        _requireDemandable(taskId, round);
        demandId = demandIdOf(taskId, round, miner, 0);
        _demand(demandId, taskId, round, miner, Content.Manifest, seal);
    }

    /// @inheritdoc IMinerCourt
    function demandBlock(bytes32 parentId, bytes calldata parent, uint256 offset)
        external
        payable
        returns (bytes32 demandId)
    {
        Demand storage answered = _demandIn(parentId, DemandState.Answered);
        _requireNotAfter(answered.deadline);
        _requireDigest(answered.target, parent);
        Content content = answered.content;
        if (content == Content.Raw) revert WrongContent(content); // its bytes refer to nothing, whatever they look like
        (uint8 codec, bytes32 digest) =
            content == Content.Manifest ? ContentLinks.inText(parent, offset) : ContentLinks.inNode(parent, offset);
        (uint256 taskId, uint64 round, address miner) = (answered.taskId, answered.round, answered.miner);
        demandId = demandIdOf(taskId, round, miner, digest);
        content = codec == ContentLinks.RAW ? Content.Raw : Content.Node;
        _demand(demandId, taskId, round, miner, content, digest);
    }

    /// @inheritdoc IMinerCourt
    function publish(bytes32 demandId, bytes32 salt, bytes calldata manifest) external {
        Demand storage open = _openDemand(demandId);
        if (open.content != Content.Manifest) revert WrongContent(open.content);
        bytes32 digest = sha256(manifest);
        bytes32 seal =
            keccak256(abi.encode(block.chainid, address(TRAINING), open.taskId, open.round, open.miner, digest, salt));
        // forge-lint: disable-next-line(unsafe-typecast)
        bytes32 kept = bytes24(seal); // what ProofOfTraining keeps of a seal
        if (kept != open.target) revert WrongData(open.target, kept);
        open.target = digest;
        _answer(demandId, open);
    }

    /// @inheritdoc IMinerCourt
    function publishBlock(bytes32 demandId, bytes calldata data) external {
        Demand storage open = _openDemand(demandId);
        if (open.content == Content.Manifest) revert WrongContent(open.content);
        _requireDigest(open.target, data);
        _answer(demandId, open);
    }

    /// @inheritdoc IMinerCourt
    // slither-disable-next-line reentrancy-no-eth,reentrancy-events the registry is immutable and calls nobody but this court
    function punish(bytes32 demandId) external {
        Demand storage open = _demandIn(demandId, DemandState.Open);
        _requireAfter(open.deadline);
        open.state = DemandState.Punished;
        _credit(open.demander, DEPOSIT);
        uint256 taken = _penalize(open.miner);
        emit Punished(demandId, taken);
        _distribute(taken, open.taskId, open.demander);
    }

    // ---- views

    /// @inheritdoc IMinerCourt
    function caseOf(uint256 taskId, uint64 round, address miner) external view returns (Case memory) {
        return _cases[taskId][round][miner];
    }

    /// @inheritdoc IMinerCourt
    function demandOf(bytes32 demandId) external view returns (Demand memory) {
        return _demands[demandId];
    }

    /// @inheritdoc IMinerCourt
    function demandIdOf(uint256 taskId, uint64 round, address miner, bytes32 digest) public pure returns (bytes32) {
        return keccak256(abi.encode(taskId, round, miner, digest));
    }

    /// @inheritdoc IMinerCourt
    function appealQuorum(uint256 size) public pure returns (uint256) {
        return Math.min(size, Quorum.quorum(size) + Quorum.maxFaulty(size) / 2 + 1);
    }

    /// @inheritdoc IMinerCourt
    function deposit() external view returns (uint256) {
        return DEPOSIT;
    }

    /// @inheritdoc IMinerCourt
    function answerWindow() external view returns (uint64) {
        return ANSWER_WINDOW;
    }

    /// @inheritdoc IMinerCourt
    function appealWindow() external view returns (uint64) {
        return APPEAL_WINDOW;
    }

    // ---- internal

    // slither-disable-next-line reentrancy-benign,reentrancy-events the registry is immutable and calls nobody but this court
    function _convict(Case storage case_, uint256 taskId, uint64 round, address miner) private {
        case_.state = CaseState.Closed;
        uint256 taken = _penalize(miner);
        emit Convicted(taskId, round, miner, taken);
        _distribute(taken, taskId, address(0));
    }

    /// @dev Takes nothing, and lets the case end, if the account is no miner any more: deposits do not depend on it.
    function _penalize(address miner) private returns (uint256) {
        if (REGISTRY.node(miner).role != INodeRegistry.Role.Miner) return 0;
        return REGISTRY.slash(miner, PENALTY);
    }

    // slither-disable-next-line reentrancy-no-eth,reentrancy-events the registry is immutable and calls nobody but this court
    function _demand(bytes32 demandId, uint256 taskId, uint64 round, address miner, Content content, bytes32 target)
        private
    {
        _demandIn(demandId, DemandState.None);
        _requireDeposit();
        uint64 deadline = _startWindow(miner, ANSWER_WINDOW);
        _demands[demandId] = Demand(taskId, miner, round, DemandState.Open, content, target, msg.sender, deadline);
        emit Demanded(demandId, taskId, miner, round, content, target, msg.sender, deadline);
    }

    function _answer(bytes32 demandId, Demand storage open) private {
        uint64 furtherUntil = uint64(block.timestamp) + ANSWER_WINDOW;
        (open.state, open.deadline) = (DemandState.Answered, furtherUntil);
        _credit(open.miner, DEPOSIT);
        emit Published(demandId, open.target, furtherUntil);
    }

    /// @dev The stake is held for the window and for as long again: for an appeal, or for anybody to have the miner punished. The
    ///      registry refuses to hold the stake of anybody but a registered miner.
    function _startWindow(address miner, uint64 window) private returns (uint64 deadline) {
        deadline = uint64(block.timestamp) + window;
        REGISTRY.hold(miner, deadline + window + 1); // the last second counts
    }

    // slither-disable-next-line unused-return the reveal deadline lies between the two
    function _requireDemandable(uint256 taskId, uint64 round) private view {
        IProofOfTraining.Task memory task = TRAINING.task(taskId);
        if (round == task.round) {
            (uint64 commitDeadline,, uint64 finalizeDeadline) = TRAINING.deadlines(taskId);
            _requireAfter(commitDeadline);
            _requireNotAfter(finalizeDeadline + ANSWER_WINDOW);
        } else if (uint256(round) + 1 == task.round) {
            _requireNotAfter(task.roundStartedAt + ANSWER_WINDOW);
        } else {
            revert TooLate(task.roundStartedAt);
        }
    }

    function _openDemand(bytes32 demandId) private view returns (Demand storage open) {
        open = _demandIn(demandId, DemandState.Open);
        _requireNotAfter(open.deadline);
    }

    function _demandIn(bytes32 demandId, DemandState state) private view returns (Demand storage demand_) {
        demand_ = _demands[demandId];
        if (demand_.state != state) revert WrongDemandState(demand_.state);
    }

    function _caseIn(uint256 taskId, uint64 round, address miner, CaseState state)
        private
        view
        returns (Case storage case_)
    {
        case_ = _cases[taskId][round][miner];
        if (case_.state != state) revert WrongCaseState(case_.state);
    }

    function _faultDigest(bytes32 typeHash, Fault calldata fault) private view returns (bytes32) {
        return _digest(Votes.faultHash(typeHash, fault.taskId, fault.round, fault.miner, fault.record));
    }

    /// @dev Number of validators of an epoch whose certificates count.
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function _requireLiving(uint64 epoch) private view returns (uint256 size) {
        INodeRegistry.Epoch memory info = REGISTRY.epochInfo(epoch);
        if (block.timestamp > info.expiresAt) revert INodeRegistry.EpochExpired(epoch, info.expiresAt);
        return info.size;
    }

    function _requireDeposit() private view {
        if (msg.value != DEPOSIT) revert WrongDeposit(msg.value, DEPOSIT);
    }

    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function _requireAfter(uint64 deadline) private view {
        if (block.timestamp <= deadline) revert TooEarly(deadline);
    }

    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function _requireNotAfter(uint64 deadline) private view {
        if (block.timestamp > deadline) revert TooLate(deadline);
    }

    function _requireDigest(bytes32 target, bytes calldata data) private pure {
        bytes32 digest = sha256(data);
        if (digest != target) revert WrongData(target, digest);
    }

    /// @dev The registry holds a stake for `evidenceWindow` at most, and must hold it for two windows and a second.
    function _requireWindow(uint64 window, uint64 evidenceWindow) private pure {
        if (window == 0 || 2 * uint256(window) >= evidenceWindow) revert InvalidWindow(window, evidenceWindow);
    }

    function _count(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }
}
