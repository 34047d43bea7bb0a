// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";

/// @notice A miner that is a contract.
abstract contract ContractNode {
    INodeRegistry internal immutable REGISTRY;

    constructor(INodeRegistry registry) {
        REGISTRY = registry;
    }

    receive() external payable {
        _onReceive();
    }

    function register() external {
        REGISTRY.registerMiner{value: address(this).balance}();
    }

    function startUnbonding() external {
        REGISTRY.startUnbonding();
    }

    function withdraw() external {
        REGISTRY.withdrawStake();
    }

    function _onReceive() internal virtual;
}

/// @notice Reverts when it is paid.
contract RefusingNode is ContractNode {
    error Refused();

    constructor(INodeRegistry registry) ContractNode(registry) {}

    function _onReceive() internal pure override {
        revert Refused();
    }
}

/// @notice Tries to withdraw a second time while it is being paid.
contract ReentrantNode is ContractNode {
    bool public reentered;

    constructor(INodeRegistry registry) ContractNode(registry) {}

    function _onReceive() internal override {
        (bool again,) = address(REGISTRY).call(abi.encodeCall(REGISTRY.withdrawStake, ()));
        reentered = !again;
    }
}
