"""The contracts' arithmetic on a real chain, many cases a call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any, cast

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from pot_chain.chain.abi import encode
from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.bindings import revert_decoder
from pot_chain.chain.compiler import compile_contracts
from pot_chain.chain.contract import Call, Contract
from pot_chain.chain.deploy import deploy
from pot_chain.chain.project import find_project
from pot_chain.chain.sender import TransactionSender
from pot_chain.protocol.eip712 import Domain
from tests.parameters import PARAMETERS

CASES = int(os.environ.get("POT_DIFFERENTIAL_CASES", "400"))
"""Random cases in all; 10,000 and more in the long run."""
BATCH = 100
"""Cases in one call."""


class Harness:
    """The two harnesses on a chain, and the domains in which they hash."""

    def __init__(self, hashes: Contract, claims: Contract, domain: Domain, registry_domain: Domain) -> None:
        self._hashes, self._claims = hashes, claims
        self.domain, self.registry_domain = domain, registry_domain
        self.asked = 0
        """Cases so far."""

    def ask(self, function: str, *columns: list[Any]) -> list[Any]:
        """The contract's answers to the cases in ``columns``, whose i-th items belong together."""
        answers: list[Any] = []
        self.asked += len(columns[0])
        contract = self._claims if function == "claims" else self._hashes
        for start in range(0, len(columns[0]), BATCH):
            answers += contract.read(function, *(column[start : start + BATCH] for column in columns))
        return answers


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    artifacts = compile_contracts()
    harnesses = compile_contracts(replace(find_project(), source="contracts/test/mocks/differential"))
    with AnvilProcess.start(AnvilConfig(tmp_path_factory.mktemp("anvil") / "anvil.log")) as anvil:
        web3, account = anvil.web3(), cast(LocalAccount, Account.create())
        fund(web3, account.address, 10**20)
        sender = TransactionSender(web3, account)
        deployment = deploy(sender, PARAMETERS, artifacts)
        registry = deployment.registry.address
        errors = revert_decoder(artifacts)

        def make(name: str) -> Contract:
            code = harnesses[name].bytecode + encode([{"type": "address"}], [registry])
            address = sender.send(Call(to=None, data=code)).contract
            assert address is not None
            return Contract(web3, address, harnesses[name].abi, errors)

        hashes, claims = make("DifferentialHarness"), make("ClaimHarness")
        fund(web3, claims.address, 1 << 128)
        domain = Domain(deployment.chain_id, hashes.address)
        yield Harness(hashes, claims, domain, Domain(deployment.chain_id, registry, name="NodeRegistry"))


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    """Random numbers of this test, the same in each run."""
    return Random(request.node.name)


@pytest.fixture(autouse=True)
def count_cases(harness: Harness, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """The audit reads from the report how many cases each test has compared."""
    before = harness.asked
    yield
    record_property("cases", harness.asked - before)
