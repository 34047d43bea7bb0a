"""A process that hosts some of the validators of a test network; its parent speaks to it in lines of JSON.

Started by ``scripts.bench.cluster`` (several validators a process) and ``scripts.chaos`` (one a process). The first
line on stdin configures it; each further line is a command. What happens goes to stdout, with times of
``time.monotonic``, which all processes of a machine share. It ends with stdin, or with code 3 when a signing log
cannot be written.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from pot_chain.pbft.config import Timeouts
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.votes import Slot
from pot_chain.validator import transport
from scripts.bench.limit import REPLY, Delays
from scripts.bench.node import Decision, Node, keys_of

LOG_FAILED = 3
"""Exit code when a signing log cannot be written or opened."""
_LINE_LIMIT = 1 << 20


class Worker:
    """Hosts validators and carries out the parent's commands."""

    def __init__(self, config: dict[str, Any], node_type: type[Node] = Node) -> None:
        self._config, self._node_type = config, node_type
        self._delays = Delays(**config["delays"]) if config.get("delays") else None
        self._client = config.get("client", False)
        self.failed: asyncio.Future[PotError] = asyncio.get_running_loop().create_future()
        self.nodes: dict[int, Node] = {}

    async def start(self) -> None:
        """Open the logs and listen; reports the ports."""
        config = self._config
        if config.get("unlimited"):
            # for a fuzzer, so that every frame reaches the parser: the limiter has tests of its own
            transport.TOKENS_PER_SECOND = transport.BURST_TOKENS = float(1 << 40)
        keys, timeouts = keys_of(config["size"]), Timeouts(**config["timeouts"])
        for index in config["nodes"]:
            self.nodes[index] = self._node_type(
                index,
                keys,
                Path(config["folder"]) / str(index),
                timeouts=timeouts,
                decided=self._on_decided,
                fail=self._on_failure,
                delays=self._delays,
            )
        ports = config.get("ports", {})
        bound = {index: await node.listen(ports.get(str(index), 0)) for index, node in self.nodes.items()}
        tell("listening", ports=bound, pid=os.getpid())

    async def obey(self, command: dict[str, Any]) -> None:
        """Carry out one command."""
        match command.pop("do"):
            case "connect":
                endpoints = {int(index): url for index, url in command["endpoints"].items()}
                for node in self.nodes.values():
                    await node.connect(endpoints)
            case "linked":
                tell("linked", links=sum(node.linked for node in self.nodes.values()))
            case "open":
                slot = Slot(*command["slot"])
                for node in self.nodes.values():
                    if slot not in node.slots:
                        node.open(slot)
                tell("opened", slot=command["slot"])
            case "start":
                slot = Slot(*command["slot"])
                at = min(node.start(slot) for node in self.nodes.values())
                tell("started", slot=command["slot"], at=at)
            case "propose":
                slot = Slot(*command["slot"])
                for index in command.get("nodes", list(self.nodes)):
                    at = self.nodes[index].propose(slot)
                    tell("proposing", slot=command["slot"], node=index, at=at)
            case "drop":
                slot = Slot(*command["slot"])
                for node in self.nodes.values():
                    node.drop(slot)
            case "stats":
                tell("stats", **self._stats())
            case "settle":
                gc.collect()
                gc.freeze()  # what was set up stays: collections need not look at it
                tell("settled")

    async def close(self) -> None:
        """Close all validators."""
        await asyncio.gather(*(node.close() for node in self.nodes.values()))

    def _stats(self) -> dict[str, Any]:
        counts: dict[str, int] = {}
        for node in self.nodes.values():
            for (what, detail), count in node.counts.items():
                counts[f"{what}: {detail}"] = counts.get(f"{what}: {detail}", 0) + count
            for reason, count in node.mesh.rejected.items():
                counts[f"link: {reason}"] = counts.get(f"link: {reason}", 0) + count
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu": usage.ru_utime + usage.ru_stime,
            "traffic": [asdict(node.transport.traffic) for node in self.nodes.values()],
            "counts": counts,
        }

    def _on_decided(self, decision: Decision) -> None:
        fields = {
            "slot": [decision.slot.task_id, decision.slot.round, decision.slot.epoch],
            "node": decision.node,
            "at": decision.at,
            "view": decision.view,
            "digest": decision.digest.hex(),
            "parent": decision.parent.hex(),
        }
        if self._client and self._delays is not None:
            delay = self._delays.of(REPLY, decision.slot, decision.view, decision.node, 0)
            asyncio.get_running_loop().call_later(delay, lambda: tell("reply", slot=fields["slot"]))
        tell("decided", **fields)

    def _on_failure(self, error: PotError) -> None:
        if not self.failed.done():
            self.failed.set_result(error)


def tell(event: str, **fields: Any) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


async def main(node_type: type[Node]) -> int:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=_LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    worker = Worker(json.loads(await lines.readline()), node_type)
    serving = asyncio.ensure_future(_serve(worker, lines))
    ends: list[asyncio.Future[Any]] = [serving, worker.failed]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if worker.failed.done():
        serving.cancel()
        tell("failed", error=str(worker.failed.result()), at=time.monotonic())
        return LOG_FAILED
    serving.result()
    return 0


async def _serve(worker: Worker, lines: asyncio.StreamReader) -> None:
    try:
        await worker.start()
    except PotError as error:
        worker.failed.set_result(error)
        return
    while line := await lines.readline():
        await worker.obey(json.loads(line))
    await worker.close()


def run(node_type: type[Node] = Node) -> int:
    """The process; returns its exit code."""
    logging.basicConfig(level=os.environ.get("POT_LOG", "WARNING"), stream=sys.stderr)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return uvloop.run(main(node_type))


if __name__ == "__main__":
    sys.exit(run())
