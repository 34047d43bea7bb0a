from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils import keccak
from web3 import Web3

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.compiler import compile_contracts
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.deploy import Deployment, RegistryConfig, deploy, load_deployment
from pot_chain.chain.errors import DeploymentError, InsufficientFunds, WrongChain
from pot_chain.chain.sender import TransactionSender
from pot_chain.chain.solc import PINNED

CONFIG = RegistryConfig(min_miner_stake=10**16, min_validator_stake=2 * 10**18, unbonding_period=77, epoch_length=3)


@pytest.fixture(scope="module")
def deployment(shared_chain: AnvilProcess) -> Deployment:
    web3, account = shared_chain.web3(), Account.create()
    fund(web3, account.address, 10**20)
    return deploy(TransactionSender(web3, account), CONFIG)


def test_a_deployment_tells_what_was_deployed(deployment: Deployment, web3: Web3) -> None:
    artifacts = compile_contracts()
    contracts = deployment.bind(web3)
    assert deployment.compiler == PINNED
    assert deployment.chain_id == 31337
    assert deployment.registry.arguments == {
        "minMinerStake": str(10**16),
        "minValidatorStake": str(2 * 10**18),
        "unbondingPeriod": "77",
        "epochLength": "3",
    }
    assert deployment.training.arguments == {"registry": deployment.registry.address}
    assert contracts.training.registry() == deployment.registry.address
    assert contracts.registry.unbonding_period() == 77
    assert deployment.from_block == deployment.registry.block < deployment.training.block
    for name, contract in (("NodeRegistry", deployment.registry), ("ProofOfTraining", deployment.training)):
        assert contract.bytecode_hash == artifacts[name].bytecode_hash
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
        lambda text: text.replace('"format": 1', '"format": 2'),
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
    swapped = replace(deployment, registry=replace(deployment.registry, address=deployment.training.address))
    with pytest.raises(DeploymentError, match="is not the deployed NodeRegistry"):
        swapped.check(web3)


def test_a_folder_that_cannot_be_written(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DeploymentError, match="cannot write"):
        deployment.save(tmp_path / "file" / "31337.json")


def test_deploying_without_money(web3: Web3, new_sender: Callable[..., TransactionSender]) -> None:
    with pytest.raises(InsufficientFunds):
        deploy(new_sender(web3, 0), CONFIG)
