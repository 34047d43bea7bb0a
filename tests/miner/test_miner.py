"""A miner through deaths at its worst moments, damaged files, reorganised rounds and validators that forget."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from eth_account.signers.local import LocalAccount

import worker.miner
from pot_chain.chain.contract import Call
from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.spec import TaskSpec
from tests.validator.conftest import SPEC, Chain, MinerThread
from worker.data import load_source, pin_dataset
from worker.miner import Miner, TaskUnavailable
from worker.miner_journal import Sealed, SubmissionJournal
from worker.models import initial_parameters
from worker.task import make_checkpoint

WINDOWS = 20 + 10 + 30


def wait(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def new_task(chain: Chain) -> int:
    return chain.create_task(miners={"min": 1}, training={"rounds": 5})


def skip(chain: Chain, task_id: int) -> None:
    """End the open round as nobody's work."""
    chain.advance(WINDOWS + 1)
    chain.client.send(chain.client.training.skip_round(task_id))


def journal_of(chain: Chain, miner: MinerThread) -> SubmissionJournal:
    domain = chain.client.domain
    folder = miner.config.state_dir / f"{domain.chain_id}-{domain.contract}" / f"task-{miner.config.task_id}"
    return SubmissionJournal(folder)


class Killed(BaseException):
    """SIGKILL, as far as it can be had within a process: nothing catches it."""


class Mortal(Miner):
    """Dies before or after its ``life``-th transaction (0: registers, 1: joins, 2: commits)."""

    life: int
    after: bool

    def _send(self, call: Call, unless: Callable[[], bool], gas: int | None = None) -> bool:
        dies = self.life == 0
        self.life -= 1
        if dies and not self.after:
            raise Killed
        sent = super()._send(call, unless, gas)
        if dies:
            raise Killed
        return sent


def live_and_die(chain: Chain, task_id: int, account: LocalAccount, life: int, after: bool) -> MinerThread:
    miner = chain.miner(task_id, account)
    mortal = Mortal(miner.config, miner.events.append)
    mortal.life, mortal.after = life, after
    with pytest.raises(Killed):
        mortal.run(threading.Event())
    return miner


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("life", [0, 1, 2], ids=["register", "join", "commit"])
def test_a_death_at_any_transaction_doubles_nothing(chain: Chain, life: int, after: bool) -> None:
    task_id, account = new_task(chain), chain.account()
    dead = live_and_die(chain, task_id, account, life, after)
    sealed = journal_of(chain, dead).load(0)
    assert (sealed is not None) is (life == 2)
    reborn = chain.miner(task_id, account).start()
    wait(lambda: bool(chain.history(task_id).rounds) and account.address in chain.history(task_id).rounds[0].commits)
    chain.advance(20 + 5 + 1)  # nobody validates here, so it has to reveal on chain
    wait(lambda: account.address in chain.history(task_id).rounds[0].reveals)
    current = chain.history(task_id).rounds[0]
    if sealed is not None:
        assert current.commits[account.address].seal == sealed.seal
    told = [*dead.events, *reborn.events]
    for event, due in (("registered", not (life == 0 and after)), ("joined", not (life == 1 and after))):
        assert sum(item["event"] == event for item in told) == int(due)
    assert not [item for item in told if item["event"] == "trouble"]
    nonce = chain.client.web3.eth.get_transaction_count(account.address)
    assert nonce == 4  # register, join, commit, reveal: each once
    reborn.stop()


def test_a_commit_still_pending_when_it_died_is_not_an_error(chain: Chain) -> None:
    """The new process sends it again, and it is refused because the first has been mined meanwhile."""
    task_id = new_task(chain)
    miner = chain.miner(task_id)
    working = Miner(miner.config, miner.events.append)
    other = Miner(miner.config, lambda _: None)
    working.chain.poll()
    working._require_task()
    working._register_and_join()
    for process in (working, other):
        process.chain.poll()
        process._require_task()
    other._journal = working._journal
    task = working._task()
    assert task.current is not None
    working._commit(task, task.current)
    behind = other._task()
    assert behind.current is not None
    assert not behind.current.commits
    other._commit(behind, behind.current)
    assert miner.told("committed") == 1
    assert len(chain.history(task_id).rounds[0].commits) == 1
    assert not miner.told("trouble")


def test_a_damaged_entry_costs_its_round_and_no_other(chain: Chain) -> None:
    """Found by review: one damaged file of an old round kept the miner from ever starting another."""
    task_id = new_task(chain)
    miner = chain.miner(task_id)
    folder = journal_of(chain, miner)._folder
    miner.start()
    wait(lambda: miner.told("committed") == 1)
    miner.stop()
    (folder / "0.json").write_text("torn")
    again = chain.miner(task_id, miner.config.account).start()
    wait(lambda: again.told("round_missed") == 1)
    skip(chain, task_id)
    wait(lambda: again.told("committed") == 1)
    skip(chain, task_id)
    wait(lambda: again.told("committed") == 2)
    assert [event["round"] for event in again.events if event["event"] == "committed"] == [1, 2]
    again.stop()


