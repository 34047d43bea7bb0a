// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {CreateAddress} from "./libraries/CreateAddress.sol";

/// @title Deployment
/// @notice Creates the four contracts of a network, which know each other by immutable addresses.
/// @dev The registry names the courts and the courts name the registry, so none of their addresses may depend on its own
///      constructor arguments: they follow from this contract's address and its nonce. This contract's address in turn, when
///      CREATE2 makes it, follows from the parameters and from the hashes of the four creation codes. Whoever sends the
///      transactions, the same network lies at the same addresses on every chain, and nothing else can.
contract Deployment {
    /// @notice The contracts in the order of their creation, which is the nonce that creates them.
    enum Part {
        None,
        NodeRegistry,
        ProofOfTraining,
        ValidatorCourt,
        MinerCourt
    }

    /// @param registry parameters of NodeRegistry; its courts are filled in here
    /// @param answerWindow seconds that a miner has to publish what is demanded
    /// @param appealWindow seconds that a miner has to appeal, and that the larger committee has to decide
    /// @param deposit wei that a demand or an appeal costs
    struct Parameters {
        INodeRegistry.Config registry;
        uint64 answerWindow;
        uint64 appealWindow;
        uint256 deposit;
    }

    /// @notice A contract was created.
    /// @param part which
    /// @param at its address
    event Created(Part indexed part, address at);

    /// @notice The four contracts exist.
    error Complete();
    /// @notice The code is not the next contract's creation code.
    error WrongCode(Part part, bytes32 given, bytes32 expected);
    /// @notice The constructor reverted, or ran out of gas.
    error CreationFailed(Part part);

    Parameters private _parameters;
    mapping(Part part => bytes32 hash) private _codeHashes;
    Part private _last;

    /// @param parameters of the network
    /// @param codeHashes keccak256 of the creation codes, without arguments, in the order of `Part`
    constructor(Parameters memory parameters, bytes32[4] memory codeHashes) {
        parameters.registry.validatorCourt = addressOf(Part.ValidatorCourt);
        parameters.registry.minerCourt = addressOf(Part.MinerCourt);
        _parameters = parameters;
        for (uint256 i = 0; i < 4; ++i) {
            _codeHashes[Part(i + 1)] = codeHashes[i];
        }
    }

    /// @notice Create the next contract. Anybody may call.
    /// @param creationCode of the next part, without constructor arguments
    /// @return part which was created
    /// @return created its address
    function createNext(bytes calldata creationCode) external returns (Part part, address created) {
        if (_last == Part.MinerCourt) revert Complete();
        part = Part(uint8(_last) + 1);
        bytes32 hash = keccak256(creationCode);
        if (hash != _codeHashes[part]) revert WrongCode(part, hash, _codeHashes[part]);
        _last = part;
        bytes memory code = bytes.concat(creationCode, argumentsOf(part));
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        if (created == address(0)) revert CreationFailed(part);
        emit Created(part, created);
    }

    /// @notice Constructor arguments of a part, ABI-encoded, as explorers want them for verification.
    /// @param part which
    function argumentsOf(Part part) public view returns (bytes memory) {
        Parameters memory parameters = _parameters;
        address registry = addressOf(Part.NodeRegistry);
        if (part == Part.NodeRegistry) return abi.encode(parameters.registry);
        if (part == Part.ProofOfTraining) return abi.encode(registry);
        address training = addressOf(Part.ProofOfTraining);
        if (part == Part.ValidatorCourt) return abi.encode(registry, training);
        return abi.encode(registry, training, parameters.answerWindow, parameters.appealWindow, parameters.deposit);
    }

    /// @notice Where a part lies, or will.
    /// @param part which
    function addressOf(Part part) public view returns (address) {
        return CreateAddress.compute(address(this), uint64(part));
    }
}
