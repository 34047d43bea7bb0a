// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {TestToken} from "./TestToken.sol";

/// @notice Keeps one per cent of every transfer.
contract FeeToken is TestToken {
    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0)) return super._update(from, to, value);
        super._update(from, address(0xFEE), value / 100);
        super._update(from, to, value - value / 100);
    }
}

/// @notice Credits more than was sent.
contract BonusToken is TestToken {
    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0)) super._update(address(0), to, 1);
    }
}

/// @notice Takes from its receivers instead of paying them.
contract ShrinkingToken is TestToken {
    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0)) return super._update(from, to, value);
        super._update(to, address(0xFEE), balanceOf(to));
    }
}

/// @notice Says `false` instead of reverting.
contract FalseToken is TestToken {
    bool public refusing;

    function setRefusing(bool refusing_) external {
        refusing = refusing_;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return !refusing && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return !refusing && super.transferFrom(from, to, value);
    }
}

/// @notice Returns nothing, like USDT.
contract SilentToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address account => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Refuses to pay listed accounts.
contract BlocklistToken is TestToken {
    error Blocked(address account);

    mapping(address account => bool) public blocked;

    function setBlocked(address account, bool blocked_) external {
        blocked[account] = blocked_;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, value);
    }
}

/// @notice Calls back into a contract in the middle of a transfer.
contract CallbackToken is TestToken {
    address private _target;
    bytes private _data;

    bool public entered;
    bool public succeeded;
    bytes public result;

    function setCallback(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
        entered = false;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0) || entered) return;
        entered = true;
        (succeeded, result) = _target.call(_data);
    }
}
