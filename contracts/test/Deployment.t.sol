// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Base} from "./Base.sol";
import {Creator} from "./mocks/Creator.sol";
import {Deployment} from "../src/Deployment.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {MinerCourt} from "../src/MinerCourt.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {ProofOfTraining} from "../src/ProofOfTraining.sol";
import {ValidatorCourt} from "../src/ValidatorCourt.sol";

/// @notice The real contracts, created as on a chain.
contract DeploymentTest is Base {
    bytes32 private constant SALT = keccak256("network");

    bytes[4] private _codes;

    function setUp() public {
        _codes[0] = codeOf("NodeRegistry", type(NodeRegistry).creationCode);
        _codes[1] = codeOf("ProofOfTraining", type(ProofOfTraining).creationCode);
        _codes[2] = codeOf("ValidatorCourt", type(ValidatorCourt).creationCode);
        _codes[3] = codeOf("MinerCourt", type(MinerCourt).creationCode);
    }

    function test_CreateNext_MakesANetworkThatKnowsItself() public {
        Deployment deployment = _deploy(_parameters());
        for (uint256 i = 0; i < 4; ++i) {
            Deployment.Part expected = Deployment.Part(i + 1);
            vm.expectEmit(address(deployment));
            emit Deployment.Created(expected, deployment.addressOf(expected));
            (Deployment.Part part, address created) = deployment.createNext(_codes[i]);
            assertEq(uint256(part), i + 1, "part");
            assertEq(created, deployment.addressOf(expected), "address");
            assertTrue(created.code.length != 0, "code");
        }
        NodeRegistry registry = NodeRegistry(deployment.addressOf(Deployment.Part.NodeRegistry));
        ProofOfTraining training = ProofOfTraining(deployment.addressOf(Deployment.Part.ProofOfTraining));
        ValidatorCourt validators = ValidatorCourt(payable(deployment.addressOf(Deployment.Part.ValidatorCourt)));
        MinerCourt miners = MinerCourt(payable(deployment.addressOf(Deployment.Part.MinerCourt)));
        assertEq(registry.config().validatorCourt, address(validators), "the registry's court");
        assertEq(registry.config().minerCourt, address(miners), "the registry's other court");
        assertEq(training.registry(), address(registry), "the training's registry");
        assertEq(validators.registry(), address(registry), "the validator court's registry");
        assertEq(validators.training(), address(training), "the validator court's training");
        assertEq(miners.registry(), address(registry), "the miner court's registry");
        assertEq(miners.training(), address(training), "the miner court's training");
        assertEq(miners.answerWindow(), 1 hours, "answer window");
        assertEq(miners.appealWindow(), 1 days, "appeal window");
        assertEq(miners.deposit(), 0.1 ether, "deposit");
    }

    /// @dev The registry makes its first epoch by its first creation, which EpochBlob.at relies on.
    function test_ArgumentsOf_AreWhatTheConstructorsGot() public {
        Deployment deployment = _deploy(_parameters());
        deployment.createNext(_codes[0]);
        NodeRegistry registry = NodeRegistry(deployment.addressOf(Deployment.Part.NodeRegistry));
        bytes memory arguments = deployment.argumentsOf(Deployment.Part.NodeRegistry);
        assertEq(keccak256(arguments), keccak256(abi.encode(registry.config())), "registry");
        assertEq(
            keccak256(deployment.argumentsOf(Deployment.Part.ProofOfTraining)),
            keccak256(abi.encode(address(registry))),
            "training"
        );
    }

    function test_RevertIf_CodeIsNotTheNextOne() public {
        Deployment deployment = _deploy(_parameters());
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 j = 0; j < 4; ++j) {
                if (j != i) _expectWrongCode(deployment, i, _codes[j]); // wrong order, and what exists already
            }
            _expectWrongCode(deployment, i, bytes.concat(_codes[i], hex"00"));
            _expectWrongCode(deployment, i, "");
            deployment.createNext(_codes[i]);
        }
        vm.expectRevert(Deployment.Complete.selector);
        deployment.createNext(_codes[3]);
    }

    /// @dev The parameters are unsound: the first constructor refuses them, and nothing else can ever lie at its address.
    function test_RevertIf_ConstructorReverts() public {
        Deployment.Parameters memory parameters = _parameters();
        parameters.registry.unbondingPeriod = 1;
        Deployment deployment = _deploy(parameters);
        vm.expectRevert(abi.encodeWithSelector(Deployment.CreationFailed.selector, Deployment.Part.NodeRegistry));
        deployment.createNext(_codes[0]);

        parameters = _parameters();
        parameters.answerWindow = 0;
        deployment = _deploy(parameters);
        for (uint256 i = 0; i < 3; ++i) {
            deployment.createNext(_codes[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(Deployment.CreationFailed.selector, Deployment.Part.MinerCourt));
        deployment.createNext(_codes[3]);
    }

    /// @dev A call with too little gas fails as a whole: the next one finds the same address free.
    function test_CreateNext_CanBeRepeatedAfterALackOfGas() public {
        Deployment deployment = _deploy(_parameters());
        try deployment.createNext{gas: 2_000_000}(_codes[0]) {
            assertTrue(false, "too little gas");
        } catch {}
        (, address created) = deployment.createNext(_codes[0]);
        assertEq(created, deployment.addressOf(Deployment.Part.NodeRegistry), "address");
    }

    /// @dev CREATE2 through a factory: the deployer's account is in no address, the parameters and codes are.
    function test_Addresses_FollowFromTheParametersAlone() public {
        Creator creator = new Creator();
        bytes memory code = _initCode(_parameters());
        vm.prank(account("anybody"));
        Deployment deployment = Deployment(creator.create2(SALT, code));
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), address(creator), SALT, keccak256(code)));
        assertEq(address(deployment), address(uint160(uint256(hash))), "CREATE2");
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(account(i % 2 == 0 ? "anybody" : "somebody else"));
            (Deployment.Part part, address created) = deployment.createNext(_codes[i]);
            assertEq(created, deployment.addressOf(part), "address");
        }
        Deployment.Parameters memory other = _parameters();
        other.deposit += 1;
        assertTrue(creator.create2(SALT, _initCode(other)) != address(deployment), "other parameters");
        vm.expectRevert(Creator.Failed.selector);
        creator.create2(SALT, code);
    }

    function _expectWrongCode(Deployment deployment, uint256 index, bytes memory code) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                Deployment.WrongCode.selector, Deployment.Part(index + 1), keccak256(code), keccak256(_codes[index])
            )
        );
        deployment.createNext(code);
    }

    function _deploy(Deployment.Parameters memory parameters) private returns (Deployment) {
        return new Deployment(parameters, _hashes());
    }

    function _initCode(Deployment.Parameters memory parameters) private view returns (bytes memory) {
        return bytes.concat(type(Deployment).creationCode, abi.encode(parameters, _hashes()));
    }

    function _hashes() private view returns (bytes32[4] memory hashes) {
        for (uint256 i = 0; i < 4; ++i) {
            hashes[i] = keccak256(_codes[i]);
        }
    }

    function _parameters() private pure returns (Deployment.Parameters memory) {
        return Deployment.Parameters({
            registry: INodeRegistry.Config({
                minMinerStake: 1 ether,
                minValidatorStake: 10 ether,
                unbondingPeriod: 21 days,
                epochLength: 1 hours,
                epochLifetime: 14 days,
                evidenceWindow: 7 days,
                validatorCourt: address(0),
                minerCourt: address(0)
            }),
            answerWindow: 1 hours,
            appealWindow: 1 days,
            deposit: 0.1 ether
        });
    }
}
