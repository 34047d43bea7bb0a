// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Vm
/// @notice The cheat codes of Foundry that the tests use (forge-std is not available from npm in a current version).
interface Vm {
    struct Wallet {
        address addr;
        uint256 publicKeyX;
        uint256 publicKeyY;
        uint256 privateKey;
    }

    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    // environment
    function warp(uint256 timestamp) external;
    function roll(uint256 number) external;
    function prevrandao(bytes32 value) external;
    function chainId(uint256 id) external;
    function deal(address account, uint256 balance) external;
    function etch(address account, bytes calldata code) external;
    function setNonce(address account, uint64 nonce) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function lastCallGas() external view returns (Gas memory);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function assume(bool condition) external pure;
    function expectRevert() external;
    function expectRevert(bytes calldata data) external;
    function expectRevert(bytes4 selector) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit(address emitter) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);

    // keys
    function addr(uint256 privateKey) external pure returns (address);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function signCompact(uint256 privateKey, bytes32 digest) external pure returns (bytes32 r, bytes32 vs);

    // assertions
    function assertTrue(bool condition, string calldata message) external pure;
    function assertFalse(bool condition, string calldata message) external pure;
    function assertEq(uint256 a, uint256 b, string calldata message) external pure;
    function assertEq(address a, address b, string calldata message) external pure;
    function assertEq(bytes32 a, bytes32 b, string calldata message) external pure;
    function assertEq(string calldata a, string calldata b, string calldata message) external pure;
    function assertLe(uint256 a, uint256 b, string calldata message) external pure;
    function assertGe(uint256 a, uint256 b, string calldata message) external pure;

    // artifacts
    function envOr(string calldata name, string calldata fallback_) external view returns (string memory);
    function getCode(string calldata path) external view returns (bytes memory);

    // files
    function readFile(string calldata path) external view returns (string memory);
    function toString(uint256 value) external pure returns (string memory);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonAddressArray(string calldata json, string calldata key) external pure returns (address[] memory);
    function parseJsonBytes32Array(string calldata json, string calldata key) external pure returns (bytes32[] memory);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
}

/// @title Base
/// @notice What every test contract needs: the cheat codes, assertions, bounded fuzz inputs.
abstract contract Base {
    /// @dev What an invariant test returns from `targetSelectors()`.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice Prints in `forge test -vv`.
    event log_named_uint(string key, uint256 value);

    function assertTrue(bool condition, string memory message) internal pure {
        vm.assertTrue(condition, message);
    }

    function assertFalse(bool condition, string memory message) internal pure {
        vm.assertFalse(condition, message);
    }

    function assertEq(uint256 a, uint256 b, string memory message) internal pure {
        vm.assertEq(a, b, message);
    }

    function assertEq(address a, address b, string memory message) internal pure {
        vm.assertEq(a, b, message);
    }

    function assertEq(bytes32 a, bytes32 b, string memory message) internal pure {
        vm.assertEq(a, b, message);
    }

    function assertEq(string memory a, string memory b, string memory message) internal pure {
        vm.assertEq(a, b, message);
    }

    function assertLe(uint256 a, uint256 b, string memory message) internal pure {
        vm.assertLe(a, b, message);
    }

    function assertGe(uint256 a, uint256 b, string memory message) internal pure {
        vm.assertGe(a, b, message);
    }

    /// @notice Creation code of a contract as it will be deployed, from the folder of artifacts that POT_ARTIFACTS names; without
    ///         it, as this test was compiled.
    /// @dev `make test-contracts` sets it: the tests compile quickly, and what they test is the code that goes on chain. Coverage
    ///      and mutation testing need the latter.
    /// @param name of the contract and its file
    /// @param local type(...).creationCode
    function codeOf(string memory name, bytes memory local) internal view returns (bytes memory) {
        string memory folder = vm.envOr("POT_ARTIFACTS", "");
        if (bytes(folder).length == 0) return local;
        return vm.getCode(string.concat(folder, "/", name, ".sol/", name, ".json"));
    }

    /// @notice Create a contract.
    /// @param code creation code with arguments
    function create(bytes memory code) internal returns (address created) {
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        assertTrue(created != address(0), "created");
    }

    /// @notice Whether what is tested is the code that goes on chain, so that its gas means something.
    function isDeployedCode() internal view returns (bool) {
        return bytes(vm.envOr("POT_ARTIFACTS", "")).length != 0;
    }

    /// @notice Gas is measured of the code that goes on chain; of any other code it means nothing.
    function assertGas(uint256 used, uint256 ceiling, string memory name) internal view {
        if (isDeployedCode()) vm.assertLe(used, ceiling, name);
    }

    /// @notice Map a fuzzed value into [low, high].
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value >= low && value <= high) return value;
        uint256 size = high - low + 1; // zero for the whole range, which the line above has returned
        return low + value % size;
    }

    /// @notice An address with a readable origin.
    function account(string memory name) internal pure returns (address) {
        return address(uint160(uint256(keccak256(bytes(name)))));
    }
}
