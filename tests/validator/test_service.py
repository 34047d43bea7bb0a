"""Rounds from commit to payout, over a real chain and real sockets."""

from __future__ import annotations

from pot_chain.chain.history import TaskHistory
from pot_chain.chain.structs import TaskState
from pot_chain.protocol.assignment import assign
from pot_chain.protocol.record import RoundRecord
from tests.validator.conftest import Chain, running, until
from worker.centralized import train
from worker.task import TrainingTask
from worker.verification.reexecution import relative_distance


def assert_equals_centralised_sgd(chain: Chain, task: TaskHistory, records: list[RoundRecord]) -> None:
    """The model on chain is what plain SGD gives on the union of the miners' samples."""
    training = TrainingTask.load(chain.store, task.params.spec)
    spec = training.spec
    batches = [
        [index for part in assign(r.seed, r.members, 16, training.dataset.samples).values() for index in part]
        for r in records
    ]
    reference = train(
        spec.model.name,
        spec.model.params,
        training.parameters(task.params.checkpoint),
        batches,
        training.dataset,
        spec.training.learning_rate,
    )
    assert relative_distance(training.parameters(task.checkpoint), reference.parameters) < 1e-5


async def test_honest_miners_are_all_accepted_and_paid_to_the_wei(chain: Chain) -> None:
    task_id = chain.create_task()
    async with running(*(chain.validator(i) for i in range(4))):
        miners = [chain.miner(task_id).start() for _ in range(3)]
        await until(lambda: chain.client.training.task(task_id).state is TaskState.COMPLETED)
    for miner in miners:
        miner.finish()
        assert miner.events[-1]["event"] == "task_ended"
    task, records = chain.history(task_id), chain.records(task_id)
    assert len(records) == 3
    for record in records:
        assert set(record.accepted) == {miner.address for miner in miners}
        assert len(record.reports) == 4
    assert_equals_centralised_sgd(chain, task, records)
    onchain = chain.client.training.task(task_id)
    assert onchain.allocated == sum(records[-1].cumulative.values()) <= onchain.params.budget
