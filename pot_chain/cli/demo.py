"""``pot demo``: the main job from the wallet to the audited result, on a network of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pot_chain.cli.output import note, stdout
from pot_chain.cli.signals import exit_on_sigterm
from pot_chain.protocol.errors import PotError


class PromiseBroken(PotError):
    """The run ended, but not as it promises."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("demo", rich_help_panel="Local network")(demo)


def demo(
    rounds: Annotated[int, typer.Option(min=10, help="Rounds to train.")] = 30,
    miners: Annotated[int, typer.Option(min=2, max=20, help="GPU miners, each its own process.")] = 5,
    validators: Annotated[int, typer.Option(min=4, max=16, help="Validators, each its own process.")] = 4,
    no_faults: Annotated[
        bool,
        typer.Option("--no-faults", help="No poisoner, no killed validator; the result must equal plain SGD."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initial weights.")] = 7,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report and the model.")] = Path(
        "report"
    ),
    no_kubo: Annotated[bool, typer.Option("--no-kubo", help="Use the embedded store even if a Kubo is found.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the network's folder (logs, chain, content).")] = False,
) -> None:
    """Fund a task, train it with miners, let validators agree, pay, prove.

    Starts a private chain, a private content store, validators and miners. One miner sends poisoned gradients for a
    while and the primary of a round is killed, unless you say --no-faults. Ends with report.json, report.html and the
    model beside a centralised run of the same spec.

    Examples:

    ```
    pot demo
    pot demo --no-faults --rounds 15 --output /tmp/report
    ```
    """
    from pot_chain.cli.demonstration.promises import summary, unmet
    from pot_chain.cli.demonstration.run import Demonstration
    from pot_chain.cli.demonstration.scenario import Scenario
    from pot_chain.dashboard.report import render_html
    from pot_chain.localnet.network import Network

    exit_on_sigterm()
    scenario = Scenario(rounds=rounds, miners=miners, validators=validators, faults=not no_faults, seed=seed)
    output.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="pot-demo-"))
    succeeded = False
    try:
        performance = Demonstration(
            Network(folder), scenario, note, model_path=output / "model.safetensors", use_kubo=not no_kubo
        )
        report = performance.run()
        (output / "report.json").write_text(report.to_json())
        (output / "report.html").write_text(render_html(report))
        broken = [*report.check(), *unmet(report, scenario)]
        succeeded = not broken
    finally:
        if succeeded and not keep:
            shutil.rmtree(folder)
        else:
            note(f"the network's folder is kept: {folder}")
    console = stdout()
    console.print(summary(report), markup=False)
    console.print(f"report: {output / 'report.html'}, {output / 'report.json'}", markup=False)
    if broken:
        raise PromiseBroken("the run did not keep its promises: " + " ".join(broken), f"see {output / 'report.html'}")
