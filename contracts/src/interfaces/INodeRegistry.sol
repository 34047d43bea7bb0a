// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title INodeRegistry
/// @notice Stakes, vote keys and validator epochs. Epochs are immutable snapshots that tasks and certificates refer to.
/// @dev Nobody has powers over other people's stakes: there is no owner, no administrator and no upgrade.
interface INodeRegistry {
    /// @notice What an account does in the network; `None` until it registers and after it has withdrawn.
    enum Role {
        None,
        Miner,
        Validator
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
    /// @notice A node took its stake and is no longer registered.
    /// @param node operator account
    /// @param amount wei paid out
    event StakeWithdrawn(address indexed node, uint256 amount);
    /// @notice A new validator epoch is current.
    /// @param epoch number of the epoch, from 1
    /// @param quorum signatures that a certificate of this epoch needs
    /// @param voteKeys strictly ascending; a signer index of a certificate points into this list
    event EpochAdvanced(uint64 indexed epoch, uint256 quorum, address[] voteKeys);

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
    /// @notice A vote key belongs to its first operator for ever.
    error VoteKeyTaken(address voteKey, address operator);
    /// @notice The proof of possession was not signed by the vote key.
    error InvalidPossession(address voteKey, address recovered);
    /// @notice An endpoint has from 1 to `maximum` bytes.
    error InvalidEndpointLength(uint256 length, uint256 maximum);
    /// @notice No further validator can bond until one leaves.
    error ValidatorSetFull(uint256 maximum);
    /// @notice An epoch needs at least `minimum` bonded validators.
    error TooFewValidators(uint256 bonded, uint256 minimum);
    /// @notice The current epoch lasts until `endsAt` (seconds).
    error EpochNotOver(uint64 endsAt);
    /// @notice There is no such epoch.
    error UnknownEpoch(uint64 epoch);
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
    /// @param voteKey key that signs PBFT votes; used once, never again by another node
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

    /// @notice Snapshot the bonded validators as the next epoch. Anyone may call, once per `epochLength` seconds.
    /// @return epoch number of the new epoch
    function advanceEpoch() external returns (uint64 epoch);

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

    /// @notice Number of bonded validators, which the next epoch would list.
    function bondedValidators() external view returns (uint256);

    /// @notice Latest epoch; 0 means that none exists yet (epochs count from 1).
    function currentEpoch() external view returns (uint64);

    /// @notice Vote keys of an epoch, strictly ascending.
    /// @param epoch number of the epoch
    function epochValidators(uint64 epoch) external view returns (address[] memory voteKeys);

    /// @notice Signatures that a certificate of an epoch needs: (n + f) / 2 + 1 with f = (n - 1) / 3.
    /// @param epoch number of the epoch
    function epochQuorum(uint64 epoch) external view returns (uint256);

    /// @notice Reverts unless `signatures` is a quorum of `epoch` over `digest`.
    /// @param epoch number of the epoch whose validators signed
    /// @param digest EIP-712 digest that they signed
    /// @param signatures k times 66 bytes: signer index (uint16, strictly increasing) ‖ r ‖ vs (EIP-2098, low s)
    /// @return signers bitmap of the signer indices
    function verifyCertificate(uint64 epoch, bytes32 digest, bytes calldata signatures)
        external
        view
        returns (uint256[] memory signers);

    /// @notice Least stake of a miner, in wei.
    function minMinerStake() external view returns (uint256);

    /// @notice Least stake of a validator, in wei.
    function minValidatorStake() external view returns (uint256);

    /// @notice Seconds from the start of unbonding until the stake can be withdrawn.
    function unbondingPeriod() external view returns (uint64);

    /// @notice Least number of seconds between two epochs.
    function epochLength() external view returns (uint64);
}
