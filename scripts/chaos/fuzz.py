"""Malformed frames at a live replica, by a validator that lies and by strangers, while honest work must go on.

Four validators, each in a process of its own but the liar, which this program plays: it authenticates with its vote key
like any validator and then sends frame after frame; the receiver's rate limit is off, so that every frame reaches the
parser. Meanwhile strangers fail at handshakes in every way. At the end the replica must have handled every frame,
have decided slots all the time, have met no bug, and have grown by no more than ``GROWTH_BYTES``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp
import psutil

from pot_chain.protocol.eip712 import signing_digest
from pot_chain.protocol.signing import address_of, sign_digest
from pot_chain.protocol.votes import Hello
from scripts.bench.node import DOMAIN, EPOCH, HOST, keys_of
from scripts.chaos.malformed import Malformed
from scripts.chaos.network import TIMEOUTS, ChaosError, History, Validator

SIZE = 4
TARGET, LIAR = 0, 3
GROWTH_BYTES = 48 << 20
"""How much the replica may grow from a tenth of the frames to the last: it must not depend on their number."""
QUIET_SECONDS = 12 * TIMEOUTS.initial
"""Longest time without a decision: every fourth slot waits for the liar's view to end, on a busy machine."""
_STRANGER_PAUSE = 0.05
_REPLY_SECONDS = 120.0


@dataclass
class Found:
    """What a run showed; sizes in bytes."""

    frames: int
    seconds: float
    rounds: int
    strangers: int
    resident_before: int
    resident_after: int
    longest_quiet: float
    reasons: Counter[str]

    def __str__(self) -> str:
        mib = 1 << 20
        return (
            f"{self.frames} malformed frames in {self.seconds:.0f} s and {self.strangers} strangers: no crash, "
            f"{self.rounds} slots decided meanwhile (at most {self.longest_quiet:.1f} s apart), resident memory "
            f"{self.resident_before / mib:.1f} MiB after a tenth, {self.resident_after / mib:.1f} MiB at the end"
        )


