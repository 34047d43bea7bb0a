"""A synchronous cluster of real guards and replicas: messages wait in queues until a test delivers them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from eth_utils import keccak

from pot_chain.pbft import (
    Broadcast,
    Certificate,
    Config,
    Decide,
    Effect,
    Event,
    Evidence,
    Message,
    NewView,
    Prepared,
    Proposal,
    ProposalReady,
    Received,
    Reject,
    Replica,
    RequestProposal,
    Send,
    Sign,
    SignatureReady,
    SignatureRefused,
    Signed,
    SigningGuard,
    SigningRefused,
    Start,
    Timer,
    TimerFired,
    Validate,
    Validated,
    ViewChangeRequest,
    decode,
    ecdsa_verifier,
    encode,
)
from pot_chain.protocol.addresses import canonical_order
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.signing import address_of, sign_digest
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

S = TypeVar("S", Vote, ViewChange)

DOMAIN = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
SLOT = Slot(task_id=7, round=0, epoch=1)
PRIVATE_KEYS = [keccak(text=f"validator {number}") for number in range(13)]


def keys_of(size: int) -> list[bytes]:
    """Private keys of an epoch of ``size``, in the order of their addresses."""
    by_address = {address_of(key): key for key in PRIVATE_KEYS[:size]}
    return [by_address[address] for address in canonical_order(by_address)]


def payload_of(text: str) -> bytes:
    """A payload that ``digest_of`` accepts."""
    return b"outcome " + text.encode()


def digest_of(payload: bytes) -> bytes | None:
    """Stand-in for the outcome's hash: any payload that says what it is."""
    return keccak(payload) if payload.startswith(b"outcome ") else None


@dataclass
class Cluster:
    """``size`` validators with logs under ``folder``; ``valid`` says what each of them confirms."""

    folder: Path
    size: int = 4
    slot: Slot = SLOT
    valid: Callable[[int, bytes], bool] = lambda index, payload: True
    replicas: list[Replica] = field(default_factory=list)
    guards: list[SigningGuard] = field(default_factory=list)
    links: dict[tuple[int, int], deque[bytes]] = field(default_factory=dict)
    effects: list[list[Effect]] = field(default_factory=list)
    digest: bytes = keccak(payload_of("of 0 in view 0"))

    def __post_init__(self) -> None:
        self.keys = keys_of(self.size)
        self.addresses = [address_of(key) for key in self.keys]
        for index in range(self.size):
            self.guards.append(self._open(index))
            self.guards[index].begin({})
            self.replicas.append(self._replica(index))
            self.effects.append([])

    def _open(self, index: int) -> SigningGuard:
        return SigningGuard.open(self.folder / f"{index}.log", self.keys[index], DOMAIN)

    def _replica(self, index: int) -> Replica:
        return Replica(Config(self.slot, self.size, index, ecdsa_verifier(DOMAIN, self.addresses), digest_of))

    def close(self) -> None:
        for guard in self.guards:
            guard.close()

    def restart(self, index: int) -> None:
        """Crash and restart one validator: only its log survives."""
        self.guards[index].close()
        self.guards[index] = self._open(index)
        self.replicas[index] = self._replica(index)
        self.step(index, self.guards[index].restore(self.slot))

    def step(self, index: int, event: Event) -> list[Effect]:
        """Give ``event`` to a replica and act on the effects as a shell does; all effects come back."""
        seen: list[Effect] = []
        events = deque([event])
        while events:
            for effect in self.replicas[index].step(events.popleft()):
                seen.append(effect)
                events.extend(self._act(index, effect))
        self.effects[index] += seen
        return seen

    def _act(self, index: int, effect: Effect) -> Iterator[Event]:
        match effect:
            case Sign():
                try:
                    yield SignatureReady(effect, self.guards[index].sign(effect))
                except SigningRefused as refusal:
                    yield SignatureRefused(effect, str(refusal))
            case Broadcast(message):
                for to in range(self.size):
                    if to != index:
                        self.links.setdefault((index, to), deque()).append(encode(message))
            case Send(to, message):
                self.links.setdefault((index, to), deque()).append(encode(message))
            case RequestProposal(view):
                yield ProposalReady(view, payload_of(f"of {index} in view {view}"))
            case Validate(_, payload, digest):
                yield Validated(digest, self.valid(index, payload), "the test says so")
            case _:
                pass

    def start(self, *indices: int) -> None:
        for index in indices or range(self.size):
            self.step(index, Start())

    def fire(self, index: int, timer: Timer = Timer.VIEW) -> list[Effect]:
        """Let a timer run out."""
        return self.step(index, TimerFired(timer, self.replicas[index].view))

    def receive(self, index: int, sender: int, message: Message) -> list[Effect]:
        return self.step(index, Received(sender, message))

    def drop(self, *links: tuple[int, int]) -> None:
        """Lose what is under way on ``links`` (all if none is given)."""
        for link in links or list(self.links):
            self.links.pop(link, None)

    def deliver(self, *, among: set[int] | None = None) -> None:
        """Deliver all messages, also those that follow, between the members of ``among``; the others' are lost."""
        members = among if among is not None else set(range(self.size))
        while any(self.links.values()):
            for (sender, to), queue in sorted(self.links.items()):
                if sender not in members or to not in members:
                    queue.clear()
                elif queue:
                    self.receive(to, sender, decode(queue.popleft()))

    def decisions(self) -> list[Decide]:
        return [effect for effects in self.effects for effect in effects if isinstance(effect, Decide)]

    def evidence(self) -> list[Evidence]:
        return [effect for effects in self.effects for effect in effects if isinstance(effect, Evidence)]

    def vote(self, signer: int, phase: Phase, view: int, digest: bytes) -> Signed[Vote]:
        """A vote with the real key of ``signer``, past its guard: what a liar can do."""
        return self.sign(signer, Vote(phase, self.slot, view, digest))

    def sign(self, signer: int, statement: S) -> Signed[S]:
        return Signed(statement, signer, sign_digest(self.keys[signer], signing_digest(DOMAIN, statement)))

    def certificate(self, phase: Phase, view: int, digest: bytes, signers: Iterable[int]) -> Certificate:
        votes = [self.vote(signer, phase, view, digest) for signer in signers]
        return Certificate(Vote(phase, self.slot, view, digest), tuple((vote.signer, vote.signature) for vote in votes))

    def prepared(self, view: int, text: str, signers: Iterable[int]) -> Prepared:
        payload = payload_of(text)
        return Prepared(self.certificate(Phase.PREPARE, view, keccak(payload), signers), payload)

    def view_change(self, signer: int, view: int, prepared: Prepared | None = None) -> ViewChangeRequest:
        claim = ViewChange(self.slot, view, *((prepared.view, prepared.digest) if prepared else ()))
        return ViewChangeRequest(self.sign(signer, claim), prepared)

    def proposal(
        self, view: int, text: str, justification: NewView | None = None, *, by: int | None = None
    ) -> Proposal:
        payload = payload_of(text)
        leader = by if by is not None else (self.slot.round + view) % self.size
        return Proposal(self.vote(leader, Phase.PROPOSE, view, keccak(payload)), payload, justification)


def reasons(effects: list[Effect]) -> list[str]:
    """Why messages were rejected."""
    return [effect.reason for effect in effects if isinstance(effect, Reject)]
