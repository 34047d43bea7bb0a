// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title INodeRegistry
/// @notice Stakes, vote keys and validator epochs. Epochs are immutable snapshots that tasks and certificates refer to.
interface INodeRegistry {
    enum Role {
        None,
        Miner,
        Validator
    }

    /// @param stake wei held for the node; slashable until it is withdrawn
    /// @param unbondingAt timestamp (seconds) from which the stake may be withdrawn; 0 while bonded
    struct Node {
        Role role;
        uint64 unbondingAt;
        uint128 stake;
        address voteKey;
    }

    event NodeRegistered(address indexed node, Role indexed role, address voteKey, uint256 stake, string endpoint);
    event EndpointChanged(address indexed node, string endpoint);
    event StakeAdded(address indexed node, uint256 amount, uint256 stake);
    event UnbondingStarted(address indexed node, uint256 stake, uint64 withdrawableAt);
    event StakeWithdrawn(address indexed node, uint256 amount);
    /// @param voteKeys strictly ascending; a signer index of a certificate points into this list
    event EpochAdvanced(uint64 indexed epoch, uint256 quorum, address[] voteKeys);

    /// @notice Become a miner; the value sent is the stake, at least `minMinerStake`.
    function registerMiner() external payable;

    /// @notice Become a validator; the value sent is the stake, at least `minValidatorStake`.
    /// @param voteKey key that signs PBFT votes; used once, never again by another node
    /// @param possession signature (65 bytes) by `voteKey` over EIP-712 `KeyOwnership(address operator)`, operator = sender
    /// @param endpoint URL at which peers and miners reach the validator
    function registerValidator(address voteKey, bytes calldata possession, string calldata endpoint) external payable;

    function addStake() external payable;
    function setEndpoint(string calldata endpoint) external;

    /// @notice Leave: no new epoch lists the node; the stake can be withdrawn after `unbondingPeriod` seconds.
    function startUnbonding() external;
    function withdrawStake() external;

    /// @notice Snapshot the bonded validators as the next epoch. Anyone may call, once per `epochLength` seconds.
    function advanceEpoch() external returns (uint64 epoch);

    function node(address account) external view returns (Node memory);
    function isActiveMiner(address account) external view returns (bool);
    /// @notice The operator (who holds the stake and is paid) behind a vote key; zero if unknown.
    function operatorOf(address voteKey) external view returns (address);
    /// @notice Latest epoch; 0 means that none exists yet (epochs count from 1).
    function currentEpoch() external view returns (uint64);
    function epochValidators(uint64 epoch) external view returns (address[] memory voteKeys);
    function epochQuorum(uint64 epoch) external view returns (uint256);

    /// @notice Reverts unless `signatures` is a quorum of `epoch` over `digest`.
    /// @param signatures k times 66 bytes: signer index (uint16, strictly increasing) ‖ r ‖ vs (EIP-2098, low s)
    /// @return signers bitmap of the signer indices
    function verifyCertificate(uint64 epoch, bytes32 digest, bytes calldata signatures)
        external
        view
        returns (uint256[] memory signers);

    function minMinerStake() external view returns (uint256);
    function minValidatorStake() external view returns (uint256);
    function unbondingPeriod() external view returns (uint64);
    function epochLength() external view returns (uint64);
}
