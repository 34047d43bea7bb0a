"""Tasks and models as people see them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from ipfs import raw_cid
from pot_chain.chain.errors import RpcDown, TaskNotFound
from pot_chain.chain.network import ChainClient
from pot_chain.localnet.ports import free_port
from pot_chain.owner.download import fetch_model
from pot_chain.owner.errors import FileExists, NoSuchRound, OwnerError, RecordMismatch
from pot_chain.owner.records import RecordReader
from pot_chain.owner.tasks import list_tasks, read_task_spec, view_task, watch_task

from .conftest import ETHER, World


def test_a_task_is_listed_and_shown_from_its_creation_on(world: World) -> None:
    owner = world.account()
    created = world.create(owner)
    client, records = world.client(), RecordReader(world.store)
    listed = list_tasks(client)
    assert [task.task_id for task in listed] == list(range(1, len(listed) + 1))
    assert listed[created.task_id - 1].owner == owner.address
    view = view_task(client, records, created.task_id)
    assert (view.rounds, view.members, view.allocated, view.paid, view.losses) == ((), (), 0, 0, [])
    assert read_task_spec(world.store, view.history) == created.spec


def test_rounds_are_shown_with_their_records(world: World) -> None:
    task_id = world.create().task_id
    miners = world.join(task_id)
    world.play_round(task_id, loss=2.0)
    world.play_round(task_id, loss=1.0, rejected={miners[0].address: "not_finite"})
    view = view_task(world.client(), RecordReader(world.store), task_id)
    assert [(item.number, item.state, item.members) for item in view.rounds] == [
        (0, "final", 2),
        (1, "final", 2),
        (2, "open", 2),
    ]
    assert view.losses == [(0, 2.0), (1, 1.0)]
    assert view.rounds[1].record is not None
    assert view.rounds[1].record.accepted == (miners[1].address,)
    assert view.allocated == 2 * ETHER - ETHER * 8 // 10 // 2
    assert view.members == tuple(miner.address for miner in miners)


def test_a_record_that_cannot_be_had_is_named_and_hides_nothing_else(world: World) -> None:
    task_id = world.create().task_id
    world.join(task_id)
    world.play_round(task_id)
    world.play_round(task_id, loss=0.25)
    first = world.client().history.tasks[task_id].rounds[0].final
    assert first is not None
    world.store.unpin(raw_cid(first.record))
    world.store.gc()
    view = view_task(world.client(), RecordReader(world.store), task_id)
    assert raw_cid(first.record) in view.rounds[0].problem
    assert view.losses == [(1, 0.25)]


def test_watching_ends_with_the_task(world: World) -> None:
    task_id = world.create(training={"rounds": 2}).task_id
    world.join(task_id)
    finals = []
    for view in watch_task(world.client(), RecordReader(world.store), task_id, threading.Event()):
        finals.append(len(view.history.finals))
        if not view.history.ended:
            world.play_round(task_id)
    assert finals == [0, 1, 2]


def test_watching_stops_when_it_is_told_to(world: World) -> None:
    task_id = world.create().task_id
    stop = threading.Event()
    seen = 0
    for _ in watch_task(world.client(), RecordReader(world.store), task_id, stop):
        seen += 1
        stop.set()
    assert seen == 1


def test_a_task_that_does_not_exist(world: World) -> None:
    with pytest.raises(TaskNotFound, match="there is no task 4242") as caught:
        view_task(world.client(), RecordReader(world.store), 4242)
    assert "pot task list" in caught.value.hint
    with pytest.raises(TaskNotFound, match="there is no task 4242"):
        fetch_model(world.client(), world.store, 4242)


def test_an_rpc_that_is_down_is_named(world: World) -> None:
    port = free_port()
    with pytest.raises(RpcDown, match=f"127.0.0.1:{port}"):
        ChainClient(f"http://127.0.0.1:{port}", world.network.paths.deployment)


def test_models_of_all_rounds_can_be_downloaded(world: World, tmp_path: Path) -> None:
    task_id = world.create().task_id
    world.join(task_id)
    initial = fetch_model(world.client(), world.store, task_id)
    assert initial.rounds == 0
    world.play_round(task_id)
    world.play_round(task_id)
    first, latest = (fetch_model(world.client(), world.store, task_id, number) for number in (0, None))
    assert (first.rounds, latest.rounds) == (1, 2)
    assert latest.digest == world.client().history.tasks[task_id].checkpoint

    path = tmp_path / "new" / "model.safetensors"
    assert latest.save(path) == path.stat().st_size
    loaded = load_file(path)
    assert loaded.keys() == latest.parameters.keys()
    assert all((loaded[name] == latest.parameters[name]).all() for name in loaded)
    assert list(path.parent.iterdir()) == [path], "no temporary file is left"
    score = latest.evaluate()
    assert score.samples == 359
    assert 0 <= score.accuracy <= 1


def test_a_file_is_overwritten_only_when_asked(world: World, tmp_path: Path) -> None:
    task_id = world.create().task_id
    model = fetch_model(world.client(), world.store, task_id)
    path = tmp_path / "model.safetensors"
    path.write_text("precious")
    with pytest.raises(FileExists, match=r"model.safetensors exists") as caught:
        model.save(path)
    assert "--force" in caught.value.hint
    assert path.read_text() == "precious"
    model.save(path, overwrite=True)
    assert load_file(path)
    with pytest.raises(OwnerError, match="cannot write"):
        model.save(path / "below-a-file")


def test_rounds_without_a_model(world: World) -> None:
    task_id = world.create().task_id
    with pytest.raises(NoSuchRound, match="has no final round 0") as caught:
        fetch_model(world.client(), world.store, task_id, 0)
    assert caught.value.hint == "no round of it is final yet"
    world.join(task_id)
    world.play_round(task_id)
    with pytest.raises(NoSuchRound, match="has no final round 1") as caught:
        fetch_model(world.client(), world.store, task_id, 1)
    assert caught.value.hint == "the last final round is 0"


def test_a_checkpoint_that_lies_about_its_rounds_is_not_believed(world: World) -> None:
    task_id = world.create().task_id
    world.join(task_id)
    world.play_round(task_id, checkpoint_rounds=7)
    with pytest.raises(RecordMismatch, match="says that 7 rounds are in it; on chain it is 1"):
        fetch_model(world.client(), world.store, task_id)


def test_a_record_reader_reads_open_rounds_never(world: World) -> None:
    task_id = world.create().task_id
    world.join(task_id)
    task = world.client().history.tasks[task_id]
    with pytest.raises(NoSuchRound, match=r"round 0 of task .* is not final"):
        RecordReader(world.store).read(task, replace(task.rounds[0]))
