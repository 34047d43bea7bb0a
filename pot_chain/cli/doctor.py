"""``pot doctor``: is everything here that the rest needs?"""

from __future__ import annotations

from pathlib import Path

import typer

from pot_chain.cli.output import Json, print_json, stdout

_STYLES = {"ok": "green", "warning": "yellow", "missing": "red"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor")(doctor)


def doctor(as_json: Json = False) -> None:
    """Check tools and versions, and say what to do.

    Ends with exit code 1 if something is missing that is needed.

    Examples:

    ```
    pot doctor
    pot doctor --json
    ```
    """
    from rich.markup import escape

    from pot_chain.cli.diagnosis import Verdict, diagnose

    checks = []
    console = stdout()
    for check in diagnose(Path(__file__).resolve().parents[2]):
        checks.append(check)
        if as_json:
            continue
        style = _STYLES[check.verdict]
        console.print(f"[{style}]{check.verdict:<8}[/]  [bold]{check.name:<13}[/] {escape(check.found)}")
        if check.verdict is not Verdict.OK and check.hint:
            console.print(f"{'':<10}{'':<13} [cyan]hint:[/] {escape(check.hint)}")
    if as_json:
        print_json(
            [
                {"name": check.name, "verdict": check.verdict.value, "found": check.found, "hint": check.hint}
                for check in checks
            ]
        )
    if any(check.verdict is Verdict.MISSING for check in checks):
        raise typer.Exit(1)
