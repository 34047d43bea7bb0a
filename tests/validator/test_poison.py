"""Every attack of ``worker.poison`` at once: rejected for what it is, unpaid, and at nobody else's cost."""

from __future__ import annotations

import time
from collections.abc import Sequence

from eth_utils import to_checksum_address

from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.chain.structs import TaskState
from pot_chain.protocol.record import RoundRecord
from tests.validator.conftest import ETHER, Chain, MinerThread, running, until
from worker.miner import Miner
from worker.miner_journal import SubmissionJournal
from worker.poison import attack_names
from worker.task import TrainingTask
from worker.tensors import Tensors, decode

REASONS = {
    "copy": "duplicate",
    "label_flip": "gradient_mismatch",
    "nan": "not_finite",
    "noise": "gradient_mismatch",
    "scale": "gradient_mismatch",
    "sign_flip": "gradient_mismatch",
    "wrong_shape": "wrong_shape",
    "zero": "gradient_mismatch",
}
BUDGET, ROUNDS, HONEST, SAMPLES = 2 * ETHER + 1, 2, 3, 16


class Copycat(Miner):
    """Hands in another miner's gradient, which it got from the storage that they share."""

    victim: MinerThread

    def _others(self, task: TaskHistory, current: RoundHistory) -> Sequence[Tensors]:
        while self.victim.address not in self._now(current).commits:
            time.sleep(0.05)
            self.chain.poll()
        domain, config = self.chain.domain, self.victim.config
        folder = config.state_dir / f"{domain.chain_id}-{domain.contract}" / f"task-{task.task_id}"
        sealed = SubmissionJournal(folder).load(current.number)
        assert sealed is not None
        shapes = TrainingTask.load(self.store, task.params.spec).shapes
        return [decode(self.store.get(sealed.gradient, max_bytes=1 << 20), shapes)]


async def test_every_poison_is_rejected_unpaid_and_nobody_else_loses(chain: Chain) -> None:
    assert set(REASONS) == set(attack_names())
    members = HONEST + len(REASONS)
    task_id = chain.create_task(
        training={"rounds": ROUNDS},
        miners={"min": members, "max": members},
        rewards={"budget": BUDGET},
        verification={"audit_rate": 1.0},
    )
    honest = [chain.miner(task_id) for _ in range(HONEST)]
    Copycat.victim = honest[0]
    poisoners = {
        name: chain.miner(task_id, kind=Copycat if name == "copy" else Miner, misbehave=name, misbehave_rounds=(0, 0))
        for name in REASONS
    }
    async with running(*(chain.validator(i) for i in range(4))):
        for miner in (*honest, *poisoners.values()):
            miner.start()
        await until(lambda: chain.history(task_id).state is TaskState.COMPLETED, seconds=90)
    for miner in (*honest, *poisoners.values()):
        miner.finish()

    poisoned, clean = chain.records(task_id)
    assert poisoned.rejected == {poisoners[name].address: reason for name, reason in REASONS.items()}
    assert [report.rejected for report in poisoned.reports] == [poisoned.rejected] * 4
    assert not clean.rejected

    pool = BUDGET // ROUNDS
    validators = pool * 2_000 // 10_000
    miners = pool - validators
    # Equal samples, so equal weights: the share of a rejected member is not given to the others.
    share = miners * SAMPLES // (members * SAMPLES)
    for record, paid in ((poisoned, honest), (clean, [*honest, *poisoners.values()])):
        assert len(record.reports) == 4
        expected = {account.address: validators // 4 for account in chain.validators}
        expected |= {miner.address: share for miner in paid}
        assert record.earned == expected
    assert_paid_out_in_full(chain, task_id, clean)


def assert_paid_out_in_full(chain: Chain, task_id: int, last: RoundRecord) -> None:
    """What the chain has allocated is the sum of the last record's leaves, and the rest stays with the owner."""
    task = chain.client.training.task(task_id)
    assert task.allocated == sum(last.cumulative.values())
    before = chain.client.web3.eth.get_balance(to_checksum_address(chain.client.training.address))
    chain.client.send(chain.client.training.refund(task_id))
    after = chain.client.web3.eth.get_balance(to_checksum_address(chain.client.training.address))
    assert before - after == BUDGET - task.allocated
