// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IBlsErrors} from "./IBlsErrors.sol";

/// @title INodeRegistry
/// @notice Stakes, vote keys, delegates and validator epochs. Epochs are immutable snapshots that tasks and certificates
///         refer to.
/// @dev There is no owner, no administrator and no upgrade. Only the two courts named at construction can take a stake, and
///      they do so on evidence that anybody can check.
interface INodeRegistry is IBlsErrors {
    /// @notice What an account does in the network; `None` until it registers and after it has withdrawn.
    enum Role {
        None,
        Miner,
        Validator
    }

    /// @notice What the registry is deployed with.
    /// @param minMinerStake least stake of a miner, in wei
    /// @param minValidatorStake least stake of a validator, in wei
    /// @param unbondingPeriod seconds from the start of unbonding to the withdrawal of the stake
    /// @param epochLength least number of seconds between two epochs; 0 for local networks
    /// @param epochLifetime seconds after its start for which the certificates of an epoch count
    /// @param evidenceWindow seconds for which a node stays slashable after the last certificate that it can have signed
    /// @param validatorCourt contract that may slash validators
    /// @param minerCourt contract that may slash miners
    struct Config {
        uint256 minMinerStake;
        uint256 minValidatorStake;
        uint64 unbondingPeriod;
        uint64 epochLength;
        uint64 epochLifetime;
        uint64 evidenceWindow;
        address validatorCourt;
        address minerCourt;
    }

    /// @notice How the certificates of an epoch are signed.
    enum Scheme {
        Ecdsa,
        Bls
    }

    /// @param size number of validators
    /// @param quorum signatures that a certificate needs: (n + f) / 2 + 1 with f = (n - 1) / 3
    /// @param scheme how certificates are signed
    /// @param startedAt timestamp (seconds) of the snapshot
    /// @param replaceableAt timestamp (seconds) before which no next epoch can start
    /// @param expiresAt timestamp (seconds) of the last second in which its certificates count
    struct Epoch {
        uint16 size;
        uint16 quorum;
        Scheme scheme;
        uint40 startedAt;
        uint40 replaceableAt;
        uint40 expiresAt;
    }

    /// @param role what the account does
    /// @param unbondingAt timestamp (seconds) from which the stake may be withdrawn; 0 while bonded
    /// @param stake wei held for the node; slashable until it is withdrawn
    /// @param voteKey key that signs a validator's votes; zero for a miner
    struct Node {
        Role role;
        uint64 unbondingAt;
        uint128 stake;
        address voteKey;
    }

