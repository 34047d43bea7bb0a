from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils import keccak
from web3 import Web3

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.bindings import revert_decoder
from pot_chain.chain.compiler import compile_contracts
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.contract import Contract
from pot_chain.chain.deploy import DETERMINISTIC_DEPLOYER, Deployer, Part, create2_address, deploy
from pot_chain.chain.deployment import Deployment, load_deployment
from pot_chain.chain.errors import ContractReverted, DeploymentError, InsufficientFunds, WrongChain
from pot_chain.chain.project import find_project
from pot_chain.chain.sender import TransactionSender
from pot_chain.chain.solc import PINNED, compile_standard
from tests.parameters import parameters

PARAMETERS = replace(
    parameters(
        min_validator_stake=2 * 10**18, unbonding_period=77, epoch_length=3, epoch_lifetime=57, evidence_window=20
    ),
    answer_window=5,
    appeal_window=6,
)


@pytest.fixture(scope="module")
def deployment(shared_chain: AnvilProcess) -> Deployment:
    web3, account = shared_chain.web3(), Account.create()
    fund(web3, account.address, 10**20)
    return deploy(TransactionSender(web3, account), PARAMETERS)


def test_a_deployment_tells_what_was_deployed(deployment: Deployment, web3: Web3) -> None:
    artifacts = compile_contracts()
    contracts = deployment.bind(web3)
    config = contracts.registry.config()
    assert deployment.compiler == PINNED
    assert deployment.chain_id == 31337
    assert deployment.registry.arguments == {
        "minMinerStake": str(10**16),
        "minValidatorStake": str(2 * 10**18),
        "unbondingPeriod": "77",
        "epochLength": "3",
        "epochLifetime": "57",
        "evidenceWindow": "20",
        "validatorCourt": config.validator_court,
        "minerCourt": config.miner_court,
    }
    assert deployment.training.arguments == {"registry": deployment.registry.address}
    assert contracts.training.registry() == deployment.registry.address
    assert (config.unbonding_period, config.min_validator_stake) == (77, 2 * 10**18)
    assert list(deployment.contracts) == [part.name for part in Part]
    assert config.validator_court == deployment.contracts["ValidatorCourt"].address
    assert config.miner_court == deployment.contracts["MinerCourt"].address
    assert deployment.contracts["MinerCourt"].arguments == {
        "registry": deployment.registry.address,
        "training": deployment.training.address,
        "answerWindow": "5",
        "appealWindow": "6",
        "deposit": str(PARAMETERS.deposit),
    }
    assert deployment.from_block == deployment.registry.block < deployment.training.block
    for name, contract in deployment.contracts.items():
        assert contract.bytecode_hash == artifacts[name].bytecode_hash
        assert contract.source == f"contracts/src/{name}.sol"
        code = bytes.fromhex(rpc(web3, "eth_getCode", [contract.address, "latest"])[2:])
        assert contract.code_hash == "0x" + keccak(code).hex()
        receipt = rpc(web3, "eth_getTransactionReceipt", [contract.transaction])
        assert int(receipt["blockNumber"], 16) == contract.block
        assert int(receipt["gasUsed"], 16) == contract.gas_used


