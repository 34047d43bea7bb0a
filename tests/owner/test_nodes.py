"""Registering nodes."""

from __future__ import annotations

import pytest

from pot_chain.chain.bindings import Role
from pot_chain.chain.connection import rpc
from pot_chain.chain.errors import ContractReverted, InsufficientFunds
from pot_chain.owner.errors import RegistrationError
from pot_chain.owner.nodes import Registered, join_epoch, register_miner, register_validator

from .conftest import ETHER, World


def test_a_validator_registers_moves_and_votes(world: World) -> None:
    client = world.client(world.account())
    address = client.account.address if client.account else ""
    snapshot = rpc(client.web3, "evm_snapshot")
    try:
        assert register_validator(client, "http://127.0.0.1:7001", 2 * ETHER) is Registered.NEW
        node = client.registry.node(address)
        assert (node.role, node.stake, node.vote_key) == (Role.VALIDATOR, 2 * ETHER, address)
        assert register_validator(client, "http://127.0.0.1:7001") is Registered.UNCHANGED
        assert register_validator(client, "http://127.0.0.1:7002") is Registered.MOVED
        assert client.registry.endpoint_of(address) == "http://127.0.0.1:7002"

        before = client.registry.current_epoch()
        voting = join_epoch(client)
        assert (voting.epoch, voting.votes) == (before + 1, True)
        assert address in client.registry.epoch_validators(voting.epoch)
        assert join_epoch(client).epoch == voting.epoch, "it votes already, so no further epoch is opened"
    finally:
        # the other tests' rounds are certified by the four validators whose keys the network has
        rpc(client.web3, "evm_revert", [snapshot])


def test_a_miner_registers_once_with_the_least_stake(world: World) -> None:
    client = world.client(world.account())
    address = client.account.address if client.account else ""
    assert register_miner(client)
    assert client.registry.node(address).stake == client.registry.config().min_miner_stake
    assert not register_miner(client)
    with pytest.raises(RegistrationError, match="is registered as a miner") as caught:
        register_validator(client, "http://127.0.0.1:7001")
    assert "another account" in caught.value.hint


def test_who_is_leaving_cannot_register(world: World) -> None:
    client = world.client(world.account())
    register_miner(client)
    client.send(client.registry.start_unbonding())
    with pytest.raises(RegistrationError, match="is leaving"):
        register_miner(client)


def test_stakes_that_are_too_small_or_not_there(world: World) -> None:
    with pytest.raises(ContractReverted, match="below the minimum"):
        register_miner(world.client(world.account()), stake=1)
    with pytest.raises(InsufficientFunds):
        register_miner(world.client(world.account(1)))
