// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {BlsKeys} from "../libraries/BlsKeys.sol";

/// @title Nodes
/// @notice The part of NodeRegistry that holds stakes and keys.
abstract contract Nodes is INodeRegistry, EIP712 {
    using BlsKeys for BlsKeys.Book;
    using EnumerableSet for EnumerableSet.AddressSet;

    /// @notice Most validators that can be bonded; bounds the cost of a snapshot and of a certificate.
    uint256 public constant MAX_VALIDATORS = 100;
    /// @notice Most bytes of an endpoint.
    uint256 public constant MAX_ENDPOINT_LENGTH = 256;

    bytes32 private constant KEY_OWNERSHIP_TYPEHASH = keccak256("KeyOwnership(address operator)");

    uint256 private immutable MIN_MINER_STAKE;
    uint256 private immutable MIN_VALIDATOR_STAKE;
    uint64 private immutable UNBONDING_PERIOD;
    uint64 internal immutable EPOCH_LENGTH;
    uint64 internal immutable EPOCH_LIFETIME;
    uint64 private immutable EVIDENCE_WINDOW;
    address private immutable VALIDATOR_COURT;
    address private immutable MINER_COURT;

    mapping(address account => Node) internal _nodes;
    mapping(address account => string endpoint) private _endpoints;
    /// @dev Never cleared: a key belongs to one registration for ever.
    mapping(address voteKey => address operator) internal _operators;
    BlsKeys.Book internal _blsKeys;
    /// @dev Operators of the bonded validators.
    EnumerableSet.AddressSet internal _bonded;

    /// @param config_ see INodeRegistry.Config
    constructor(Config memory config_) EIP712("NodeRegistry", "1") {
        // an epoch that is being replaced by anybody must still be alive, and whoever it lists must be slashable until the
        // evidence window after its end
        uint256 lifetime = config_.epochLifetime;
        uint256 shortest = 2 * uint256(config_.epochLength) + 1;
        if (lifetime < shortest) revert EpochLifetimeTooShort(lifetime, shortest);
        uint256 minimum = lifetime + config_.evidenceWindow;
        if (config_.unbondingPeriod < minimum) revert UnbondingTooShort(config_.unbondingPeriod, minimum);
        MIN_MINER_STAKE = config_.minMinerStake;
        MIN_VALIDATOR_STAKE = config_.minValidatorStake;
        UNBONDING_PERIOD = config_.unbondingPeriod;
        EPOCH_LENGTH = config_.epochLength;
        EPOCH_LIFETIME = config_.epochLifetime;
        EVIDENCE_WINDOW = config_.evidenceWindow;
        VALIDATOR_COURT = config_.validatorCourt;
        MINER_COURT = config_.minerCourt;
    }

    // ---- registration and stake

    /// @inheritdoc INodeRegistry
    function registerMiner() external payable {
        _register(Role.Miner, MIN_MINER_STAKE, address(0));
        emit NodeRegistered(msg.sender, Role.Miner, address(0), msg.value, "");
    }

    /// @inheritdoc INodeRegistry
    // slither-disable-next-line unused-return who was not registered cannot be in the set yet
    function registerValidator(address voteKey, bytes calldata possession, string calldata endpoint) external payable {
        _register(Role.Validator, MIN_VALIDATOR_STAKE, voteKey);
        _bindVoteKey(voteKey, possession);
        if (_bonded.length() == MAX_VALIDATORS) _displaceLowest();
        _bonded.add(msg.sender);
        _storeEndpoint(endpoint);
        emit NodeRegistered(msg.sender, Role.Validator, voteKey, msg.value, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function registerBlsKey(bytes calldata key, bytes calldata possession) external {
        Node storage self = _bondedNode();
        if (self.role != Role.Validator) revert NotValidator(msg.sender);
        _blsKeys.register(msg.sender, key, possession, _ownershipDigest());
        emit BlsKeyRegistered(msg.sender, key);
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
        _unbond(msg.sender, _bondedNode());
    }

    /// @inheritdoc INodeRegistry
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function withdrawStake() external {
        Node storage self = _nodes[msg.sender];
        if (self.role == Role.None) revert NotRegistered(msg.sender);
        uint64 withdrawableAt = self.unbondingAt;
        if (withdrawableAt == 0 || block.timestamp < withdrawableAt) revert StakeLocked(msg.sender, withdrawableAt);
        uint256 amount = self.stake;
        // everything is settled before the transfer: a receiver that calls back finds itself unregistered
        delete _nodes[msg.sender];
        delete _endpoints[msg.sender];
        _blsKeys.remove(msg.sender);
        emit StakeWithdrawn(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }

    // ---- courts

    /// @inheritdoc INodeRegistry
    function slash(address account, uint256 amount) external returns (uint256 taken) {
        Node storage self = _judgedNode(account);
        uint256 stake = self.stake;
        taken = Math.min(amount, stake);
        uint256 left = stake - taken;
        self.stake = SafeCast.toUint128(left);
        emit StakeSlashed(account, msg.sender, taken, left);
        uint256 minimum = self.role == Role.Validator ? MIN_VALIDATOR_STAKE : MIN_MINER_STAKE;
        if (left < minimum && self.unbondingAt == 0) _unbond(account, self);
        Address.sendValue(payable(msg.sender), taken);
    }

    /// @inheritdoc INodeRegistry
    // slither-disable-next-line timestamp every window is far longer than a proposer can shift the clock
    function hold(address account, uint64 until) external {
        Node storage self = _judgedNode(account);
        uint64 held = uint64(Math.min(until, block.timestamp + EVIDENCE_WINDOW));
        uint64 withdrawableAt = self.unbondingAt;
        // a bonded node cannot withdraw before the unbonding period, which is longer
        if (withdrawableAt == 0 || withdrawableAt >= held) return;
        self.unbondingAt = held;
        emit StakeHeld(account, held);
    }

    // ---- views

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
    function config() external view returns (Config memory) {
        return Config({
            minMinerStake: MIN_MINER_STAKE,
            minValidatorStake: MIN_VALIDATOR_STAKE,
            unbondingPeriod: UNBONDING_PERIOD,
            epochLength: EPOCH_LENGTH,
            epochLifetime: EPOCH_LIFETIME,
            evidenceWindow: EVIDENCE_WINDOW,
            validatorCourt: VALIDATOR_COURT,
            minerCourt: MINER_COURT
        });
    }

    /// @inheritdoc INodeRegistry
    function blsKeyOf(address account) external view returns (bytes memory) {
        return _blsKeys.keyOf(account);
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
    // slither-disable-next-line unused-return only the signer matters, not why there is none
    function _bindVoteKey(address voteKey, bytes calldata possession) private {
        if (voteKey == address(0)) revert ZeroVoteKey();
        if (_operators[voteKey] != address(0)) revert VoteKeyTaken(voteKey, _operators[voteKey]);
        (address recovered,,) = ECDSA.tryRecoverCalldata(_ownershipDigest(), possession);
        if (recovered != voteKey) revert InvalidPossession(voteKey, recovered);
        _operators[voteKey] = msg.sender;
    }

    function _ownershipDigest() private view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(KEY_OWNERSHIP_TYPEHASH, msg.sender)));
    }

    /// @dev Makes room for the sender, who must stake more than whoever goes.
    function _displaceLowest() private {
        address[] memory operators = _bonded.values();
        address lowest = operators[0];
        uint256 lowestStake = _nodes[lowest].stake;
        for (uint256 i = 1; i < operators.length; ++i) {
            uint256 stake = _nodes[operators[i]].stake;
            if (stake < lowestStake) (lowest, lowestStake) = (operators[i], stake);
        }
        if (msg.value <= lowestStake) revert ValidatorSetFull(MAX_VALIDATORS, lowestStake);
        _unbond(lowest, _nodes[lowest]);
    }

    // slither-disable-next-line unused-return a miner has never been in the set
    function _unbond(address account, Node storage self) private {
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING_PERIOD;
        self.unbondingAt = withdrawableAt;
        _bonded.remove(account); // does nothing for a miner
        emit UnbondingStarted(account, self.stake, withdrawableAt);
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

    /// @dev Reverts unless the sender is the court of the node's role.
    function _judgedNode(address account) private view returns (Node storage self) {
        self = _nodes[account];
        if (self.role == Role.None) revert NotRegistered(account);
        address court = self.role == Role.Validator ? VALIDATOR_COURT : MINER_COURT;
        if (msg.sender != court) revert NotCourt(msg.sender, court);
    }
}