    /// @notice A node registered with its first stake.
    /// @param node operator account: holds the stake and is paid
    /// @param role what it registered as
    /// @param voteKey key that signs its votes; zero for a miner
    /// @param stake wei staked
    /// @param endpoint URL of a validator; empty for a miner
    event NodeRegistered(address indexed node, Role indexed role, address voteKey, uint256 stake, string endpoint);
    /// @notice A validator moved to another endpoint.
    /// @param node operator account
    /// @param endpoint new URL
    event EndpointChanged(address indexed node, string endpoint);
    /// @notice A node added to its stake.
    /// @param node operator account
    /// @param amount wei added
    /// @param stake wei held for the node afterwards
    event StakeAdded(address indexed node, uint256 amount, uint256 stake);
    /// @notice A node began to leave.
    /// @param node operator account
    /// @param stake wei that it will be able to withdraw
    /// @param withdrawableAt timestamp (seconds) from which it may
    event UnbondingStarted(address indexed node, uint256 stake, uint64 withdrawableAt);
    /// @notice A court keeps the stake of a leaving node for longer, because a case is pending.
    /// @param node operator account
    /// @param withdrawableAt timestamp (seconds) from which it may withdraw now
    event StakeHeld(address indexed node, uint64 withdrawableAt);
    /// @notice A court took stake.
    /// @param node operator account
    /// @param court who took it
    /// @param amount wei taken
    /// @param stake wei held for the node afterwards
    event StakeSlashed(address indexed node, address indexed court, uint256 amount, uint256 stake);
    /// @notice A validator can sign BLS certificates.
    /// @param node operator account
    /// @param key public key (EIP-2537 encoding of a point of G2)
    event BlsKeyRegistered(address indexed node, bytes key);
    /// @notice A node gave a hot key the right to act for it.
    /// @param node operator account
    /// @param delegate hot key
    /// @param expiresAt timestamp (seconds) of its last second
    /// @param allowance wei that the delegate may still spend
    event DelegateAuthorized(address indexed node, address indexed delegate, uint64 expiresAt, uint256 allowance);
    /// @notice A delegate drew from its allowance.
    /// @param node operator account
    /// @param delegate hot key, which was paid
    /// @param amount wei
    event AllowanceDrawn(address indexed node, address indexed delegate, uint256 amount);
    /// @notice A delegate lost its right; what it had not spent went back.
    /// @param node operator account, which was paid
    /// @param delegate hot key
    /// @param amount wei returned
    event DelegateRevoked(address indexed node, address indexed delegate, uint256 amount);
    /// @notice A node took its stake and is no longer registered.
    /// @param node operator account
    /// @param amount wei paid out
    event StakeWithdrawn(address indexed node, uint256 amount);
    /// @notice A new validator epoch is current.
    /// @param epoch number of the epoch, from 1
    /// @param quorum signatures that a certificate of this epoch needs
    /// @param voteKeys strictly ascending; a signer index of a certificate points into this list
    /// @param scheme how its certificates are signed
    /// @param expiresAt timestamp (seconds) of the last second in which its certificates count
    event EpochAdvanced(uint64 indexed epoch, uint256 quorum, Scheme scheme, uint64 expiresAt, address[] voteKeys);

    /// @notice The sender is registered already and must withdraw before it can register anew.
    error AlreadyRegistered(address node, Role role);
    /// @notice The sender is not registered.
    error NotRegistered(address node);
    /// @notice Only validators have an endpoint.
    error NotValidator(address node);
    /// @notice The node is leaving (or has left) the bonded state.
    error NodeUnbonding(address node, uint64 withdrawableAt);
    /// @notice The stake stays locked until `withdrawableAt`; 0: unbonding has not been started.
    error StakeLocked(address node, uint64 withdrawableAt);
    /// @notice The value sent is below the minimum stake of the role.
    error StakeTooLow(uint256 sent, uint256 minimum);
    /// @notice A stake cannot be raised by nothing.
    error NoValueSent();
    /// @notice The zero address cannot be a vote key.
    error ZeroVoteKey();
    /// @notice A vote key is used for one registration, ever.
    error VoteKeyTaken(address voteKey, address operator);
    /// @notice The proof of possession was not signed by the vote key.
    error InvalidPossession(address voteKey, address recovered);
    /// @notice An endpoint has from 1 to `maximum` bytes.
    error InvalidEndpointLength(uint256 length, uint256 maximum);
    /// @notice The set is full: who wants to join must stake more than its lowest member, `lowestStake` wei.
    error ValidatorSetFull(uint256 maximum, uint256 lowestStake);
    /// @notice An epoch needs at least `minimum` bonded validators.
    error TooFewValidators(uint256 bonded, uint256 minimum);
    /// @notice The current epoch lasts until `endsAt` (seconds).
    error EpochNotOver(uint64 endsAt);
    /// @notice There is no such epoch.
    error UnknownEpoch(uint64 epoch);
    /// @notice The certificates of the epoch counted until `expiresAt` (seconds).
    error EpochExpired(uint64 epoch, uint64 expiresAt);
    /// @notice Stakes must stay slashable while an epoch lives and for the evidence window after it.
    error UnbondingTooShort(uint256 unbondingPeriod, uint256 minimum);
    /// @notice An epoch must outlive the time after which anybody may replace it.
    error EpochLifetimeTooShort(uint256 epochLifetime, uint256 minimum);
    /// @notice The caller is not the court of this role.
    error NotCourt(address caller, address court);
    /// @notice The account holds no right to act for the node, or it has expired.
    error NotDelegate(address node, address delegate);
    /// @notice A delegate's right must end in the future.
    error ExpiryInPast(uint64 expiresAt);
    /// @notice The delegate's allowance is lower.
    error AllowanceExceeded(uint256 amount, uint256 allowance);
    /// @notice The certificate is not a whole number of 66-byte entries.
    error InvalidCertificateLength(uint256 length);
    /// @notice The certificate has fewer signatures than the quorum.
    error QuorumNotReached(uint256 signatures, uint256 quorum);
    /// @notice Signer indices must be strictly increasing, so that nobody is counted twice.
    error SignersNotIncreasing(uint256 previous, uint256 index);
    /// @notice The signer index points behind the end of the epoch's list.
    error SignerOutOfRange(uint256 index, uint256 size);
    /// @notice The signature is not the named signer's over this digest (`recovered` is zero if it is malformed).
    error InvalidSignature(uint256 index, address expected, address recovered);