class Fuzzer:
    """One run against one replica."""

    def __init__(self, seed: int, frames: int, folder: Path) -> None:
        self._seed, self._frames = seed, frames
        self._history = History()
        self._keys = keys_of(SIZE)
        self._honest = [
            Validator(index, SIZE, folder / str(index), self._history, unlimited=index == TARGET)
            for index in range(SIZE)
            if index != LIAR
        ]
        self._target = self._honest[TARGET]
        self._strangers = 0

    async def run(self) -> Found:
        """All of it.

        Raises:
            ChaosError: the replica did not stand it.
        """
        try:
            await asyncio.gather(*(validator.start() for validator in self._honest))
            urls = {validator.index: f"http://{HOST}:{validator.port}" for validator in self._honest}
            for validator in self._honest:
                validator.connect(urls | {LIAR: f"http://{HOST}:9"})  # nobody listens there
            await self._until_round(2)
            return await self._attack(urls[TARGET])
        finally:
            await asyncio.gather(*(validator.stop() for validator in self._honest))

    async def _attack(self, url: str) -> Found:
        begun, first_round = time.monotonic(), self._round()
        lies = Malformed(self._seed, self._keys[LIAR], LIAR, SIZE, self._round)
        process = psutil.Process(self._target.pid)
        sized_at, before, longest, changed, last = max(1, self._frames // 10), 0, 0.0, begun, first_round
        crowd = asyncio.create_task(self._crowd(url))
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(url + "/peer") as socket:
                await self._say_hello(socket)
                for sent in range(self._frames):
                    await socket.send_bytes(lies.next())
                    if sent == sized_at:
                        await self._handled(sent)
                        before = process.memory_info().rss
                    if sent % 100 == 0:
                        now = time.monotonic()
                        if self._round() > last:
                            last, changed = self._round(), now
                        longest = max(longest, now - changed)
                        self._check(longest)
                        await asyncio.sleep(0)  # let the crowd and the readers have their turn
                counts = await self._handled(self._frames)
        finally:
            crowd.cancel()
            await asyncio.gather(crowd, return_exceptions=True)
        if crowd.done() and not crowd.cancelled() and (error := crowd.exception()) is not None:
            raise ChaosError(f"the strangers' program failed: {error!r}")
        after = process.memory_info().rss
        await self._until_round(self._round() + SIZE)  # honest work goes on, whoever leads
        return self._judged(
            Found(
                frames=self._frames,
                seconds=time.monotonic() - begun,
                rounds=self._round() - first_round,
                strangers=self._strangers,
                resident_before=before,
                resident_after=after,
                longest_quiet=longest,
                reasons=Counter({name: count for name, count in counts.items() if "received" not in name}),
            )
        )

    def _judged(self, found: Found) -> Found:
        if found.resident_after > found.resident_before + GROWTH_BYTES:
            raise ChaosError(f"the replica's memory grew: {found}")
        bugs = [name for name in found.reasons if name.startswith("bug")]
        if bugs or self._target.complaints():
            raise ChaosError("\n".join(["the replica met a bug:", *bugs, *self._target.complaints()[:2]]))
        slandered = [line for line in self._target.accusations() if f"signer={LIAR}," not in line]
        if slandered:
            raise ChaosError(f"the replica accuses an honest validator: {slandered[:3]}")
        self._history.check(SIZE - 1, self._round())
        return found

    def _round(self) -> int:
        return self._history.next_round(TARGET)

    def _check(self, quiet: float) -> None:
        if not self._target.running or self._target.fatal is not None:
            raise ChaosError(f"the replica is gone: {self._target.fatal!r} {self._target.complaints()[-3:]}")
        if quiet > QUIET_SECONDS:
            raise ChaosError(f"no decision for {quiet:.1f} s")

    async def _handled(self, sent: int) -> dict[str, int]:
        """The replica's counters, once it has received ``sent`` frames of the liar."""
        async with asyncio.timeout(_REPLY_SECONDS):
            while True:
                self._target.tell(do="stats")
                counts: dict[str, int] = (await self._target.stats.get())["counts"]
                if counts.get(f"received: {LIAR}", 0) >= sent:
                    return counts
                await asyncio.sleep(0.05)

    async def _until_round(self, number: int) -> None:
        async with asyncio.timeout(_REPLY_SECONDS):
            while min(self._history.next_round(validator.index) for validator in self._honest) < number:
                self._check(0.0)
                await asyncio.sleep(0.05)

    async def _say_hello(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        challenge = json.loads(await socket.receive_str())
        hello = Hello(address_of(self._keys[TARGET]), bytes.fromhex(challenge["nonce"][2:]), EPOCH)
        signature = sign_digest(self._keys[LIAR], signing_digest(DOMAIN, hello)).hex()
        await socket.send_json({"address": address_of(self._keys[LIAR]), "epoch": EPOCH, "signature": signature})

    # -- strangers ------------------------------------------------------------------------------------------------

    async def _crowd(self, url: str) -> None:
        """One stranger after the other, until cancelled."""
        rng = Random(f"strangers {self._seed}")
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with asyncio.timeout(10):
                        await rng.choice((self._mumble, self._shout, self._impostor))(url, session, rng)
                except (aiohttp.ClientError, OSError, TimeoutError, TypeError):
                    pass  # refused, which is what strangers must expect; TypeError: closed instead of a text
                self._strangers += 1
                await asyncio.sleep(_STRANGER_PAUSE)

    async def _mumble(self, url: str, session: aiohttp.ClientSession, rng: Random) -> None:
        """Bytes that are no HTTP, or an end in the middle of it."""
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        request = b"GET /peer HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX: " + rng.randbytes(rng.randint(0, 20_000))
        writer.write(rng.choice((rng.randbytes(2_000), request, b"\r\n" * 500)))
        await writer.drain()
        writer.close()

    async def _shout(self, url: str, session: aiohttp.ClientSession, rng: Random) -> None:
        """A websocket whose handshake is none."""
        async with session.ws_connect(url + "/peer") as socket:
            await socket.receive_str()
            answers = (rng.randbytes(5_000).hex(), "{}", "[" * 3_000, "", '{"address":null,"epoch":1e9,"signature":[]}')
            if rng.random() < 0.5:
                await socket.send_str(rng.choice(answers))
            else:
                await socket.send_bytes(rng.randbytes(rng.choice((0, 100, 2 << 20))))
            await socket.receive()

    async def _impostor(self, url: str, session: aiohttp.ClientSession, rng: Random) -> None:
        """A handshake in the name of an honest validator, and a frame in case it is believed."""
        async with session.ws_connect(url + "/peer") as socket:
            challenge = json.loads(await socket.receive_str())
            hello = Hello(address_of(self._keys[TARGET]), bytes.fromhex(challenge["nonce"][2:]), EPOCH)
            signature = sign_digest(rng.randbytes(32), signing_digest(DOMAIN, hello)).hex()
            await socket.send_json({"address": address_of(self._keys[1]), "epoch": EPOCH, "signature": signature})
            await socket.send_bytes(b"\x01\x01\x06" + bytes(56))
            await socket.receive()


async def fuzz(seed: int, frames: int) -> Found:
    """One run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="pot-fuzz-") as folder:
        return await Fuzzer(seed, frames, Path(folder)).run()


def main(arguments: list[str] | None = None) -> int:
    """0 if the replica stood it, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, metavar="N", help="malformed frames (1,000,000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the frames (0)")
    options = parser.parse_args(arguments)
    try:
        found = asyncio.run(fuzz(options.seed, options.frames))
    except ChaosError as error:
        print(f"seed {options.seed}: {error}")
        return 1
    for reason, count in found.reasons.most_common():
        print(f"{count:9}  {reason}")
    print(f"seed {options.seed}, load average {os.getloadavg()[0]:.1f}: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
