// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {KeyBlob} from "./libraries/KeyBlob.sol";
import {Quorum} from "./libraries/Quorum.sol";

/// @title NodeRegistry
/// @notice Stakes, vote keys and validator epochs. No account has any power over another's stake.
contract NodeRegistry is INodeRegistry, EIP712 {
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @param keys contract whose code holds the vote keys (KeyBlob)
    /// @param size number of validators
    /// @param quorum signatures that a certificate needs
    /// @param startedAt timestamp (seconds) of the snapshot
    struct Epoch {
        address keys;
        uint16 size;
        uint16 quorum;
        uint64 startedAt;
    }

    /// @notice Least number of validators of an epoch: the smallest set that tolerates one fault.
    uint256 public constant MIN_VALIDATORS = 4;
    /// @notice Most validators that can be bonded; bounds the cost of a snapshot and of a certificate.
    uint256 public constant MAX_VALIDATORS = 100;
    /// @notice Most bytes of an endpoint.
    uint256 public constant MAX_ENDPOINT_LENGTH = 256;

    bytes32 private constant KEY_OWNERSHIP_TYPEHASH = keccak256("KeyOwnership(address operator)");

    uint256 private immutable MIN_MINER_STAKE;
    uint256 private immutable MIN_VALIDATOR_STAKE;
    uint64 private immutable UNBONDING_PERIOD;
    uint64 private immutable EPOCH_LENGTH;

    mapping(address account => Node) private _nodes;
    mapping(address account => string endpoint) private _endpoints;
    /// @dev Never cleared: a key stays with its first operator for ever.
    mapping(address voteKey => address operator) private _operators;
    /// @dev Vote keys of the bonded validators.
    EnumerableSet.AddressSet private _bonded;

    uint64 private _currentEpoch;
    mapping(uint64 number => Epoch) private _epochs;

    /// @param minMinerStake_ least stake of a miner, in wei
    /// @param minValidatorStake_ least stake of a validator, in wei
    /// @param unbondingPeriod_ seconds from the start of unbonding to the withdrawal of the stake
    /// @param epochLength_ least number of seconds between two epochs; 0 for local networks
    constructor(uint256 minMinerStake_, uint256 minValidatorStake_, uint64 unbondingPeriod_, uint64 epochLength_)
        EIP712("NodeRegistry", "1")
    {
        MIN_MINER_STAKE = minMinerStake_;
        MIN_VALIDATOR_STAKE = minValidatorStake_;
        UNBONDING_PERIOD = unbondingPeriod_;
        EPOCH_LENGTH = epochLength_;
    }

    // ---- registration and stake

    /// @inheritdoc INodeRegistry
    function registerMiner() external payable {
        _register(Role.Miner, MIN_MINER_STAKE, address(0));
        emit NodeRegistered(msg.sender, Role.Miner, address(0), msg.value, "");
    }

    /// @inheritdoc INodeRegistry
    function registerValidator(address voteKey, bytes calldata possession, string calldata endpoint) external payable {
        _register(Role.Validator, MIN_VALIDATOR_STAKE, voteKey);
        _bindVoteKey(voteKey, possession);
        if (_bonded.length() == MAX_VALIDATORS) revert ValidatorSetFull(MAX_VALIDATORS);
        _bonded.add(voteKey);
        _storeEndpoint(endpoint);
        emit NodeRegistered(msg.sender, Role.Validator, voteKey, msg.value, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function addStake() external payable {
        Node storage self = _bondedNode();
        if (msg.value == 0) revert NoValueSent();
        uint256 stake = self.stake + msg.value;
        self.stake = SafeCast.toUint128(stake);
        emit StakeAdded(msg.sender, msg.value, stake);
    }

    /// @inheritdoc INodeRegistry
    function setEndpoint(string calldata endpoint) external {
        if (_nodes[msg.sender].role != Role.Validator) revert NotValidator(msg.sender);
        _storeEndpoint(endpoint);
        emit EndpointChanged(msg.sender, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function startUnbonding() external {
        Node storage self = _bondedNode();
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING_PERIOD;
        self.unbondingAt = withdrawableAt;
        if (self.role == Role.Validator) _bonded.remove(self.voteKey);
        emit UnbondingStarted(msg.sender, self.stake, withdrawableAt);
    }

    /// @inheritdoc INodeRegistry
    function withdrawStake() external {
        Node storage self = _nodes[msg.sender];
        if (self.role == Role.None) revert NotRegistered(msg.sender);
        uint64 withdrawableAt = self.unbondingAt;
        if (withdrawableAt == 0 || block.timestamp < withdrawableAt) revert StakeLocked(msg.sender, withdrawableAt);
        uint256 amount = self.stake;
        // everything is settled before the transfer: a receiver that calls back finds itself unregistered
        delete _nodes[msg.sender];
        delete _endpoints[msg.sender];
        emit StakeWithdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    // ---- epochs

    /// @inheritdoc INodeRegistry
    function advanceEpoch() external returns (uint64 epoch) {
        uint256 size = _bonded.length();
        if (size < MIN_VALIDATORS) revert TooFewValidators(size, MIN_VALIDATORS);
        epoch = _currentEpoch;
        if (epoch != 0) {
            uint64 endsAt = _epochs[epoch].startedAt + EPOCH_LENGTH;
            if (block.timestamp < endsAt) revert EpochNotOver(endsAt);
        }

        address[] memory voteKeys = Arrays.sort(_bonded.values());
        uint256 quorum = Quorum.quorum(size);
        _currentEpoch = ++epoch;
        _epochs[epoch] = Epoch({
            keys: KeyBlob.write(voteKeys),
            size: SafeCast.toUint16(size),
            quorum: SafeCast.toUint16(quorum),
            startedAt: uint64(block.timestamp)
        });
        emit EpochAdvanced(epoch, quorum, voteKeys);
    }

    /// @inheritdoc INodeRegistry
    function verifyCertificate(uint64 epoch, bytes32 digest, bytes calldata signatures)
        external
        view
        returns (uint256[] memory signers)
    {
        Epoch memory record = _epochRecord(epoch);
        bytes memory keys = KeyBlob.read(record.keys, record.size);
        return Certificates.verify(keys, record.size, record.quorum, digest, signatures);
    }

    /// @inheritdoc INodeRegistry
    function currentEpoch() external view returns (uint64) {
        return _currentEpoch;
    }

    /// @inheritdoc INodeRegistry
    function epochValidators(uint64 epoch) external view returns (address[] memory voteKeys) {
        Epoch memory record = _epochRecord(epoch);
        bytes memory keys = KeyBlob.read(record.keys, record.size);
        voteKeys = new address[](record.size);
        for (uint256 i = 0; i < record.size; ++i) {
            voteKeys[i] = KeyBlob.keyAt(keys, i);
        }
    }

    /// @inheritdoc INodeRegistry
    function epochQuorum(uint64 epoch) external view returns (uint256) {
        return _epochRecord(epoch).quorum;
    }

    // ---- nodes

    /// @inheritdoc INodeRegistry
    function node(address account) external view returns (Node memory) {
        return _nodes[account];
    }

    /// @inheritdoc INodeRegistry
    function endpointOf(address account) external view returns (string memory) {
        return _endpoints[account];
    }

    /// @inheritdoc INodeRegistry
    function isActiveMiner(address account) external view returns (bool) {
        Node storage self = _nodes[account];
        return self.role == Role.Miner && self.unbondingAt == 0;
    }

    /// @inheritdoc INodeRegistry
    function operatorOf(address voteKey) external view returns (address) {
        return _operators[voteKey];
    }

    /// @inheritdoc INodeRegistry
    function bondedValidators() external view returns (uint256) {
        return _bonded.length();
    }

    /// @inheritdoc INodeRegistry
    function minMinerStake() external view returns (uint256) {
        return MIN_MINER_STAKE;
    }

    /// @inheritdoc INodeRegistry
    function minValidatorStake() external view returns (uint256) {
        return MIN_VALIDATOR_STAKE;
    }

    /// @inheritdoc INodeRegistry
    function unbondingPeriod() external view returns (uint64) {
        return UNBONDING_PERIOD;
    }

    /// @inheritdoc INodeRegistry
    function epochLength() external view returns (uint64) {
        return EPOCH_LENGTH;
    }

    // ---- internal

    function _register(Role role, uint256 minimum, address voteKey) private {
        Node storage self = _nodes[msg.sender];
        if (self.role != Role.None) revert AlreadyRegistered(msg.sender, self.role);
        if (msg.value < minimum) revert StakeTooLow(msg.value, minimum);
        self.role = role;
        self.stake = SafeCast.toUint128(msg.value);
        self.voteKey = voteKey;
    }

    /// @dev The signature names the operator, so nobody can register a key that he has only seen, and a proof that was
    ///      seen in a pending transaction is of no use to another sender.
    function _bindVoteKey(address voteKey, bytes calldata possession) private {
        if (voteKey == address(0)) revert ZeroVoteKey();
        address operator = _operators[voteKey];
        if (operator != address(0) && operator != msg.sender) revert VoteKeyTaken(voteKey, operator);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(KEY_OWNERSHIP_TYPEHASH, msg.sender)));
        (address recovered,,) = ECDSA.tryRecoverCalldata(digest, possession);
        if (recovered != voteKey) revert InvalidPossession(voteKey, recovered);
        _operators[voteKey] = msg.sender;
    }

    function _storeEndpoint(string calldata endpoint) private {
        uint256 length = bytes(endpoint).length;
        if (length == 0 || length > MAX_ENDPOINT_LENGTH) revert InvalidEndpointLength(length, MAX_ENDPOINT_LENGTH);
        _endpoints[msg.sender] = endpoint;
    }

    function _bondedNode() private view returns (Node storage self) {
        self = _nodes[msg.sender];
        if (self.role == Role.None) revert NotRegistered(msg.sender);
        if (self.unbondingAt != 0) revert NodeUnbonding(msg.sender, self.unbondingAt);
    }

    function _epochRecord(uint64 epoch) private view returns (Epoch memory record) {
        record = _epochs[epoch];
        if (record.size == 0) revert UnknownEpoch(epoch);
    }
}
