"""Whatever is asked for, and wherever the power fails: the signatures that leave never contradict each other.

The oracle knows nothing of the guard's rules. It collects every signature that left (``sign`` returned), over all
restarts, and checks what a slashing contract would check.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pot_chain.pbft import Certificate, LogDamaged, Prepared, Sign, SigningGuard, SigningRefused
from pot_chain.pbft.sim.crypto import FastTestKeys
from pot_chain.pbft.sim.storage import MemoryStorage, PowerFailure, Tear
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

SIGNER = FastTestKeys().signer(0)
DIGESTS = [bytes([number]) * 32 for number in (1, 2)]
SLOTS = [Slot(task, number, 1) for task in (1, 2) for number in (0, 1)]


def prepared(slot: Slot, view: int, digest: bytes) -> Prepared:
    return Prepared(Certificate(Vote(Phase.PREPARE, slot, view, digest), ()), b"payload")


@st.composite
def requests(draw: st.DrawFn) -> Sign:
    """A request to sign: mostly well formed, not at all consistent with the ones before."""
    slot, view, digest = draw(st.sampled_from(SLOTS)), draw(st.integers(0, 3)), draw(st.sampled_from(DIGESTS))
    kind = draw(st.sampled_from((*Phase, None)))
    if kind is None:
        claim = draw(st.none() | st.builds(prepared, st.just(slot), st.integers(0, 3), st.sampled_from(DIGESTS)))
        return Sign(ViewChange(slot, view, *((claim.view, claim.digest) if claim else ())), 0, prepared=claim)
    certificate = prepared(slot, view, digest) if kind is Phase.COMMIT and draw(st.integers(0, 9)) else None
    return Sign(Vote(kind, slot, view, digest), 0, b"payload" if kind is Phase.PROPOSE else b"", None, certificate)


crashes = st.tuples(st.sampled_from(list(Tear)), st.integers(0, 1 << 30))
actions = st.lists(
    st.one_of(
        requests(),
        requests(),
        requests(),
        st.tuples(st.just("crash in the next write"), crashes),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("retire"), st.tuples(st.sampled_from((1, 2)), st.integers(0, 1))),
    ),
    max_size=60,
)


def contradiction(left: list[Vote | ViewChange]) -> str | None:
    """Why two of these statements of one validator contradict each other, if any two do."""
    said: dict[tuple[Slot, int, str], Vote | ViewChange] = {}
    for statement in left:
        kind = statement.phase.value if isinstance(statement, Vote) else "ViewChange"
        if said.setdefault((statement.slot, statement.view, kind), statement) != statement:
            return f"two of one kind in one view: {statement}"
    commits = [s for s in left if isinstance(s, Vote) and s.phase is Phase.COMMIT]
    for change in (s for s in left if isinstance(s, ViewChange)):
        for commit in (s for s in commits if s.slot == change.slot and s.view < change.view):
            if not change.prepared or change.prepared_view < commit.view:
                return f"{change} hides {commit}"
    for one in (s for s in left if isinstance(s, Vote)):
        for other in (s for s in left if isinstance(s, Vote)):
            if (one.slot, one.view) == (other.slot, other.view) and one.digest != other.digest:
                return f"two digests in one view: {one}, {other}"
    return None


@settings(max_examples=400, deadline=None)
@given(actions)
def test_no_crash_and_no_request_makes_the_guard_contradict_itself(steps: list[Sign | tuple[str, object]]) -> None:
    storage = MemoryStorage("votes.log")
    guard = SigningGuard(storage, SIGNER)
    guard.begin({})
    left: dict[Vote | ViewChange, bytes] = {}
    for step in steps:
        try:
            match step:
                case Sign():
                    signature = guard.sign(step)
                    assert left.setdefault(step.statement, signature) == signature
                    assert signature in storage.content
                case ("crash in the next write", (Tear() as tear, int() as seed)):
                    storage.fail_next_append(tear, Random(seed))
                case ("retire", (int() as task, int() as number)):
                    guard.retire(task, number)
                case _:
                    storage.close()
                    guard = SigningGuard(storage, SIGNER)
        except SigningRefused:
            pass
        except PowerFailure:
            guard = SigningGuard(storage, SIGNER)
    assert contradiction(list(left)) is None
    reopened = SigningGuard(storage, SIGNER)
    for statement, signature in left.items():
        restored = [message for slot in reopened.slots() for message in reopened.restore(slot).messages]
        held = [m for m in restored if getattr(m, "vote", getattr(m, "change", None)).statement == statement]
        assert not held or getattr(held[0], "vote", getattr(held[0], "change", None)).signature == signature


@settings(max_examples=200, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=20), st.data())
def test_a_damaged_log_never_opens_with_less_than_its_last_record_missing(
    steps: list[Sign], data: st.DataObject
) -> None:
    """One flipped byte: the log refuses to open, or only its last record is gone."""
    storage = MemoryStorage("votes.log")
    guard = SigningGuard(storage, SIGNER)
    guard.begin({})
    for step in steps:
        try:
            guard.sign(step)
        except SigningRefused:
            continue
    count = sum(len(guard.restore(slot).messages) for slot in guard.slots())
    content = bytearray(storage.content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    damaged = MemoryStorage("votes.log")
    damaged.replace(bytes(content))
    try:
        again = SigningGuard(damaged, SIGNER)
    except LogDamaged:
        return
    assert sum(len(again.restore(slot).messages) for slot in again.slots()) >= count - 1