def test_old_gradients_are_given_up_after_the_evidence_window(chain: Chain) -> None:
    """Also those of skipped rounds, and a damaged entry is in nobody's way."""
    task_id = new_task(chain)
    miner = chain.miner(task_id, keep_seconds=WINDOWS + 30).start()
    journal = journal_of(chain, miner)
    wait(lambda: miner.told("committed") == 1)
    first = journal.load(0)
    assert first is not None
    assert first.gradient in chain.store.pins()
    for number in (1, 2):
        skip(chain, task_id)
        wait(lambda: miner.told("committed") == number + 1)  # noqa: B023
    assert list(journal.rounds()) == [0, 1, 2]
    (journal._folder / "1.json").write_text("torn")
    skip(chain, task_id)
    wait(lambda: list(journal.rounds()) == [1, 2, 3])
    assert first.gradient not in chain.store.pins()
    skip(chain, task_id)
    wait(lambda: list(journal.rounds()) == [2, 3, 4])
    miner.stop()


def test_a_reveal_is_offered_again_to_validators_that_may_have_forgotten_it(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First to those that did not take it, and after a while to all."""
    offered: list[set[str]] = []
    epoch = set(chain.client.registry.epoch_validators(1))
    deaf = sorted(epoch)[0]

    def post(endpoints: Mapping[str, str], task: int, number: int, reveal: Reveal) -> set[str]:
        offered.append(set(endpoints))
        return set(endpoints) - {deaf}

    monkeypatch.setattr(worker.miner, "post_reveal", post)
    monkeypatch.setattr(worker.miner, "REVEAL_REPEAT_SECONDS", 1.0)
    task_id = new_task(chain)
    miner = chain.miner(task_id).start()
    wait(lambda: offered.count(epoch) >= 2)
    miner.stop()
    assert offered[0] == epoch
    assert offered[1] == {deaf}
    assert miner.told("revealed") == 1


def test_a_round_that_a_reorg_opened_anew_is_trained_anew(chain: Chain) -> None:
    """A sealed submission is used again only for the samples that it was made on."""
    task_id = new_task(chain)
    miner = chain.miner(task_id)
    process = Miner(miner.config, miner.events.append)
    process.chain.poll()
    process._require_task()
    process._register_and_join()
    process.chain.poll()
    task = process._task()
    current = task.current
    assert current is not None
    first = process._train(task, current)
    anew = dataclasses.replace(current, seed=b"\x05" * 32, opened_hash="0xother", commits={})
    assert first.opening == process._opening(current) != process._opening(anew)
    process._work(task, current)
    assert miner.told("trained") == 1  # what was sealed before is committed
    sent: list[Sealed] = []

    def refuse(call: Call, unless: Callable[[], bool], gas: int | None = None) -> bool:
        sealed = process._journal.load(0)
        assert sealed is not None
        sent.append(sealed)
        return False

    process._send = refuse  # type: ignore[method-assign]
    process._work(task, anew)
    assert miner.told("trained") == 2
    assert sent[0].opening == process._opening(anew)


def test_training_that_diverges_gives_the_round_up(chain: Chain) -> None:
    spec = TaskSpec.parse(SPEC | {"miners": {"min": 1}}).with_data(pin_dataset(load_source("digits"), chain.store).cid)
    weights = initial_parameters(spec.model.name, spec.model.params, 0)
    huge = {name: np.full_like(value, 3e38) for name, value in weights.items()}
    checkpoint = chain.store.put_manifest(make_checkpoint(chain.store, spec.digest, huge, 0).to_bytes())
    task_id = chain.create(spec, chain.store.put_manifest(spec.to_bytes()), checkpoint)
    miner = chain.miner(task_id).start()
    wait(lambda: miner.told("round_missed") == 1)
    miner.stop()
    assert not miner.told("trouble")


def test_a_bug_is_told_and_survived(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    train = Miner._train
    failed: list[int] = []

    def fails_once(miner: Miner, task: TaskHistory, current: RoundHistory) -> Sealed:
        if not failed:
            failed.append(current.number)
            raise KeyError("a bug")
        return train(miner, task, current)

    monkeypatch.setattr(Miner, "_train", fails_once)
    miner = chain.miner(new_task(chain)).start()
    wait(lambda: miner.told("committed") == 1)
    miner.stop()
    trouble = [event for event in miner.events if event["event"] == "trouble"]
    assert [event["message"] for event in trouble] == ["KeyError: 'a bug'"]


def test_tasks_that_cannot_be_mined(chain: Chain) -> None:
    nobody = chain.miner(10_000).start()
    with pytest.raises(TaskUnavailable, match="does not exist"):
        nobody.finish()
    task_id = chain.create_task()
    chain.client.send(chain.client.training.cancel_task(task_id))
    late = chain.miner(task_id).start()
    with pytest.raises(TaskUnavailable, match="has ended"):
        late.finish()