    /// @notice Become a miner; the value sent is the stake, at least `minMinerStake`.
    function registerMiner() external payable;

    /// @notice Become a validator; the value sent is the stake, at least `minValidatorStake`.
    /// @dev When all places are taken, the newcomer displaces the member with the lowest stake, which starts unbonding, if it
    ///      stakes more; the search costs about 435,000 gas.
    /// @param voteKey key that signs PBFT votes; used for one registration, ever
    /// @param possession signature (65 bytes) by `voteKey` over EIP-712 `KeyOwnership(address operator)`, operator = sender
    /// @param endpoint URL at which peers and miners reach the validator
    function registerValidator(address voteKey, bytes calldata possession, string calldata endpoint) external payable;

    /// @notice Add the value sent to the stake of the sender.
    function addStake() external payable;

    /// @notice Move the sender, a validator, to another endpoint.
    /// @param endpoint URL at which peers and miners reach the validator
    function setEndpoint(string calldata endpoint) external;

    /// @notice Leave: no new epoch lists the node; the stake can be withdrawn after `unbondingPeriod` seconds.
    function startUnbonding() external;

    /// @notice Take the stake after the unbonding period and end the registration.
    function withdrawStake() external;

    /// @notice Add a BLS12-381 key to the registration of the sender, a validator; once per registration.
    /// @dev An epoch of at least `MIN_BLS_VALIDATORS` validators that all have one certifies by aggregated signatures.
    /// @param key point of G2 (256 bytes, EIP-2537); neither it nor its negation may have been registered before
    /// @param possession signature (128 bytes, point of G1) over EIP-712 `KeyOwnership(address operator)`, domain tag of possessions
    function registerBlsKey(bytes calldata key, bytes calldata possession) external;

    /// @notice Let a hot key act for the sender (join, leave, commit, reveal) until `expiresAt`; the value sent adds to what it
    ///         may draw. It can touch neither the stake nor the rewards.
    /// @param delegate hot key
    /// @param expiresAt timestamp (seconds) of its last second
    function authorizeDelegate(address delegate, uint64 expiresAt) external payable;

    /// @notice Take the right of a hot key back, and what it has not drawn.
    /// @param delegate hot key
    function revokeDelegate(address delegate) external;

    /// @notice Draw from the allowance that `account` has given the sender.
    /// @param account operator account
    /// @param amount wei
    function drawAllowance(address account, uint256 amount) external;

    /// @notice Snapshot the bonded validators as the next epoch, once the current one is `epochLength` seconds old.
    /// @dev The registry alone decides who is in the set. The certificate of the current set says that it hands over now; after
    ///      another `epochLength` seconds none is needed, so that a dead set cannot keep its place.
    /// @param certificate quorum of the current epoch over EIP-712 `Rotation(uint64 epoch,address[] voteKeys)`; may be empty
    ///        when none is needed
    /// @return epoch number of the new epoch
    function advanceEpoch(bytes calldata certificate) external returns (uint64 epoch);

