// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice An account that calls back when it is paid, or refuses to be paid.
contract HostileReceiver {
    error Refused();

    address private _target;
    bytes private _data;

    bool public refusing;
    bool public called;
    bool public succeeded;
    bytes public result;

    receive() external payable {
        if (refusing) revert Refused();
        if (_target == address(0) || called) return; // once: a call that pays it again would not end
        called = true;
        (succeeded, result) = _target.call(_data);
    }

    function setRefusing(bool refusing_) external {
        refusing = refusing_;
    }

    function setCallback(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
    }

    /// @notice Acts as the account.
    function execute(address target, uint256 value, bytes calldata data) external returns (bytes memory returned) {
        bool success;
        (success, returned) = target.call{value: value}(data);
        require(success, "the call failed");
    }
}
