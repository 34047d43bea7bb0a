// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BlsFixture} from "./BlsFixture.sol";
import {BlsSigner} from "./BlsSigner.sol";
import {Bls12381} from "../src/libraries/Bls12381.sol";

/// @notice The cheat code of Foundry that only these tests use.
interface VmBytes {
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
}

/// @notice The libraries compute and accept what tests/vectors/bls.json says, and refuse what it calls refused.
/// @dev The file is written by an independent implementation in plain Python (scripts/make_bls_vectors.py).
contract BlsVectorsTest is BlsFixture {
    string private _json;

    function setUp() public override {
        super.setUp();
        _json = vm.readFile("tests/vectors/bls.json");
    }

    /// @dev The first word of each tag; that the rest is right shows in the hashes.
    function test_Vectors_Tags() public view {
        bytes memory vote = bytes(vm.parseJsonString(_json, ".voteTag"));
        bytes memory possession = bytes(vm.parseJsonString(_json, ".possessionTag"));
        assertEq(vote.length, 49, "votes, length");
        assertEq(possession.length, 49, "possessions, length");
        // forge-lint: disable-next-line(unsafe-typecast)
        assertEq(bytes32(vote), Bls12381.VOTE, "votes");
        // forge-lint: disable-next-line(unsafe-typecast)
        assertEq(bytes32(possession), Bls12381.POSSESSION, "possessions");
    }

    function test_Vectors_HashToG1() public view {
        uint256 rows;
        for (; _exists(".hashes", rows); ++rows) {
            string memory at = _item(".hashes", rows);
            bytes32 digest = vm.parseJsonBytes32(_json, string.concat(at, ".digest"));
            _assertSame(harness.hashToG1(Bls12381.VOTE, digest), _bytes(string.concat(at, ".vote")), "vote");
            _assertSame(
                harness.hashToG1(Bls12381.POSSESSION, digest), _bytes(string.concat(at, ".possession")), "possession"
            );
        }
        assertGe(rows, 20, "digests");
    }

    function test_Vectors_KeysAndPossessions() public {
        uint256 rows;
        for (; _exists(".keys", rows); ++rows) {
            string memory at = _item(".keys", rows);
            uint256 secret = uint256(vm.parseJsonBytes32(_json, string.concat(at, ".secret")));
            address operator = vm.parseJsonAddress(_json, string.concat(at, ".operator"));
            bytes32 digest = vm.parseJsonBytes32(_json, string.concat(at, ".digest"));
            bytes memory key = _bytes(string.concat(at, ".key"));
            bytes memory possession = _bytes(string.concat(at, ".possession"));

            _assertSame(BlsSigner.publicKey(secret), key, "key");
            _assertSame(possessionOf(secret, digest), possession, "possession");
            harness.register(operator, key, possession, digest);
            _assertSame(harness.keyOf(operator), _bytes(string.concat(at, ".packed")), "packed");
        }
        assertGe(rows, 10, "keys");
    }

    function test_Vectors_Certificates() public {
        bytes[] memory keys = new bytes[](10);
        for (uint256 i = 0; i < keys.length; ++i) {
            keys[i] = _bytes(string.concat(_item(".keys", i), ".packed"));
        }
        bytes memory list = harness.aggregate(keys);
        bytes memory sum = _bytes(".votes.aggregateKey");
        for (uint256 i = 0; i < sum.length; ++i) {
            assertEq(bytes32(list[i]), bytes32(sum[i]), "aggregate key");
        }

        address blob = harness.deploy(bytes.concat(hex"00", list));
        bytes32 digest = vm.parseJsonBytes32(_json, ".votes.digest");
        uint256 rows;
        for (; _exists(".votes.certificates", rows); ++rows) {
            string memory at = _item(".votes.certificates", rows);
            uint256 signers =
                harness.verifyBls(blob, OFFSET, keys.length, 7, digest, _bytes(string.concat(at, ".certificate")));
            assertEq(bytes32(signers), vm.parseJsonBytes32(_json, string.concat(at, ".signers")), "signers");
            bytes memory key = _bytes(string.concat(at, ".key"));
            bytes memory signature = _bytes(string.concat(at, ".signature"));
            assertTrue(harness.verify(Bls12381.VOTE, digest, key, signature), "sum of keys");
        }
        assertGe(rows, 6, "certificates");
    }

    function test_Vectors_SignaturesAddUp() public view {
        bytes memory sum = INFINITY_G1;
        for (uint256 i = 0; i < 10; ++i) {
            sum = BlsSigner.add(sum, _bytes(_item(".votes.signatures", i)));
        }
        _assertSame(sum, _bytes(".votes.certificates[0].signature"), "nobody absent");
    }

    // ---- abuse case 10: what a verifier without the checks of EIP-2537 would take for valid

    function test_Register_RevertWhen_KeyIsNotCanonical() public {
        _expectRefused(_bytes(".refused.nonCanonicalKey"), _bytes(".keys[0].possession"));
    }

    function test_Register_RevertWhen_KeyIsOffTheCurve() public {
        _expectRefused(_bytes(".refused.offCurveKey"), _bytes(".keys[0].possession"));
    }

    function test_Register_RevertWhen_KeyIsOffTheSubgroup() public {
        _expectRefused(_bytes(".refused.offSubgroupKey"), _bytes(".keys[0].possession"));
    }

    function test_Register_RevertWhen_PossessionIsNotCanonical() public {
        _expectRefused(_bytes(".keys[0].key"), _bytes(".refused.nonCanonicalSignature"));
    }

    function test_Register_RevertWhen_PossessionIsOffTheCurve() public {
        _expectRefused(_bytes(".keys[0].key"), _bytes(".refused.offCurveSignature"));
    }

    function test_Register_RevertWhen_PossessionIsOffTheSubgroup() public {
        _expectRefused(_bytes(".keys[0].key"), _bytes(".refused.offSubgroupSignature"));
    }

    /// @dev The ADD precompile takes the point, so that it is on the curve: the pairing refuses it for the subgroup alone.
    function test_Vectors_OffSubgroupPointsAreOnTheCurve() public view {
        bytes memory key = _bytes(".refused.offSubgroupKey");
        assertEq(BlsSigner.addKeys(key, INFINITY_G2).length, 256, "key");
        assertEq(BlsSigner.add(_bytes(".refused.offSubgroupSignature"), INFINITY_G1).length, 128, "signature");
    }

    function _expectRefused(bytes memory key, bytes memory possession) private {
        bytes32 digest = vm.parseJsonBytes32(_json, ".keys[0].digest");
        vm.expectRevert(abi.encodeWithSignature("BlsPrecompileFailed(address)", address(0x0f)));
        harness.register(account("operator"), key, possession, digest);
    }

    function _assertSame(bytes memory a, bytes memory b, string memory what) private pure {
        assertEq(a.length, b.length, what);
        assertEq(keccak256(a), keccak256(b), what);
    }

    function _item(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]");
    }

    function _exists(string memory list, uint256 index) private view returns (bool) {
        return vm.keyExistsJson(_json, _item(list, index));
    }

    function _bytes(string memory key) private view returns (bytes memory) {
        return VmBytes(address(vm)).parseJsonBytes(_json, key);
    }
}
