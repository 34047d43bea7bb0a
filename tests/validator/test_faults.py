"""Rounds that become final in spite of everything, over a real chain, real sockets and real storage."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

import worker.miner
from ipfs.cid import digest_of
from ipfs.embedded import EmbeddedStore
from ipfs.unixfs import file_cid
from pot_chain.chain.connection import rpc
from pot_chain.chain.structs import TaskState
from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.errors import LogWriteFailed, SlotRetired
from pot_chain.pbft.events import Sign
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.spec import TaskSpec
from pot_chain.protocol.votes import Phase, Slot, Vote
from pot_chain.validator.service import ValidatorService
from tests.validator.conftest import SPEC, Chain, running, until
from worker.miner import Miner, MinerConfig
from worker.reveal_client import post_reveal

IMPATIENT = Timeouts(initial=1.0, maximum=4.0, resend=0.2)
PATIENT = Timeouts(initial=120.0, maximum=120.0, resend=0.2)
"""A slow machine changes no view."""
ONE_ROUND = {"rounds": 1}


def completed(chain: Chain, *task_ids: int) -> bool:
    return all(chain.client.training.task(task_id).state is TaskState.COMPLETED for task_id in task_ids)


def unharmed(*services: ValidatorService) -> bool:
    """Whether nobody saw an equivocation or a failure of our own code."""
    return not [key for service in services for key in service.counts if key[0] in ("evidence", "bug")]


async def test_a_dead_primary_costs_a_view_and_its_own_pay_only(chain: Chain) -> None:
    first, *rest = chain.voters()
    task_id = chain.create_task(training=ONE_ROUND)
    services = [chain.validator(i, timeouts=IMPATIENT) for i in rest]
    async with running(*services):
        miners = [chain.miner(task_id).start() for _ in range(3)]
        await until(lambda: completed(chain, task_id))
        assert unharmed(*services)
    final, record = chain.history(task_id).finals[0].final, chain.records(task_id)[0]
    assert final is not None
    assert final.view > 0
    assert set(record.accepted) == {miner.address for miner in miners}
    assert {report.validator for report in record.reports} == {chain.validators[i].address for i in rest}
    assert chain.validators[first].address not in record.earned
    for miner in miners:
        miner.finish()


async def test_the_others_finalize_when_the_primary_dies_with_the_decision(chain: Chain) -> None:
    """Its last deed is to decide; the others hold the same certificate and the same record."""
    services = [chain.validator(i, timeouts=PATIENT) for i in chain.voters()]
    services[0]._finalize = lambda *_: None  # type: ignore[method-assign]
    task_id = chain.create_task(training=ONE_ROUND)
    async with running(*services):
        for _ in range(3):
            chain.miner(task_id).start()
        await until(lambda: completed(chain, task_id))
        assert unharmed(*services)
    final = chain.history(task_id).finals[0].final
    assert final is not None
    assert final.view == 0
    sender = chain.client.web3.eth.get_transaction(final.transaction)["from"]  # type: ignore[arg-type]
    assert sender == services[1].me


class Hoarder(Miner):
    """Names a gradient that it keeps to itself."""

    def __init__(self, config: MinerConfig, on_event: Any) -> None:
        super().__init__(config, on_event)
        self.store = HoardingStore(config.ipfs_url.removeprefix("embedded:"))


class HoardingStore(EmbeddedStore):
    def add(self, data: bytes, *, pin: bool = True) -> str:
        return str(file_cid(data))

    def put_manifest(self, data: bytes) -> bytes:
        return digest_of(super().add(data))


async def test_members_that_are_absent_unreachable_or_hide_their_work(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round 0 passes without a commit and is skipped. In round 1 one member stays away, one can only reveal on chain,
    one reveals a gradient that nobody can fetch; the rest are paid as if all were well.
    """
    task_id = chain.create_task(training=ONE_ROUND, miners={"min": 5})
    accounts = [chain.ghost(task_id) for _ in range(5)]
    absent, shy, hoarder = (account.address for account in accounts[:3])

    def post(endpoints: Mapping[str, str], task: int, number: int, reveal: Reveal) -> set[str]:
        return set() if reveal.miner == shy else post_reveal(endpoints, task, number, reveal)

    monkeypatch.setattr(worker.miner, "post_reveal", post)
    services = [chain.validator(i) for i in range(4)]
    async with running(*services):
        await until(lambda: all(service.actors for service in services))
        chain.advance(20 + 10 + 30 + 3 * 3 + 1)
        await until(lambda: chain.history(task_id).rounds[0].skipped)
        assert 1 in chain.history(task_id).rounds
        miners = [
            chain.miner(task_id, account, kind=Hoarder if account.address == hoarder else Miner).start()
            for account in accounts
            if account.address != absent
        ]
        await until(lambda: len(chain.history(task_id).rounds[1].commits) == 4)
        chain.advance(21)
        await until(lambda: all(service.actors[task_id, 1].collection.reveals for service in services))
        chain.advance(5)
        await until(lambda: completed(chain, task_id))
        assert unharmed(*services)
    record = chain.records(task_id)[0]
    assert record.rejected == {hoarder: "unavailable"}
    assert set(record.accepted) == {account.address for account in accounts[3:]} | {shy}
    assert absent not in record.reveals
    assert shy in chain.history(task_id).rounds[1].reveals
    share = {record.earned[miner] for miner in record.accepted}
    assert share == {(3 * 10**18) * 8_000 // 10_000 * 16 // (16 * 5)}
    for miner in miners:
        miner.finish()


async def test_garbage_tasks_do_not_hold_up_the_good_ones(chain: Chain) -> None:
    """Found by review: one task whose spec could not be loaded stopped the validator from following the chain."""
    spec = TaskSpec.parse(SPEC | {"training": SPEC["training"] | ONE_ROUND, "miners": {"min": 1, "max": 1}})
    unfetchable = spec.with_data("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
    digests = [
        b"\x66" * 32,
        chain.store.put_manifest(b'{"not":"a spec"}'),
        chain.store.put_manifest(unfetchable.to_bytes()),
        chain.store.put_manifest(spec.with_data("zzz").to_bytes()),
    ]
    for garbage in digests:
        chain.ghost(chain.create(spec, garbage, b"\x67" * 32))
    good = [chain.create_task(training=ONE_ROUND) for _ in range(2)]
    services = [chain.validator(i) for i in range(4)]
    async with running(*services):
        miners = [chain.miner(task_id).start() for task_id in good for _ in range(3)]
        await until(lambda: completed(chain, *good))
        assert unharmed(*services)
        assert all(any(what == "trouble" for what, _ in service.counts) for service in services)
        assert all(service.mesh.connected == {s.me for s in services} - {service.me} for service in services)
    for miner in miners:
        miner.finish()


class Cable:
    """A TCP forwarder to ``port`` that can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.transport.abort()

    async def ended(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._links |= {writer, there_writer}
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        self._links -= {writer, there_writer}
        self._tasks.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # cut
    finally:
        writer.close()


@asynccontextmanager
async def cable(url: str) -> AsyncIterator[Cable]:
    made = Cable(urlsplit(url).port or 0)
    await made.mend()
    try:
        yield made
    finally:
        made.cut()
        await made.ended()


async def test_an_outage_of_the_rpc_node_is_sat_out(chain: Chain) -> None:
    """Cut while the round is open, and again when it is decided; miners and validators go on where they were."""
    decided = threading.Event()

    def delayed(finalize: Callable[..., None], *outcome: Any) -> None:
        assert decided.wait(60)
        finalize(*outcome)

    async with cable(chain.rpc) as link:
        through = dataclasses.replace(chain, rpc=f"http://127.0.0.1:{link.port}")
        through.client, through.store = chain.client, chain.store
        task_id = chain.create_task(training=ONE_ROUND)
        services = [through.validator(i) for i in range(4)]
        for service in services:
            service._finalize = partial(delayed, service._finalize)  # type: ignore[method-assign]
        async with running(*services):
            miners = [through.miner(task_id).start() for _ in range(3)]
            await until(lambda: bool(chain.history(task_id).rounds))
            link.cut()
            await until(lambda: all(any(what == "poll_failed" for what, _ in s.counts) for s in services))
            await link.mend()
            await until(lambda: all(s.actors and s.actors[task_id, 0].decided for s in services))
            link.cut()
            decided.set()
            await until(lambda: any(what == "trouble" for s in services for what, _ in s.counts))
            assert not completed(chain, task_id)
            await link.mend()
            await until(lambda: completed(chain, task_id))
            assert unharmed(*services)
        for miner in miners:
            await asyncio.to_thread(miner.finish)  # the cable runs in this thread
        assert len(chain.records(task_id)[0].accepted) == 3


async def test_a_reorg_that_opens_the_round_anew_makes_everybody_start_it_anew(chain: Chain) -> None:
    """The join of the second miner is undone too: it joins again by itself."""
    task_id = chain.create_task(training=ONE_ROUND)
    services = [chain.validator(i) for i in range(4)]
    miners = [chain.miner(task_id) for _ in range(3)]
    async with running(*services):
        miners[0].start()
        await until(lambda: len(chain.history(task_id).membership.members(0)) == 1)
        snapshot = rpc(chain.client.web3, "evm_snapshot")
        miners[1].start()
        chain.ghost(task_id)
        await until(lambda: all(miner.told("committed") for miner in miners[:2]))
        await until(lambda: all(service.actors for service in services))
        old = chain.history(task_id).rounds[0]
        assert rpc(chain.client.web3, "evm_revert", [snapshot])
        await until(lambda: not chain.history(task_id).rounds)
        miners[2].start()
        await until(lambda: completed(chain, task_id))
        assert unharmed(*services)
    for miner in miners:
        miner.finish()
    assert miners[1].told("joined") == 2
    new = chain.history(task_id).rounds[0]
    assert new.opened_hash != old.opened_hash
    record = chain.records(task_id)[0]
    assert (record.seed, len(record.accepted)) == (new.seed, 3)


# -- starting and ending


async def test_a_failed_start_releases_everything(chain: Chain) -> None:
    running_service, other = chain.validator(0), chain.validator(1)
    async with running(running_service):
        blocked = ValidatorService(dataclasses.replace(other.config, port=running_service.config.port))
        with pytest.raises(PotError, match="cannot listen"):
            await blocked.start()
        await blocked.close()
        async with running(other):  # the same signing log
            await until(lambda: bool(other.mesh.connected))


async def test_a_validator_that_lost_its_log_abstains_from_the_open_round(chain: Chain) -> None:
    task_id = chain.create_task(training=ONE_ROUND, miners={"min": 1})
    chain.ghost(task_id)
    service = ValidatorService(dataclasses.replace(chain.validator(0).config, state_dir=chain.folder / "anew"))
    async with running(service):
        await until(lambda: (task_id, 0) in service.actors)
        slot = service.actors[task_id, 0].slot
        with pytest.raises(SlotRetired):
            service.guard.sign(Sign(Vote(Phase.PREPARE, slot, 0, b"\x01" * 32), 0))
        later = Slot(slot.task_id, 1, slot.epoch)
        assert service.guard.sign(Sign(Vote(Phase.PREPARE, later, 0, b"\x01" * 32), 0))


async def test_a_signing_log_that_fails_ends_the_program_with_the_reason(chain: Chain) -> None:
    service = chain.validator(0)
    await service.start()
    service._services.wiring.fail(LogWriteFailed("the disk is full", "free space, then restart the validator"))
    with pytest.raises(LogWriteFailed, match="the disk is full"):
        await service.follow(asyncio.Event())
    await service.close()
