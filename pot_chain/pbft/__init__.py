"""Consensus: one single-shot PBFT instance decides one slot, that is one (task, round, epoch).

The replica (``Replica``) is a pure state machine: events go in, effects come out, in the order in which they must
happen. The *shell* around it owns sockets, clock and disk. The signing guard (``SigningGuard``) owns the key and the
log; wire bytes are ``encode`` and ``decode``.

======================== =======================================================================================
effect                   what the shell does
======================== =======================================================================================
``Sign``                 ``guard.sign(effect)``, then ``SignatureReady`` or ``SignatureRefused``; one after the other
``Broadcast``, ``Send``  encode and send; loss is allowed, the replica repeats what matters
``SetTimer``             after ``delay`` seconds of a monotonic clock ``TimerFired``; one timer of each kind
``CancelTimer``          stop it
``RequestProposal``      when there is a proposal, ``ProposalReady(view, payload)``
``Validate``             recompute the outcome; when certain, ``Validated(digest, ok, reason)``; late is safe
``Decide``               keep it durably; finalize on chain with ``certificate.to_contract_signatures()`` and
                         ``certificate.vote.view``; keep the replica, which answers those who lag, until the round
                         is final on chain; then ``guard.retire``
``Evidence``             keep it: two signed statements that contradict each other
``Reject``               log it, count it by ``reason``
======================== =======================================================================================

Events come from one task at a time; nothing in this package is asynchronous. A shell, in full::

    guard = SigningGuard.open(state / "votes.log", private_key, domain)
    if guard.fresh:
        guard.begin({task: highest_open_round for task in open_tasks})     # {} if the key has never been in an epoch
    replica = Replica(Config(slot, len(keys), keys.index(guard.address), ecdsa_verifier(domain, keys), digest_of))
    events = deque([guard.restore(slot), Start()])                         # Start: the round has work
    while True:
        while events:
            for effect in replica.step(events.popleft()):
                match effect:
                    case Sign():
                        try:
                            events.append(SignatureReady(effect, guard.sign(effect)))
                        except SigningRefused as refusal:
                            events.append(SignatureRefused(effect, str(refusal)))
                    case Broadcast(message):
                        network.send_to_all(encode(message))
                    case Send(to, message):
                        network.send(to, encode(message))
                    case SetTimer(timer, view, delay):
                        timers.set(timer, delay, TimerFired(timer, view))
                    ...
        events.append(next_event())     # Received(sender index by handshake, decode(frame)), TimerFired, Validated, …

A message of a slot without a replica can be dropped (its sender repeats it). Validators of an epoch are in the
contract's order: ascending vote keys. ``digest_of(payload)`` gives the outcome's EIP-712 hash, None for a malformed
payload.
"""

from pot_chain.pbft.certificate import Certificate, Verifier, certificate_fault, ecdsa_verifier
from pot_chain.pbft.config import Config, DigestOf, Timeouts
from pot_chain.pbft.errors import (
    EquivocationRefused,
    GuardError,
    LogDamaged,
    LogLocked,
    LogWriteFailed,
    MessageError,
    PbftError,
    SigningRefused,
    SlotRetired,
)
from pot_chain.pbft.events import (
    Broadcast,
    CancelTimer,
    Decide,
    Effect,
    Event,
    Evidence,
    ProposalReady,
    Received,
    Reject,
    RequestProposal,
    Restored,
    Send,
    SetTimer,
    Sign,
    SignatureReady,
    SignatureRefused,
    Start,
    Timer,
    TimerFired,
    Validate,
    Validated,
)
from pot_chain.pbft.guard import SigningGuard
from pot_chain.pbft.messages import (
    MAX_PAYLOAD_BYTES,
    MAX_VALIDATORS,
    Ballot,
    Decided,
    Message,
    NewView,
    Prepared,
    Proposal,
    Signed,
    Status,
    ViewChangeRequest,
)
from pot_chain.pbft.replica import Replica, step
from pot_chain.pbft.wire import MAX_FRAME_BYTES, decode, encode

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_VALIDATORS",
    "Ballot",
    "Broadcast",
    "CancelTimer",
    "Certificate",
    "Config",
    "Decide",
    "Decided",
    "DigestOf",
    "Effect",
    "EquivocationRefused",
    "Event",
    "Evidence",
    "GuardError",
    "LogDamaged",
    "LogLocked",
    "LogWriteFailed",
    "Message",
    "MessageError",
    "NewView",
    "PbftError",
    "Prepared",
    "Proposal",
    "ProposalReady",
    "Received",
    "Reject",
    "Replica",
    "RequestProposal",
    "Restored",
    "Send",
    "SetTimer",
    "Sign",
    "SignatureReady",
    "SignatureRefused",
    "Signed",
    "SigningGuard",
    "SigningRefused",
    "SlotRetired",
    "Start",
    "Status",
    "Timeouts",
    "Timer",
    "TimerFired",
    "Validate",
    "Validated",
    "Verifier",
    "ViewChangeRequest",
    "certificate_fault",
    "decode",
    "ecdsa_verifier",
    "encode",
    "step",
]
