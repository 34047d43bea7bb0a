// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsFixture} from "./BlsFixture.sol";
import {Quorum} from "../src/libraries/Quorum.sol";

/// @notice What a certificate costs by one BLS signature and by a quorum of ECDSA signatures, with ceilings that a change
///         must not pass, and the size of a set from which BLS is the cheaper one.
/// @dev Figures are of whole transactions: exactly so with `forge test --isolate`; without, the test adds what a transaction
///      costs before its first instruction, and only the access to a contract that the test has created is too cheap.
contract BlsGasTest is BlsFixture {
    function test_Gas_VerifyBls() public {
        _measureBls(4, 150_500, 152_500, 152_500);
        _measureBls(10, 150_500, 152_500, 155_000);
        _measureBls(20, 150_500, 152_500, 158_500);
        _measureBls(41, 150_500, 152_500, 166_500);
        _measureBls(50, 150_500, 152_500, 170_000);
        _measureBls(100, 150_500, 152_500, 190_000);
    }

    function test_Gas_VerifyEcdsa() public {
        _measureEcdsa(4, 42_000);
        _measureEcdsa(10, 62_000);
        _measureEcdsa(20, 97_000);
        _measureEcdsa(41, 167_000);
        _measureEcdsa(50, 197_000);
        _measureEcdsa(100, 361_000);
    }

    /// @dev The least size from which BLS is not the dearer one at any larger size: if nobody is absent, and if as many are
    ///      as may be. ECDSA signatures are counted up to the quorum only, as a relayer would send them.
    function test_Gas_BreakEven() public {
        uint256 present = _breakEven(false);
        uint256 absent = _breakEven(true);
        emit log_named_uint("BLS is cheaper from n, all present", present);
        emit log_named_uint("BLS is cheaper from n, f absent", absent);
        if (!isDeployedCode()) return;
        assertEq(present, 40, "all present");
        assertEq(absent, 47, "f absent: NodeRegistry.MIN_BLS_VALIDATORS");
    }

    function _breakEven(bool faulty) private returns (uint256 size) {
        size = 70;
        while (_bls(size - 1, faulty ? Quorum.maxFaulty(size - 1) : 0) <= _ecdsa(size - 1)) --size;
    }

    function _measureBls(uint256 size, uint256 none, uint256 one, uint256 most) private {
        _report("BLS, absent 0 of n = ", size, _bls(size, 0), none);
        _report("BLS, absent 1 of n = ", size, _bls(size, 1), one);
        _report("BLS, absent f of n = ", size, _bls(size, Quorum.maxFaulty(size)), most);
    }

    function _measureEcdsa(uint256 size, uint256 ceiling) private {
        _report("ECDSA, a quorum of n = ", size, _ecdsa(size), ceiling);
    }

    function _bls(uint256 size, uint256 absent) private returns (uint256) {
        uint256 absentees = spread(size, absent);
        bytes memory certificate = certify(size, absentees, DIGEST);
        return _call(
            abi.encodeCall(
                harness.verifyBls, (deployEpoch(size), OFFSET, size, Quorum.quorum(size), DIGEST, certificate)
            ),
            allOf(size) & ~absentees
        );
    }

    function _ecdsa(uint256 size) private returns (uint256) {
        uint256 quorum = Quorum.quorum(size);
        bytes memory code = hex"00";
        bytes memory certificate;
        for (uint256 i = 0; i < size; ++i) {
            code = bytes.concat(code, bytes20(vm.addr(1 + i)));
            if (i < quorum) {
                (bytes32 r, bytes32 vs) = vm.signCompact(1 + i, DIGEST);
                // forge-lint: disable-next-line(unsafe-typecast)
                certificate = bytes.concat(certificate, bytes2(uint16(i)), r, vs); // at most 100
            }
        }
        return _call(
            abi.encodeCall(harness.verifyEcdsa, (harness.deploy(code), OFFSET, size, quorum, DIGEST, certificate)),
            allOf(quorum)
        );
    }

    /// @dev By `call`, since forge isolates no static call.
    function _call(bytes memory data, uint256 signers) private returns (uint256) {
        bool isolated = _isolated();
        (bool success, bytes memory result) = address(harness).call(data);
        uint256 used = vm.lastCallGas().gasTotalUsed;
        assertTrue(success, "verified");
        assertEq(abi.decode(result, (uint256)), signers, "signers");
        return used + (isolated ? 0 : _intrinsic(data));
    }

    /// @dev Only an isolated call pays for a transaction, so only then an empty one costs as much.
    function _isolated() private returns (bool) {
        (bool success,) = account("nobody").call("");
        assertTrue(success, "nobody accepts everything");
        return vm.lastCallGas().gasTotalUsed >= 21_000;
    }

    /// @dev 21,000, and 16 for each byte of call data, 4 if it is zero.
    function _intrinsic(bytes memory data) private pure returns (uint256 cost) {
        cost = 21_000;
        for (uint256 i = 0; i < data.length; ++i) {
            cost += data[i] == 0 ? 4 : 16;
        }
    }

    function _report(string memory name, uint256 size, uint256 used, uint256 ceiling) private {
        name = string.concat(name, vm.toString(size));
        emit log_named_uint(name, used);
        assertGas(used, ceiling, name);
    }
}
