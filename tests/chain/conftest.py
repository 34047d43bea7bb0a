"""A real chain for the tests of the chain layer: one anvil for the session, a new account for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.compiler import Artifact, compile_contracts
from pot_chain.chain.contract import Call, Contract
from pot_chain.chain.fees import FeePolicy
from pot_chain.chain.project import Project, find_project
from pot_chain.chain.reverts import RevertDecoder
from pot_chain.chain.sender import SenderPolicy, TransactionSender

ETHER = 10**18
FAST = SenderPolicy(fees=FeePolicy(), timeout=20.0, poll=0.01, max_poll=0.05)

NewSender = Callable[..., TransactionSender]


@pytest.fixture(scope="session")
def probe_project() -> Project:
    """The repository's compiler settings over the tests' own contract."""
    return replace(find_project(), source="tests/chain/contracts")


@pytest.fixture(scope="session")
def probe_artifact(probe_project: Project) -> Artifact:
    return compile_contracts(probe_project)["Probe"]


@pytest.fixture(scope="session")
def shared_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilProcess]:
    folder: Path = tmp_path_factory.mktemp("anvil")
    with AnvilProcess.start(AnvilConfig(log=folder / "anvil.log")) as chain:
        yield chain


@pytest.fixture
def own_chain(tmp_path: Path) -> Iterator[AnvilProcess]:
    """A chain that the test may bend: no other test sees it."""
    with AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log", state=tmp_path / "state.json")) as chain:
        yield chain


@pytest.fixture
def web3(shared_chain: AnvilProcess) -> Web3:
    return shared_chain.web3()


@pytest.fixture
def new_sender() -> NewSender:
    def make(web3: Web3, wei: int = 100 * ETHER, policy: SenderPolicy = FAST) -> TransactionSender:
        account: LocalAccount = Account.create()
        fund(web3, account.address, wei)
        return TransactionSender(web3, account, policy)

    return make


def deploy_probe(sender: TransactionSender, artifact: Artifact) -> Contract:
    mined = sender.send(Call(to=None, data=artifact.bytecode, function="Probe"))
    assert mined.contract is not None
    return Contract(sender.web3, mined.contract, artifact.abi, RevertDecoder([artifact.abi]))


@pytest.fixture
def probe(web3: Web3, new_sender: NewSender, probe_artifact: Artifact) -> Contract:
    return deploy_probe(new_sender(web3), probe_artifact)
