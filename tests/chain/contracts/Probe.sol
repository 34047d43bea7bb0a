// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What the chain layer's tests need: state, events, and every way to fail.
contract Probe {
    enum Mood {
        Calm,
        Busy
    }

    struct Entry {
        address author;
        uint64 number;
        Mood mood;
        bytes32 tag;
    }

    error Refused(address who, uint256 limit);

    event Counted(address indexed who, uint64 indexed number, uint256 total);
    event Entered(bytes32 indexed tag, Entry entry, address[] friends);

    uint256 public total;
    mapping(address => uint64) public calls;
    bool public closed;

    function count(uint256 amount) external payable returns (uint256) {
        if (closed) revert Refused(msg.sender, 0);
        total += amount;
        emit Counted(msg.sender, ++calls[msg.sender], total);
        return total;
    }

    function enter(Entry calldata entry, address[] calldata friends) external {
        emit Entered(entry.tag, entry, friends);
    }

    function echo(Entry calldata entry) external pure returns (Entry memory) {
        return entry;
    }

    function setClosed(bool value) external {
        closed = value;
    }

    function refuse(uint256 limit) external view {
        revert Refused(msg.sender, limit);
    }

    function refuseWithReason() external pure {
        revert("not today");
    }

    function overflow(uint256 value) external pure returns (uint256) {
        return value + 1;
    }

    /// @dev Needs more gas than one transaction may use.
    function burn(uint256 rounds) external {
        for (uint256 i = 0; i < rounds; ++i) {
            calls[address(uint160(i + 1))] = 1;
        }
    }
}
