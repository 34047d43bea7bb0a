"""What a validator answers over HTTP: reveals of miners, its status, its metrics, and the peers' websockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CONTENT_TYPE_LATEST

from pot_chain import __version__
from pot_chain.protocol import canonical
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.outcome import parse_uint
from pot_chain.protocol.record import Reveal, exact_fields, small_uint

if TYPE_CHECKING:
    from pot_chain.validator.service import ValidatorService

MAX_BODY_BYTES = 4_096
BODY_SECONDS = 5.0


async def serve(service: ValidatorService, host: str, port: int) -> web.AppRunner:
    """Start the server.

    Raises:
        ProtocolError: the port is taken.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/peer", service.mesh.handle)
    app.router.add_post("/reveal", _Handlers(service).reveal)
    app.router.add_get("/rotation", _Handlers(service).rotation)
    app.router.add_get("/status", _Handlers(service).status)
    app.router.add_get("/metrics", _Handlers(service).metrics)
    runner = web.AppRunner(app, access_log=None, logger=server_logger(service.count), shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ProtocolError(
            f"cannot listen on {host}:{port}: {error.strerror}", "another program uses the port; choose another --port"
        ) from error
    return runner


def server_logger(count: Callable[[str, str], None]) -> logging.Logger:
    """A logger for aiohttp's server that counts requests that are no HTTP and does not log them.

    aiohttp logs each with a traceback and all of its bytes, tens of kilobytes that any stranger can have written to our
    disk as often as it likes. Failures of our own handlers are logged as ever.
    """

    def keep(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            count("http", "malformed")
            return False
        return True

    logger = logging.Logger(f"{__name__}.server")
    logger.parent = logging.getLogger(__name__)
    logger.addFilter(keep)
    return logger


class _Handlers:
    def __init__(self, service: ValidatorService) -> None:
        self._service = service

    async def reveal(self, request: web.Request) -> web.Response:
        """POST {"task", "round", "reveal"}: 200 taken, 404 no such open round here, 400 does not open a seal.

        Nothing but a 200 obliges this validator to anything; a miner that gets another answer tries again.
        """
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            return _error(408, f"the body did not arrive within {BODY_SECONDS:.0f} s")
        try:
            fields = exact_fields(canonical.parse(body, max_bytes=MAX_BODY_BYTES), "task", "round", "reveal")
            key = parse_uint(fields["task"]), small_uint(fields["round"])
            reveal = Reveal.from_json(fields["reveal"])
        except ProtocolError as error:
            self._service.count("reveal", "malformed")
            return _error(400, f"malformed reveal: {error}")
        actor = self._service.actors.get(key)
        if actor is None:
            return _error(404, f"round {key[1]} of task {key[0]} is not open at this validator")
        try:
            actor.on_reveal(reveal)
        except ProtocolError as error:
            self._service.count("reveal", "not used")
            return _error(400, str(error))
        return web.json_response({"status": "taken"})

    async def rotation(self, request: web.Request) -> web.Response:
        """GET: our signature over the handover to the next validator epoch; 409 while there is none to be had."""
        try:
            signature = await self._service.rotation_signature()
        except PotError as error:
            return _error(503, str(error))
        if signature is None:
            return _error(409, "this validator has no say in the next epoch, or it cannot start yet")
        return web.json_response({"signature": "0x" + signature.hex()})

    async def status(self, request: web.Request) -> web.Response:
        """GET: what this validator is doing."""
        service = self._service
        return web.json_response(
            {
                "version": __version__,
                "address": service.me,
                "chain": {"id": service.chain.domain.chain_id, "block": service.chain.head, "time": service.chain.now},
                "storage": service.storage,
                "peers": sorted(service.mesh.connected),
                "rounds": [
                    {
                        "task": str(actor.slot.task_id),
                        "round": actor.slot.round,
                        "epoch": actor.slot.epoch,
                        "phase": actor.phase,
                        "view": actor.consensus.view,
                        "primary": actor.context.voters[actor.consensus.primary(actor.consensus.view)],
                        "members": len(actor.context.members),
                        "commits": len(actor.collection.commits),
                        "reveals": len(actor.collection.reveals),
                    }
                    for actor in service.actors.values()
                ],
            }
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """GET: counters, gauges and histograms in the Prometheus text format; see ``pot_chain.validator.metrics``."""
        return web.Response(body=self._service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _error(status: int, message: str, **fields: Any) -> web.Response:
    return web.json_response({"error": message, **fields}, status=status)
