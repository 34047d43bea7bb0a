"""A Byzantine validator and anonymous strangers throw what they like at a validator; honest work goes on."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp
import pytest

from pot_chain.chain.structs import TaskState
from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.messages import (
    Ballot,
    Decided,
    NewView,
    Prepared,
    Proposal,
    Signed,
    Status,
    ViewChangeRequest,
)
from pot_chain.protocol.addresses import hex_digest
from pot_chain.protocol.eip712 import signing_digest
from pot_chain.protocol.record import Reveal, SignedReport
from pot_chain.protocol.signing import sign_digest
from pot_chain.protocol.votes import Hello, Phase, Slot, ViewChange, Vote
from pot_chain.validator import frames
from pot_chain.validator.service import ValidatorService
from tests.validator.conftest import Chain, running, until

SEED = 20
FRAMES = 4_000
BODIES = 3_000


def bugs(service: ValidatorService) -> list[tuple[str, str]]:
    return [key for key in service.counts if key[0] in ("bug", "evidence")]


class Liar:
    """Random messages of a validator that holds a key of the epoch, most of them nearly right."""

    def __init__(self, chain: Chain, index: int, key: bytes, slot: Slot, members: tuple[str, ...]) -> None:
        self._random = random.Random(SEED)
        self._domain, self._index, self._key = chain.client.domain, index, key
        self._address, self._slot, self._members = chain.validators[3].address, slot, members

    def frame(self) -> bytes:
        kind = self._random.randrange(8)
        if kind == 0:
            return self._random.randbytes(self._random.randrange(200))
        if kind == 1:
            return frames.report(self._any_slot(), self._report())
        if kind == 2:
            miner = self._random.choice(self._members)
            return frames.reveal(self._any_slot(), Reveal(miner, self._digest(), self._digest()))
        if kind == 3:
            return frames.lacks(self._any_slot(), self._random.choices(self._members, k=self._random.randrange(50)))
        frame = frames.pbft(self._message())
        if kind == 4:  # damaged
            at = self._random.randrange(len(frame))
            frame = frame[:at] + self._random.randbytes(3) + frame[at + self._random.randrange(4) :]
        return frame

    def _message(self) -> Any:
        slot, view = self._any_slot(), self._random.choice([0, 1, 2, 3, 7, 1 << 20, (1 << 64) - 1])
        vote = Vote(self._random.choice(list(Phase)), slot, view, self._digest())
        ballot = Vote(self._random.choice([Phase.PREPARE, Phase.COMMIT]), slot, view, self._digest())
        prepared = Prepared(self._certificate(slot), self._payload())
        change = self._signed(ViewChange(slot, max(view, 1), prepared.view, prepared.digest))
        return self._random.choice(
            [
                Status(slot, view),
                Ballot(self._signed(ballot)),
                Proposal(self._signed(vote), self._payload(), None),
                Proposal(self._signed(vote), self._payload(), NewView((change, change, change), prepared.certificate)),
                ViewChangeRequest(change, self._random.choice([prepared, None])),
                ViewChangeRequest(self._signed(ViewChange(slot, max(view, 1))), None),
                Decided(self._certificate(slot), self._payload()),
            ]
        )

    def _payload(self) -> bytes:
        reason = self._random.choice(["[]", "{}", '"nan"', "1e400", "null"])
        payloads = [b"", b"{}", b'{"outcome":{},"record":{"rejected":{"0x":%s}}}' % reason.encode(), b"[" * 5_000]
        return self._random.choice([*payloads, self._random.randbytes(50)])

    def _certificate(self, slot: Slot) -> Certificate:
        vote = Vote(self._random.choice([Phase.PREPARE, Phase.COMMIT]), slot, self._random.randrange(3), self._digest())
        own = self._signed(vote).signature
        signers = sorted(self._random.choices(range(6), k=3))
        return Certificate(vote, tuple((signer, own) for signer in signers))

    def _signed(self, statement: Any) -> Signed[Any]:
        right = sign_digest(self._key, signing_digest(self._domain, statement))
        signature = self._random.choice([right, right, self._random.randbytes(65), bytes(65)])
        return Signed(statement, self._random.choice([self._index, self._index, 0, 255]), signature)

    def _report(self) -> SignedReport:
        rejected = dict.fromkeys(self._random.choices(self._members, k=2), "gradient_mismatch")
        return SignedReport(
            self._random.choice([self._address, self._members[0]]), rejected, self._random.randbytes(65)
        )

    def _digest(self) -> bytes:
        return self._random.choice([bytes(32), b"\x01" * 32, self._random.randbytes(32)])

    def _any_slot(self) -> Slot:
        other = Slot(self._random.randrange(3), self._random.randrange(3), self._random.randrange(3))
        return self._random.choice([self._slot, self._slot, self._slot, other])


async def flood(chain: Chain, target: ValidatorService, liar: Liar, count: int) -> None:
    """Send ``count`` frames as validator 3; the target may throttle but must stay."""
    account = chain.validators[3]
    sent = 0
    async with aiohttp.ClientSession() as session:
        while sent < count:
            async with session.ws_connect(f"http://127.0.0.1:{target.config.port}/peer") as socket:
                nonce = bytes.fromhex((await socket.receive_json())["nonce"][2:])
                hello = Hello(target.me, nonce, 1)
                signature = sign_digest(bytes(account.key), signing_digest(chain.client.domain, hello))
                await socket.send_json({"address": account.address, "epoch": 1, "signature": signature.hex()})
                while sent < count and not socket.closed:
                    await socket.send_bytes(liar.frame())
                    sent += 1
                    if sent % 100 == 0:
                        await asyncio.sleep(0.02)


async def test_a_flood_of_nearly_right_frames_does_not_stop_a_round(chain: Chain) -> None:
    task_id = chain.create_task(training={"rounds": 1})
    services = [chain.validator(i) for i in range(3)]
    async with running(*services):
        miners = [chain.miner(task_id) for _ in range(3)]
        for miner in miners[:2]:
            miner.start()
        ghost = chain.ghost(task_id)
        await until(lambda: all((task_id, 0) in service.actors for service in services))
        actor = services[0].actors[task_id, 0]
        index = actor.context.voters.index(chain.validators[3].address)
        liar = Liar(chain, index, bytes(chain.validators[3].key), actor.slot, actor.context.members)
        frames_before = dict(services[0].counts)
        await flood(chain, services[0], liar, FRAMES // 2)
        last = chain.miner(task_id, ghost).start()
        await asyncio.gather(
            flood(chain, services[0], liar, FRAMES // 2),
            until(lambda: chain.client.training.task(task_id).state is TaskState.COMPLETED),
        )
        assert not [bug for service in services for bug in bugs(service) if bug[0] == "bug"]
        handled = sum(services[0].counts.values()) - sum(frames_before.values())
        assert handled + services[0].mesh.rejected.get("rate_limit", 0) > FRAMES // 4
        reasons = {detail for what, detail in services[0].counts if what == "rejected"}
        assert len(reasons) > 5, "the flood must get as far as the replica"
        assert len(services[0].counts) + len(services[0].mesh.rejected) < 100, "labels must not grow with the flood"
    record = chain.records(task_id)[0]
    assert set(record.accepted) == {miner.address for miner in (*miners[:2], last)}
    for miner in (*miners[:2], last):
        miner.finish()


def bodies(count: int) -> list[bytes]:
    """Bodies of reveals that are none."""
    generator = random.Random(SEED)
    good = {
        "task": "1",
        "round": 0,
        "reveal": {"miner": "0x" + "22" * 20, "cid_digest": hex_digest(bytes(32)), "salt": hex_digest(bytes(32))},
    }
    odd: list[Any] = [None, True, -1, 1 << 70, 1.5, "", "0x", "٣", "1" * 90, [], {}, [[]], {"a": 1}, "\ud800", 10**400]
    texts = [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 4_000,
        b'{"task":' * 400,
        b"9" * 4_000,
        b"NaN",
        json.dumps(good).encode()[:-5],
    ]
    for _ in range(count):
        body = json.loads(json.dumps(good))
        target = generator.choice([body, body["reveal"]])
        target[generator.choice(list(target))] = generator.choice(odd)
        texts.append(json.dumps(body).encode())
        text = bytearray(json.dumps(good).encode())
        text[generator.randrange(len(text))] = generator.randrange(256)
        texts.append(bytes(text))
    return texts


async def test_hostile_bodies_get_an_answer_and_do_no_harm(chain: Chain) -> None:
    service = chain.validator(0)
    async with running(service), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{service.config.port}/reveal"
        for body in bodies(BODIES // 2):
            async with session.post(url, data=body) as answer:
                assert answer.status in (400, 404), body
        async with session.post(url, data=b"x" * 1_000_000) as answer:
            assert answer.status == 413
        for content_type in ("application/json; charset=nonsense", "text/plain; charset=utf-7", "multipart/form-data"):
            async with session.post(url, data=b"{}", headers={"Content-Type": content_type}) as answer:
                assert answer.status == 400
        for path in ("/", "/reveal", "/status/../peer", "/metrics%00"):
            async with session.get(f"http://127.0.0.1:{service.config.port}{path}") as answer:
                assert 400 <= answer.status < 500
        assert not bugs(service)
        async with session.get(f"http://127.0.0.1:{service.config.port}/metrics") as answer:
            assert 'detail="malformed",what="reveal"' in await answer.text()


@pytest.mark.parametrize("greeting", ["[" * 100_000, '{"address":' * 50_000])
async def test_a_bottomless_greeting_is_refused(chain: Chain, greeting: str) -> None:
    """Found by review: RecursionError ended the handler."""
    service = chain.validator(0)
    async with running(service), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{service.config.port}/peer") as socket:
            await socket.receive_json()
            await socket.send_str(greeting)
            message = await socket.receive(timeout=10)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert service.mesh.rejected.get("handshake_malformed") == 1
