// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MinerCourtFixture} from "../MinerCourtFixture.sol";
import {ICourt} from "../../src/interfaces/ICourt.sol";
import {IMinerCourt} from "../../src/interfaces/IMinerCourt.sol";
import {IValidatorCourt} from "../../src/interfaces/IValidatorCourt.sol";

/// @notice Culprits, reporters, demanders and the courts' money, for the invariant tests.
/// @dev A network of its own: four validators, two miners, one task. Calls of the courts may fail; those of the handler do not.
contract CourtHandler is MinerCourtFixture {
    uint256 public immutable STAKED;

    bytes32[] private _demands;
    /// @notice Rounds in which there may be cases.
    uint64 public rounds = 1;
    uint256 public depositsPaid;
    uint256 public withdrawn;
    uint256 public convictions;
    mapping(address court => uint256) public forced;

    constructor() {
        setUp();
        STAKED = staked();
    }

    // ---- the validator court

    function doubleVote(uint256 index, uint256 phase, uint256 who) external {
        uint256 key = voteKeys[index % 4];
        IValidatorCourt.DoubleVote memory evidence = doubleVote(key, task, IValidatorCourt.Phase(phase % 3));
        address reporter_ = account_(who);
        prepare(reporter_, evidence);
        _try(address(validators), reporter_, 0, abi.encodeCall(validators.reportDoubleVote, (evidence, SALT)));
    }

    function hiddenCommit(uint256 index, uint64 preparedView, uint256 who) external {
        IValidatorCourt.HiddenCommit memory evidence = hiddenCommit(voteKeys[index % 4], task, preparedView % 5, B);
        address reporter_ = account_(who);
        prepare(reporter_, evidence);
        _try(address(validators), reporter_, 0, abi.encodeCall(validators.reportViewChange, (evidence, SALT)));
    }

    function certificates(uint256 signersA, uint256 signersB, uint256 who) external {
        // an unknown task as well: its owner's share is burned
        IValidatorCourt.ConflictingCertificates memory evidence = conflict(who % 2 == 0 ? task : 77, signersA, signersB);
        address reporter_ = account_(who);
        prepare(reporter_, evidence);
        _try(address(validators), reporter_, 0, abi.encodeCall(validators.reportCertificates, (evidence, SALT)));
    }

    // ---- the miner court

    function commit(uint256 index) external {
        address miner_ = miners[index % 2];
        bytes32 seal = sealFor(task, rounds - 1, miner_, sha256(manifest), SALT);
        _try(address(pot), miner_, 0, abi.encodeCall(pot.commitGradient, (task, rounds - 1, seal)));
    }

    function skipRound() external {
        (,, uint64 deadline) = pot.deadlines(task);
        vm.warp(uint256(deadline) + 1);
        if (_try(address(pot), stranger, 0, abi.encodeCall(pot.skipRound, (task)))) {
            if (pot.task(task).round == rounds) ++rounds;
        }
    }

    function demand(uint256 round, uint256 index, uint256 who) external {
        address miner_ = miners[index % 2];
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 round_ = uint64(round % rounds); // below the number of rounds
        bytes memory data = abi.encodeCall(mining.demand, (task, round_, miner_));
        if (_pay(account_(who), data)) _demands.push(mining.demandIdOf(task, round_, miner_, 0));
    }

    function demandBlock(uint256 index, uint256 which, uint256 who) external {
        if (_demands.length == 0) return;
        bytes32 parent = _demands[index % _demands.length];
        IMinerCourt.Demand memory answered = mining.demandOf(parent);
        bool top = answered.content == IMinerCourt.Content.Manifest;
        bytes32 digest = top ? sha256(root) : which % 2 == 0 ? sha256(CHUNK) : sha256(CHUNK_2);
        bytes memory data =
            abi.encodeCall(mining.demandBlock, (parent, top ? manifest : root, top ? 13 : 46 * (which % 2)));
        if (_pay(account_(who), data)) {
            _demands.push(mining.demandIdOf(task, answered.round, answered.miner, digest));
        }
    }

    function answer(uint256 index, uint256 who) external {
        if (_demands.length == 0) return;
        bytes32 id = _demands[index % _demands.length];
        IMinerCourt.Demand memory asked = mining.demandOf(id);
        bytes memory data = asked.target == sha256(root) ? root : asked.target == sha256(CHUNK) ? CHUNK : CHUNK_2;
        data = asked.content == IMinerCourt.Content.Manifest
            ? abi.encodeCall(mining.publish, (id, SALT, manifest))
            : abi.encodeCall(mining.publishBlock, (id, data));
        _try(address(mining), account_(who), 0, data);
    }

    function punish(uint256 index, bool late) external {
        if (_demands.length == 0) return;
        bytes32 id = _demands[index % _demands.length];
        if (late) _passDeadline(mining.demandOf(id).deadline);
        if (_try(address(mining), stranger, 0, abi.encodeCall(mining.punish, (id)))) ++convictions;
    }

    function accuse(uint256 round, uint256 index) external {
        IMinerCourt.Fault memory fault_ = _fault(round, index);
        bytes memory certificate = signedBy(faultDigest("MinerFault", fault_), 7);
        _try(address(mining), stranger, 0, abi.encodeCall(mining.accuse, (fault_, 1, certificate)));
    }

    function appeal(uint256 round, uint256 index, uint256 who) external {
        IMinerCourt.Fault memory fault_ = _fault(round, index);
        _pay(account_(who), abi.encodeCall(mining.appeal, (task, fault_.round, fault_.miner)));
    }

    function uphold(uint256 round, uint256 index) external {
        IMinerCourt.Fault memory fault_ = _fault(round, index);
        bytes memory certificate = signedBy(faultDigest("MinerFaultUpheld", fault_), 15);
        if (_try(address(mining), stranger, 0, abi.encodeCall(mining.uphold, (fault_, certificate)))) ++convictions;
    }

    /// @dev Whichever of the two the case is ripe for.
    function conclude(uint256 round, uint256 index, bool late) external {
        IMinerCourt.Fault memory fault_ = _fault(round, index);
        IMinerCourt.Case memory case_ = mining.caseOf(task, fault_.round, fault_.miner);
        if (late && case_.state != IMinerCourt.CaseState.None) _passDeadline(case_.deadline);
        _try(address(mining), stranger, 0, abi.encodeCall(mining.acquit, (task, fault_.round, fault_.miner)));
        bytes memory data = abi.encodeCall(mining.execute, (task, fault_.round, fault_.miner));
        if (_try(address(mining), stranger, 0, data)) ++convictions;
    }

    // ---- both

    function withdraw(uint256 who, bool fromMining) external {
        ICourt court = fromMining ? ICourt(mining) : ICourt(validators);
        uint256 amount = court.owedTo(account_(who));
        if (_try(address(court), account_(who), 0, abi.encodeCall(court.withdraw, ()))) withdrawn += amount;
    }

    function forceEther(uint64 amount, bool toMining) external {
        address court = toMining ? address(mining) : address(validators);
        vm.deal(court, court.balance + amount);
        forced[court] += amount;
    }

    // ---- views

    /// @notice Everybody to whom a court can owe something, and nobody.
    function account_(uint256 who) public view returns (address) {
        who %= 6;
        if (who < 2) return miners[who];
        return who == 2 ? owner : who == 3 ? reporter : who == 4 ? stranger : operator(voteKeys[0]);
    }

    function owed(bool byMining) external view returns (uint256 sum) {
        ICourt court = byMining ? ICourt(mining) : ICourt(validators);
        for (uint256 i = 0; i < 6; ++i) {
            sum += court.owedTo(account_(i));
        }
        assertEq(court.owedTo(address(0)), 0, "nothing for nobody");
    }

    function openDeposits() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _demands.length; ++i) {
            if (mining.demandOf(_demands[i]).state == IMinerCourt.DemandState.Open) sum += DEPOSIT;
        }
        for (uint64 round = 0; round < rounds; ++round) {
            for (uint256 i = 0; i < 2; ++i) {
                if (mining.caseOf(task, round, miners[i]).state == IMinerCourt.CaseState.Appealed) sum += DEPOSIT;
            }
        }
    }

    function staked() public view returns (uint256 sum) {
        for (uint256 i = 0; i < 4; ++i) {
            sum += stakeOf(operator(voteKeys[i]));
        }
        return sum + stakeOf(miners[0]) + stakeOf(miners[1]);
    }

    function courts() external view returns (address, address) {
        return (address(validators), address(mining));
    }

    // ---- internal

    function _fault(uint256 round, uint256 index) private view returns (IMinerCourt.Fault memory) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return IMinerCourt.Fault(task, uint64(round % rounds), miners[index % 2], RECORD); // below the number of rounds
    }

    function _passDeadline(uint64 deadline) private {
        if (block.timestamp <= deadline) vm.warp(uint256(deadline) + 1);
    }

    function _pay(address who, bytes memory data) private returns (bool success) {
        vm.deal(who, who.balance + DEPOSIT);
        success = _try(address(mining), who, DEPOSIT, data);
        if (success) depositsPaid += DEPOSIT;
    }

    function _try(address target, address who, uint256 value, bytes memory data) private returns (bool success) {
        vm.prank(who);
        (success,) = target.call{value: value}(data);
    }
}
