"""What a new chain gets: the contracts, an owner with coins, and registered validators."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from pot_chain.chain.anvil import fund
from pot_chain.chain.compiler import compile_contracts
from pot_chain.chain.deploy import NetworkParameters, deploy
from pot_chain.chain.network import ChainClient
from pot_chain.chain.sender import TransactionSender
from pot_chain.chain.structs import RegistryConfig
from pot_chain.localnet.accounts import OWNER, NetworkAccounts
from pot_chain.localnet.description import Description, ValidatorEntry
from pot_chain.localnet.paths import NetworkPaths
from pot_chain.localnet.ports import free_port
from pot_chain.owner.nodes import join_epoch, register_validator

ETHER: Final = 10**18
VALIDATOR_BALANCE: Final = 100 * ETHER
_DEPLOYER_BALANCE: Final = 10 * ETHER

_DAY: Final = 86_400

PARAMETERS: Final = NetworkParameters(
    registry=RegistryConfig(
        min_miner_stake=ETHER // 100,
        min_validator_stake=ETHER,
        unbonding_period=37 * _DAY,
        epoch_length=0,
        epoch_lifetime=30 * _DAY,
        evidence_window=7 * _DAY,
    ),
    answer_window=3600,
    appeal_window=3600,
    deposit=ETHER // 100,
)
"""Small stakes, and epochs as often as wanted, so that a further validator votes at once."""


def populate(
    paths: NetworkPaths,
    description: Description,
    web3: Web3,
    validators: int,
    owner_balance: int,
    say: Callable[[str], None],
) -> Description:
    """Deploy the contracts, fund the owner, register the validators and make them the first epoch.

    Raises:
        PotError: a step was refused.
    """
    accounts = NetworkAccounts(paths)
    say("compiling and deploying the contracts")
    artifacts = compile_contracts()
    # used once and forgotten: whoever deploys has no power over the contracts
    deployer = cast(LocalAccount, Account.create())
    fund(web3, deployer.address, _DEPLOYER_BALANCE)
    # local networks share parameters and chain id: without a salt, what was signed in one would be valid in another
    salt = secrets.token_bytes(32)
    deploy(TransactionSender(web3, deployer), PARAMETERS, artifacts, salt=salt).save(paths.deployment)

    owner = accounts.create(OWNER)
    fund(web3, owner.address, owner_balance)

    say(f"registering {validators} validators")
    entries: list[ValidatorEntry] = []
    ports: set[int] = {description.rpc_port}
    for index in range(validators):
        port = free_port(ports)
        ports.add(port)
        wallet = accounts.create(f"validator-{index}")
        fund(web3, wallet.address, VALIDATOR_BALANCE)
        entries.append(ValidatorEntry(index=index, address=wallet.address, port=port))
    clients = [ChainClient(description.rpc_url, paths.deployment, accounts.unlock(entry.name)) for entry in entries]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda pair: register_validator(pair[0], pair[1].endpoint), zip(clients, entries, strict=True)))
    join_epoch(clients[0])
    return description.model_copy(update={"owner": owner.address, "validators": tuple(entries)})
