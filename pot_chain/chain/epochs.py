"""Starting the next validator epoch, with the certificate of the current set where one is needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from pot_chain.chain.connection import LOOPBACK, rpc
from pot_chain.chain.network import ChainClient
from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address, Digest, canonical_order
from pot_chain.protocol.eip712 import Domain, rotation_digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.signing import compact, recover, sign_digest

TIMEOUT_SECONDS: Final = 5.0
"""For all answers together."""
MAX_ANSWER_BYTES: Final = 512

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Handover:
    """What the current validators sign: that ``vote_keys``, chosen by the registry, are the next epoch."""

    epoch: int
    vote_keys: tuple[Address, ...]
    digest: Digest


def next_handover(client: ChainClient) -> Handover:
    """The handover as things stand on chain.

    Raises:
        RpcDown, RpcError: the chain does not answer.
    """
    registry = client.registry
    epoch, keys = registry.current_epoch() + 1, registry.next_validators()
    domain = Domain(client.deployment.chain_id, registry.address, name="NodeRegistry")
    return Handover(epoch, keys, rotation_digest(domain, epoch, keys))


def start_epoch(client: ChainClient) -> None:
    """Start the next epoch; signatures are asked of the current validators if the contract wants them.

    Raises:
        ContractReverted: ``EpochNotOver``; ``TooFewValidators``; ``QuorumNotReached`` if too few of them answer;
            ``InvalidSignature`` if the set has changed meanwhile.
        ChainError: the chain does not answer, or the account cannot pay.
    """
    client.send(client.registry.advance_epoch(_certificate(client)))


def _certificate(client: ChainClient) -> bytes:
    """What the current epoch has to say to its replacement now; empty where nothing."""
    registry = client.registry
    current = registry.current_epoch()
    if current == 0:
        return b""
    info = registry.epoch_info(current)
    now = int(rpc(client.web3, "eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
    length = info.replaceable_at - info.started_at
    if not info.replaceable_at <= now < info.replaceable_at + length:
        return b""
    handover, voters = next_handover(client), registry.epoch_validators(current)
    endpoints = {key: registry.endpoint_of(registry.operator_of(key)) for key in voters}
    signatures = _collect({key: url for key, url in endpoints.items() if url}, handover.digest)
    if client.account is not None and client.account.address in voters:
        signatures[client.account.address] = sign_digest(bytes(client.account.key), handover.digest)
    log.info("%d of %d validators sign the handover to epoch %d", len(signatures), len(voters), handover.epoch)
    chosen = canonical_order(signatures)[: info.quorum]
    return b"".join(voters.index(key).to_bytes(2, "big") + compact(signatures[key]) for key in chosen)


def _collect(endpoints: Mapping[Address, str], digest: Digest) -> dict[Address, bytes]:
    """Signatures over ``digest`` of those that give one in time.

    The endpoints are strangers' words: redirects are not followed, only the beginning of an answer is read, and a
    server that drips its answer keeps nobody.
    """
    found: dict[Address, bytes] = {}
    lock = threading.Lock()

    def ask(key: Address, url: str) -> None:
        signature = _ask(key, url, digest)
        if signature is not None:
            with lock:
                found[key] = signature

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in endpoints.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    with lock:
        return dict(found)


def _ask(key: Address, url: str, digest: Digest) -> bytes | None:
    try:
        with requests.Session() as session:
            session.trust_env = urlsplit(url).hostname not in LOOPBACK  # no proxy to this machine
            with session.get(
                url.rstrip("/") + "/rotation", timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
            ) as answer:
                body = answer.raw.read(MAX_ANSWER_BYTES)
        value: Any = canonical.parse(body, max_bytes=MAX_ANSWER_BYTES)
        signature = bytes.fromhex(value["signature"][2:])
        if recover(digest, signature) == key:
            return signature
        log.info("validator %s signs another handover", key)
    # requests' errors are OSErrors, most of them; InvalidURL and the like are ValueErrors
    except (OSError, HTTPError, ProtocolError, ValueError, KeyError, TypeError) as error:
        log.info("validator %s does not sign the handover: %s", key, type(error).__name__)
    return None