def test_the_file_comes_back(deployment: Deployment, web3: Web3, tmp_path: Path) -> None:
    path = tmp_path / "deployments" / "31337.json"
    deployment.save(path)
    deployment.save(path)
    assert load_deployment(path) == load_deployment(path, web3) == deployment
    assert [item.name for item in path.parent.iterdir()] == ["31337.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="there is no deployment file") as caught:
        load_deployment(tmp_path / "1.json")
    assert "deploy the contracts first" in caught.value.hint


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-10],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"format": 2', '"format": 3'),
        lambda text: text.replace("NodeRegistry", "Other"),
        lambda text: text.replace('"address": "0x', '"address": "0X'),
        lambda text: text.replace('"block": ', '"block": "x", "b": '),
        lambda text: json.dumps({**json.loads(text), "contracts": []}),
        lambda text: text.replace('"arguments": {', '"arguments": 5, "a": {'),
    ],
)
def test_a_damaged_file(damage: Callable[[str], str], deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "31337.json"
    path.write_text(damage(json.dumps(deployment.to_json())), encoding="utf-8")
    with pytest.raises(DeploymentError, match="is not a deployment file"):
        load_deployment(path)


def test_another_chain(deployment: Deployment, web3: Web3, tmp_path: Path) -> None:
    with pytest.raises(WrongChain, match="has id 31337, expected 5"):
        replace(deployment, chain_id=5).check(web3)
    with AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log")) as fresh:
        with pytest.raises(DeploymentError, match="there is no NodeRegistry at 0x") as caught:
            deployment.check(connect(fresh.rpc_url))
        assert "pot up" in caught.value.hint


def test_other_code_at_the_address(deployment: Deployment, web3: Web3) -> None:
    elsewhere = replace(deployment.registry, address=deployment.training.address)
    swapped = replace(deployment, contracts={**deployment.contracts, "NodeRegistry": elsewhere})
    with pytest.raises(DeploymentError, match="is not the deployed NodeRegistry"):
        swapped.check(web3)


def test_a_folder_that_cannot_be_written(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DeploymentError, match="cannot write"):
        deployment.save(tmp_path / "file" / "31337.json")


def test_deploying_without_money(web3: Web3, new_sender: Callable[..., TransactionSender]) -> None:
    with pytest.raises(InsufficientFunds):
        deploy(new_sender(web3, 0), PARAMETERS, salt=b"\x01" * 32)


# ---- addresses that follow from the parameters


def test_the_same_parameters_are_found_and_not_deployed_again(
    deployment: Deployment, web3: Web3, new_sender: Callable[..., TransactionSender]
) -> None:
    assert Deployer(web3, PARAMETERS).find() == deployment
    penniless = new_sender(web3, 0)
    assert deploy(penniless, PARAMETERS) == deployment


def test_the_same_addresses_on_every_chain_whoever_pays(
    deployment: Deployment, own_chain: AnvilProcess, new_sender: Callable[..., TransactionSender]
) -> None:
    there = deploy(new_sender(own_chain.web3()), PARAMETERS)
    assert there.creator == deployment.creator
    assert {n: c.address for n, c in there.contracts.items()} == {n: c.address for n, c in deployment.contracts.items()}


@pytest.mark.parametrize("change", [{"salt": b"\x02" * 32}, {"parameters": replace(PARAMETERS, deposit=1)}])
def test_other_parameters_or_another_salt_give_other_addresses(
    deployment: Deployment, web3: Web3, change: dict[str, Any]
) -> None:
    other = Deployer(web3, **{"parameters": PARAMETERS, **change})
    assert other.creator != deployment.creator
    assert other.find() is None


def test_a_deployment_that_was_broken_off_goes_on(web3: Web3, new_sender: Callable[..., TransactionSender]) -> None:
    class Dies(Exception):
        pass

    def die(step: str) -> None:
        if step == "creating ProofOfTraining":
            raise Dies

    salt = b"\x03" * 32
    with pytest.raises(Dies):
        Deployer(web3, PARAMETERS, salt=salt).complete(new_sender(web3), die)
    begun = Deployer(web3, PARAMETERS, salt=salt)
    assert begun.find() is None
    steps: list[str] = []
    assert begun.complete(new_sender(web3), steps.append) == begun.find()
    assert steps[0] == "creating ProofOfTraining"


def test_code_of_another_version_is_refused(
    deployment: Deployment, web3: Web3, new_sender: Callable[..., TransactionSender]
) -> None:
    artifacts = compile_contracts()
    salt = b"\x04" * 32
    deployer = Deployer(web3, PARAMETERS, salt=salt)

    def stop(step: str) -> None:
        if step == "creating NodeRegistry":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        deployer.complete(new_sender(web3), stop)
    creator = Contract(web3, deployer.creator, artifacts["Deployment"].abi, revert_decoder(artifacts))
    with pytest.raises(ContractReverted, match="is not that of part 1 of the deployment") as caught:
        new_sender(web3).send(creator.call("createNext", artifacts["NodeRegistry"].bytecode + b"\x00"))
    assert "compile the sources" in caught.value.hint


def test_parameters_that_the_registry_refuses_cost_nothing(
    web3: Web3, new_sender: Callable[..., TransactionSender]
) -> None:
    sender = new_sender(web3)
    refused = replace(PARAMETERS, registry=replace(PARAMETERS.registry, unbonding_period=76))
    with pytest.raises(ContractReverted, match="an unbonding period of 76 s is below"):
        deploy(sender, refused)
    assert int(rpc(web3, "eth_getTransactionCount", [sender.address, "latest"]), 16) == 0


def test_parameters_that_a_court_refuses_are_named(web3: Web3, new_sender: Callable[..., TransactionSender]) -> None:
    with pytest.raises(ContractReverted, match="a window of 11 s is zero, or too long for an evidence window of 20 s"):
        deploy(new_sender(web3), replace(PARAMETERS, appeal_window=11))


def test_a_chain_without_the_deterministic_deployer(
    own_chain: AnvilProcess, new_sender: Callable[..., TransactionSender]
) -> None:
    web3 = own_chain.web3()
    rpc(web3, "anvil_setCode", [DETERMINISTIC_DEPLOYER, "0x"])
    with pytest.raises(DeploymentError, match="has no deterministic deployer at 0x4e59b4") as caught:
        deploy(new_sender(web3), PARAMETERS)
    assert "well-known first transaction" in caught.value.hint


def test_create2_meets_the_examples_of_eip_1014() -> None:
    zero = "0x" + "00" * 20
    assert create2_address(zero, bytes(32), b"\x00") == "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"
    deadbeef = "0x00000000000000000000000000000000deadbeef"
    salt = bytes.fromhex("cafebabe".rjust(64, "0"))
    assert create2_address(deadbeef, salt, bytes.fromhex("deadbeef")) == "0x60f3f640a8508fC6a86d45DF051962668E1e8AC7"


def test_the_verification_input_compiles_to_what_is_deployed(
    deployment: Deployment, web3: Web3, tmp_path: Path
) -> None:
    path = deployment.save_verification(tmp_path / "31337.json")
    assert path.name == "31337.input.json"
    project = find_project()
    output = compile_standard(project, json.loads(path.read_text(encoding="utf-8")))
    for name, contract in deployment.contracts.items():
        unit = output["contracts"][contract.source][name]
        assert "0x" + keccak(bytes.fromhex(unit["evm"]["bytecode"]["object"])).hex() == contract.bytecode_hash
        created = rpc(web3, "eth_getTransactionByHash", [contract.transaction])["input"]
        assert unit["evm"]["bytecode"]["object"] in created
