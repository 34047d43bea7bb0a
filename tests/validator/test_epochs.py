"""Validators come and go between rounds; each round is decided by those of its epoch."""

from __future__ import annotations

import dataclasses
from typing import cast

from eth_account import Account
from eth_account.signers.local import LocalAccount

from pot_chain.chain.anvil import fund
from pot_chain.chain.network import ChainClient
from pot_chain.chain.structs import TaskState
from pot_chain.localnet.ports import free_port
from pot_chain.owner.nodes import join_epoch, register_validator
from pot_chain.validator.service import ValidatorService
from tests.validator.conftest import ETHER, Chain, running, until


async def test_an_epoch_that_begins_during_a_round_decides_the_next_one(chain: Chain) -> None:
    """A fifth validator joins while round 0 is open, and one of the first four leaves during round 1."""
    task_id = chain.create_task(training={"rounds": 3})
    fifth, port = cast(LocalAccount, Account.create()), free_port(chain.ports)
    fund(chain.client.web3, fifth.address, 10 * ETHER)
    services = [chain.validator(i) for i in range(4)]
    base = services[0].config
    services.append(
        ValidatorService(dataclasses.replace(base, account=fifth, port=port, state_dir=chain.folder / "validator-4"))
    )
    ghost = chain.ghost(task_id)
    async with running(*services):
        miners = [chain.miner(task_id).start() for _ in range(2)]
        await until(lambda: 0 in chain.history(task_id).rounds)
        client = ChainClient(chain.rpc, chain.deployment, fifth)
        register_validator(client, f"http://127.0.0.1:{port}")
        assert join_epoch(client).votes
        last = chain.miner(task_id, ghost).start()
        await until(lambda: last.told("revealed") == 1)
        last.stop()  # which keeps round 1 open until it comes back
        await until(lambda: 1 in chain.history(task_id).rounds)
        leaver = ChainClient(chain.rpc, chain.deployment, chain.validators[0])
        leaver.send(leaver.registry.start_unbonding())
        chain.client.send(chain.client.registry.advance_epoch())
        last = chain.miner(task_id, ghost).start()
        await until(lambda: chain.history(task_id).state is TaskState.COMPLETED)
        await until(lambda: fifth.address in services[1].mesh.connected)
        await until(lambda: chain.validators[0].address not in services[1].mesh.connected)
        assert not [key for service in services for key in service.counts if key[0] in ("evidence", "bug")]
    first_four = {account.address for account in chain.validators}
    rounds, records = chain.history(task_id).rounds, chain.records(task_id)
    assert [seen.epoch for seen in rounds.values()] == [1, 2, 3]
    sets = [first_four, first_four | {fifth.address}, first_four - {chain.validators[0].address} | {fifth.address}]
    for record, voters in zip(records, sets, strict=True):
        assert {report.validator for report in record.reports} <= voters
        assert set(record.accepted) == {miner.address for miner in (*miners, last)}
    pool = 3 * ETHER // 3 * 2_000 // 10_000
    assert records[1].earned[fifth.address] == pool // 5
    assert fifth.address not in records[0].earned
    assert chain.validators[0].address not in records[2].earned
    for miner in (*miners, last):
        miner.finish()
