"""Real chains for the tests of the chain layer: one anvil for the session, and one's own where a test bends it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.compiler import Artifact, compile_contracts
from pot_chain.chain.connection import rpc
from pot_chain.chain.contract import Call, Contract
from pot_chain.chain.deploy import deploy
from pot_chain.chain.deployment import Deployment
from pot_chain.chain.project import Project, find_project
from pot_chain.chain.reverts import RevertDecoder
from pot_chain.chain.sender import SenderPolicy, TransactionSender
from tests.chain.faulty_rpc import FaultyRpc
from tests.chain.world import World
from tests.parameters import PARAMETERS

ETHER = 10**18
FAST = SenderPolicy(timeout=60.0, poll=0.01, max_poll=0.05)


@pytest.fixture(scope="session")
def probe_project() -> Project:
    """The repository's compiler settings over the tests' own contract."""
    return replace(find_project(), source="tests/chain/contracts")


@pytest.fixture(scope="session")
def probe_artifact(probe_project: Project) -> Artifact:
    return compile_contracts(probe_project)["Probe"]


@pytest.fixture(scope="session")
def shared_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilProcess]:
    with AnvilProcess.start(AnvilConfig(log=tmp_path_factory.mktemp("anvil") / "anvil.log")) as chain:
        yield chain


@pytest.fixture
def own_chain(tmp_path: Path) -> Iterator[AnvilProcess]:
    """A chain that the test may bend: no other test sees it."""
    with AnvilProcess.start(AnvilConfig(log=tmp_path / "anvil.log")) as chain:
        yield chain


@pytest.fixture
def web3(shared_chain: AnvilProcess) -> Web3:
    return shared_chain.web3()


@pytest.fixture
def new_sender() -> Callable[..., TransactionSender]:
    """``new_sender(web3, wei, policy)``: a sender with a fresh, funded account."""

    def make(web3: Web3, wei: int = 100 * ETHER, policy: SenderPolicy = FAST) -> TransactionSender:
        account: LocalAccount = Account.create()
        fund(web3, account.address, wei)
        return TransactionSender(web3, account, policy)

    return make


@pytest.fixture
def new_probe(probe_artifact: Artifact) -> Callable[[TransactionSender], Contract]:
    """``new_probe(sender)``: a fresh Probe contract."""

    def deploy(sender: TransactionSender) -> Contract:
        mined = sender.send(Call(to=None, data=probe_artifact.bytecode, function="Probe"))
        assert mined.contract is not None
        return Contract(sender.web3, mined.contract, probe_artifact.abi, RevertDecoder([probe_artifact.abi]))

    return deploy


@pytest.fixture
def probe(
    web3: Web3, new_sender: Callable[..., TransactionSender], new_probe: Callable[[TransactionSender], Contract]
) -> Contract:
    return new_probe(new_sender(web3))


@pytest.fixture
def faulty_rpc() -> Iterator[Callable[[AnvilProcess], FaultyRpc]]:
    """``faulty_rpc(chain)``: an endpoint of ``chain`` that fails on demand."""
    opened: list[FaultyRpc] = []

    def make(chain: AnvilProcess) -> FaultyRpc:
        opened.append(FaultyRpc(chain.rpc_url))
        return opened[-1]

    yield make
    for proxy in opened:
        proxy.close()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """``wait_until(condition)``: fails when it does not hold within 60 s."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "the condition was not met within 60 s"
            time.sleep(0.01)

    return wait


@pytest.fixture
def new_contracts() -> Callable[[TransactionSender], Deployment]:
    """``new_contracts(sender)``: our two contracts, freshly deployed."""

    def make(sender: TransactionSender) -> Deployment:
        # two chains started in one second have the same genesis block; the sender's balance makes the next one unique
        rpc(sender.web3, "anvil_mine", ["0x1"])
        return deploy(sender, PARAMETERS, salt=secrets.token_bytes(32))

    return make


@pytest.fixture
def world(
    own_chain: AnvilProcess,
    new_sender: Callable[..., TransactionSender],
    new_contracts: Callable[[TransactionSender], Deployment],
) -> World:
    sender = new_sender(own_chain.web3())
    return World(own_chain, sender, new_contracts(sender))
