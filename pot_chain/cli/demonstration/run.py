"""Plays the scenario on a fresh local network and accounts for everything."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from ipfs import open_store
from ipfs.cid import raw_cid
from pot_chain.chain.connection import rpc
from pot_chain.chain.history import RoundHistory
from pot_chain.chain.network import ChainClient
from pot_chain.cli.demonstration.observer import TaskObserver
from pot_chain.cli.demonstration.reference import train_centralized
from pot_chain.cli.demonstration.scenario import ATTACK, Scenario
from pot_chain.dashboard.live import LiveView
from pot_chain.dashboard.model import (
    Chain,
    Escrow,
    EventKind,
    Ipfs,
    RoundRow,
    RunEvent,
    RunReport,
    Score,
    ValidatorTotal,
    tally_miners,
)
from pot_chain.localnet.errors import StartFailed
from pot_chain.localnet.launch import StartOptions
from pot_chain.localnet.network import Network
from pot_chain.localnet.processes import tail
from pot_chain.owner.create import CreatedTask, create_task
from pot_chain.owner.download import Model, fetch_model
from pot_chain.owner.rewards import claim
from pot_chain.owner.settle import refund_task
from pot_chain.protocol.addresses import Address
from pot_chain.protocol.units import format_amount
from worker.runtime import configure_torch

POLL_SECONDS = 0.1
STALL_SECONDS = 300
"""Without a round that ends in this time the demonstration gives up and says where the logs are."""

Say = Callable[[str], None]


class DemoFailed(StartFailed):
    """The demonstration could not be completed; ``details`` is the end of the log concerned."""


@dataclass
class Demonstration:
    """One performance of ``scenario`` on ``network``, which must be new.

    Args:
        say: told what is being done before and after the rounds.
        model_path: where the trained model is saved.
    """

    network: Network
    scenario: Scenario
    say: Say
    model_path: Path
    use_kubo: bool = True
    events: list[RunEvent] = field(default_factory=list)
    labels: dict[Address, str] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _killed: int | None = None

    def run(self) -> RunReport:
        """Play it; the network is stopped at the end, whatever happens.

        Raises:
            PotError, IpfsError: something could not be started or done.
            DemoFailed: the task stalled or ended early.
        """
        started_at = int(time.time())
        configure_torch()
        try:
            self.network.start(
                StartOptions(validators=self.scenario.validators, use_kubo=self.use_kubo), fresh=True, say=self.say
            )
            return self._perform(started_at)
        finally:
            self.say("stopping the network")
            self.network.stop()

    def _perform(self, started_at: int) -> RunReport:
        description = self.network.description()
        owner = ChainClient(description.rpc_url, self.network.paths.deployment, self.network.owner)
        store = open_store(description.ipfs.address)
        for validator in description.validators:
            self.labels[validator.address] = f"validator {validator.index + 1}"
        created = create_task(owner, store, self.scenario.spec(), say=self.say)
        self.say(f"task {created.task_id}: {format_amount(created.params.budget)} escrowed")
        names = self._start_miners(created.task_id)
        observer = TaskObserver(ChainClient(description.rpc_url, self.network.paths.deployment), store, created.task_id)
        training_seconds = self._watch(observer, created)
        self.say("all rounds are final; waiting for the miners to end")
        self._await_miners(names)
        model = self._download(observer)
        paid, claims = self._claim_all(owner, observer)
        self._refund(owner, created)
        self.say("training the same in one process, for comparison")
        reference = train_centralized(observer.training, observer.task, model.parameters)
        score = model.evaluate()
        state = owner.training.task(created.task_id)
        rows = observer.rows
        miners = {address: paid.get(address, 0) for address in (self.network.wallet(name).address for name in names)}
        return RunReport(
            task_id=created.task_id,
            rounds_expected=created.params.rounds,
            rounds_finalized=state.finalized_rounds,
            view_changes=sum(row.view for row in rows),
            final=Score(score.accuracy, score.loss),
            centralized=reference.run,
            parameters_relative_difference=reference.distance,
            wall_seconds=training_seconds,
            miners=tally_miners(rows, miners, self.labels),
            validators=[
                ValidatorTotal(v.address, paid.get(v.address, 0), self.labels[v.address])
                for v in description.validators
            ],
            gas=observer.gas(claims),
            bytes=observer.sizes(),
            escrow=Escrow(
                funded_wei=created.params.budget,
                paid_wei=state.claimed,
                refunded_wei=state.refunded,
                left_wei=int(rpc(owner.web3, "eth_getBalance", [owner.training.address, "latest"]), 16),
            ),
            ipfs=Ipfs(store.name, description.ipfs.reason),
            chain=Chain(
                client=str(rpc(owner.web3, "web3_clientVersion")),
                chain_id=description.chain_id,
                contracts={"NodeRegistry": owner.registry.address, "ProofOfTraining": owner.training.address},
            ),
            rounds=rows,
            events=self.events,
            spec=observer.spec_json(),
            spec_cid=raw_cid(created.params.spec),
            model_cid=model.manifest.parameters,
            versions={name: version(name) for name in ("pot-chain", "torch", "numpy", "web3")}
            | {"python": platform.python_version()},
            machine=f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB, {platform.system()}",
            started_at=started_at,
        )

    # -- the miners -------------------------------------------------------------------------------------------------

    def _start_miners(self, task_id: int) -> list[str]:
        scenario = self.scenario
        self.say(f"starting {scenario.miners} miners")
        names = [f"miner-{index + 1}" for index in range(scenario.miners)]
        for index, name in enumerate(names):
            poisons = scenario.faults and index == scenario.poisoner
            self.network.start_miner(
                name,
                task_id,
                misbehave=ATTACK if poisons else None,
                misbehave_rounds=scenario.poisoned_rounds if poisons else None,
            )
            self.labels[self.network.wallet(name).address] = f"miner {index + 1}"
        return names

    def _await_miners(self, names: list[str]) -> None:
        """They end by themselves when the task has ended."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            status = {process.name: process for process in self.network.status().processes}
            if not any(status[name].alive for name in names):
                return
            time.sleep(POLL_SECONDS)
        for name in names:
            self.network.stop_miner(name)

    # -- the rounds -------------------------------------------------------------------------------------------------

    def _watch(self, observer: TaskObserver, created: CreatedTask) -> float:
        """Follow the task to its end; returns the seconds from the first opening to the last final round."""
        rounds, title = self.scenario.rounds, f"task {created.task_id}: {created.spec.name}"
        opened_at = last_change = time.monotonic()
        with LiveView(title, rounds, self.labels, funded_wei=created.params.budget) as view:
            view.status("waiting for the miners to join")
            while not observer.task.ended:
                opened, ended = observer.poll()
                for row in ended:
                    self._note_views(view, row)
                    view.round(row)
                for history in opened:
                    if history.number == 0:
                        opened_at = time.monotonic()
                    self._act(view, history)
                if opened or ended:
                    last_change = time.monotonic()
                elif time.monotonic() - last_change > STALL_SECONDS:
                    raise self._failed("no round has ended for too long")
                self._require_alive()
                time.sleep(POLL_SECONDS)
            seconds = time.monotonic() - opened_at
        if len(observer.task.finals) != rounds:
            raise self._failed(f"the task ended as {observer.task.state.name.lower()}")
        return seconds

    def _act(self, view: LiveView, history: RoundHistory) -> None:
        """What the scenario does when a round opens."""
        scenario, number = self.scenario, history.number
        view.status(f"round {number}: training, committing, verifying, agreeing")
        if not scenario.faults:
            return
        first, last = scenario.poisoned_rounds
        poisoner = self.network.wallet(f"miner-{scenario.poisoner + 1}").address
        if number == first:
            text = f"{self.labels[poisoner]} begins to send poisoned gradients ({ATTACK})"
            self._event(view, EventKind.POISONER_ON, text, number, poisoner)
        if number == last + 1:
            text = f"{self.labels[poisoner]} is honest again"
            self._event(view, EventKind.POISONER_OFF, text, number, poisoner)
        if number == scenario.kill_round:
            self._kill_primary(view, history)
        if number == scenario.restart_round and self._killed is not None:
            self.network.start_validator(self._killed, wait=False)
            address = self.network.description().validators[self._killed].address
            text = f"{self.labels[address]} is started again"
            self._event(view, EventKind.VALIDATOR_RESTARTED, text, number, address)

    def _kill_primary(self, view: LiveView, history: RoundHistory) -> None:
        """SIGKILL the primary of the round that has just opened."""
        validators = self.network.description().validators
        by_address = sorted(validators, key=lambda validator: bytes.fromhex(validator.address[2:]))
        primary = by_address[history.number % len(by_address)]
        self.network.kill_validator(primary.index)
        self._killed = primary.index
        text = f"{self.labels[primary.address]}, primary of round {history.number}, is killed (SIGKILL)"
        self._event(view, EventKind.VALIDATOR_KILLED, text, history.number, primary.address)

    def _note_views(self, view: LiveView, row: RoundRow) -> None:
        if row.view > 0:
            text = f"round {row.number} was decided in view {row.view}: {row.view} view change(s)"
            self._event(view, EventKind.VIEW_CHANGE, text, row.number)

    def _event(self, view: LiveView, kind: EventKind, text: str, number: int, node: str = "") -> None:
        self.events.append(RunEvent(time.monotonic() - self._started, kind, text, number, node))
        view.event(text, "yellow")

    def _require_alive(self) -> None:
        for process in self.network.status().processes:
            expected = self._killed is not None and process.name == f"validator-{self._killed}"
            if not process.alive and process.kind != "miner" and not expected:
                raise self._failed(f"{process.name} has ended", tail(process.log))

    def _failed(self, why: str, details: str = "") -> DemoFailed:
        return DemoFailed(f"the demonstration failed: {why}", f"logs: {self.network.paths.logs}", details)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _download(self, observer: TaskObserver) -> Model:
        self.say("downloading the model from the content store and checking it")
        model = fetch_model(observer.client, observer.store, observer.task_id)
        model.save(self.model_path, overwrite=True)
        return model

    def _refund(self, client: ChainClient, created: CreatedTask) -> None:
        """Return to the owner what no round has earned; nothing, if all was earned to the wei."""
        if client.training.task(created.task_id).allocated < created.params.budget:
            refunded = refund_task(client, created.task_id).amount
            self.say(f"refunded to the owner: {format_amount(refunded)}")

    def _claim_all(self, client: ChainClient, observer: TaskObserver) -> tuple[dict[Address, int], list[str]]:
        """Have everybody paid; the owner relays the claims, which pay only the account in the leaf."""
        ledger = observer.records.ledger(observer.task)
        self.say(f"claiming the rewards of {len(ledger.accounts)} accounts")
        client.poll()
        paid: dict[Address, int] = {}
        transactions: list[str] = []
        for account in ledger.accounts:
            claimed = claim(client, observer.records, observer.task_id, account)
            paid[account] = claimed.amount
            transactions.append(claimed.transaction)
        return paid, transactions
