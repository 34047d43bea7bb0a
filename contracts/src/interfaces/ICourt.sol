// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title ICourt
/// @notice What both courts do with the stake that they take: a small bounty to whoever proved the offence, compensation to the
///         owner of the task that was harmed, and the rest is burned. Validators get nothing for deciding.
/// @dev A culprit who reports himself in a task of his own gets back 30 % at most.
interface ICourt {
    /// @notice Stake that was taken has been divided.
    /// @param taskId task that was harmed
    /// @param reporter who is owed the bounty; zero if nobody is
    /// @param owner who is owed the compensation; zero if there is no such task
    /// @param bounty wei
    /// @param compensation wei
    /// @param burned wei
    event SlashDistributed(
        uint256 indexed taskId,
        address indexed reporter,
        address indexed owner,
        uint256 bounty,
        uint256 compensation,
        uint256 burned
    );
    /// @notice An account took what the court owed it.
    /// @param account who was paid
    /// @param amount wei
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice Only the registry pays the court, except for deposits.
    error NotRegistry(address sender);
    /// @notice The court owes the account nothing.
    error NothingOwed(address account);

    /// @notice Pay the sender what the court owes it.
    /// @return amount wei paid
    function withdraw() external returns (uint256 amount);

    /// @notice What the court owes an account, in wei.
    /// @param account reporter, owner of a task, miner or depositor
    function owedTo(address account) external view returns (uint256);

    /// @notice NodeRegistry that holds the stakes.
    function registry() external view returns (address);

    /// @notice ProofOfTraining whose messages are evidence.
    function training() external view returns (address);
}