    /// @notice Take stake from a node; the court of its role only. The wei go to the court. A node that is left with less than
    ///         the minimum stops being bonded.
    /// @param account operator account
    /// @param amount most to take, in wei
    /// @return taken wei taken
    function slash(address account, uint256 amount) external returns (uint256 taken);

    /// @notice Keep the stake of a leaving node while a case is pending; the court of its role only.
    /// @param account operator account
    /// @param until timestamp (seconds) before which it cannot withdraw; at most `evidenceWindow` seconds ahead
    function hold(address account, uint64 until) external;

    /// @notice State of a node; all zero if it is not registered.
    /// @param account operator account
    function node(address account) external view returns (Node memory);

    /// @notice URL of a validator; empty for everybody else.
    /// @param account operator account
    function endpointOf(address account) external view returns (string memory);

    /// @notice Whether the account is a bonded miner.
    /// @param account operator account
    function isActiveMiner(address account) external view returns (bool);

    /// @notice The operator (who holds the stake and is paid) behind a vote key; zero if unknown.
    /// @dev Stays known after the operator has left, so that rewards of its last rounds find it.
    /// @param voteKey key that signs votes
    function operatorOf(address voteKey) external view returns (address);

    /// @notice BLS key of a validator (192 bytes: four field elements of 48 bytes); empty if it has none.
    /// @param account operator account
    function blsKeyOf(address account) external view returns (bytes memory);

    /// @notice Whether `delegate` may act for `account` now.
    /// @param account operator account
    /// @param delegate hot key
    function isDelegate(address account, address delegate) external view returns (bool);

    /// @notice What a node has granted a hot key.
    /// @param account operator account
    /// @param delegate hot key
    /// @return expiresAt timestamp (seconds) of its last second; 0 if it has no right
    /// @return allowance wei that it may still draw
    function delegation(address account, address delegate) external view returns (uint64 expiresAt, uint256 allowance);

    /// @notice Number of bonded validators, which the next epoch would list.
    function bondedValidators() external view returns (uint256);

    /// @notice Latest epoch; 0 means that none exists yet (epochs count from 1).
    function currentEpoch() external view returns (uint64);

    /// @notice Vote keys of an epoch, strictly ascending.
    /// @param epoch number of the epoch
    function epochValidators(uint64 epoch) external view returns (address[] memory voteKeys);

    /// @notice Size, quorum, scheme and life of an epoch.
    /// @param epoch number of the epoch
    function epochInfo(uint64 epoch) external view returns (Epoch memory);

    /// @notice Vote keys that the next epoch would list now, strictly ascending.
    function nextValidators() external view returns (address[] memory voteKeys);

    /// @notice EIP-712 digest that the current set signs to hand over to `voteKeys`.
    /// @param epoch number of the next epoch
    /// @param voteKeys `nextValidators`
    function rotationDigest(uint64 epoch, address[] memory voteKeys) external view returns (bytes32);

    /// @notice Reverts unless `signatures` is a quorum of `epoch` over `digest`. Whether the epoch has expired is not asked:
    ///         evidence outlives epochs.
    /// @param epoch number of the epoch whose validators signed
    /// @param digest EIP-712 digest that they signed
    /// @param signatures ECDSA: k times 66 bytes, signer index (uint16, strictly increasing) ‖ r ‖ vs (EIP-2098, low s).
    ///        BLS: bitmap of those absent, ⌈n/8⌉ bytes, ‖ aggregated signature, 128 bytes (point of G1, EIP-2537)
    /// @return signers bitmap of the signer indices
    function verifyCertificate(uint64 epoch, bytes32 digest, bytes calldata signatures)
        external
        view
        returns (uint256 signers);

    /// @notice What the registry was deployed with.
    function config() external view returns (Config memory);
}
