"""Every schedule of four validators with one liar in two views; ``--explore`` searches three."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from pot_chain.pbft.replica import Replica
from pot_chain.pbft.sim.__main__ import main
from pot_chain.pbft.sim.explorer import Disagreement, Explorer
from pot_chain.pbft.sim.mutants import AnyCertificate, UnboundCertificate


@pytest.mark.parametrize("liar", range(4))
def test_no_schedule_breaks_agreement(liar: int, record_property: Callable[[str, object], None]) -> None:
    explorer = Explorer(liar, views=2)
    explorer.run()
    record_property("states explored", explorer.states)
    assert explorer.states > 1000
    assert {view for view, _ in explorer.decidable} == {0, 1}


@pytest.mark.parametrize("mutant", [AnyCertificate, UnboundCertificate])
def test_a_new_view_that_is_not_bound_to_the_highest_certificate_breaks_it(mutant: type[Replica]) -> None:
    with pytest.raises(Disagreement, match="two outcomes can be decided") as caught:
        Explorer(1, views=2, replica=mutant).run()
    path = str(caught.value).splitlines()
    assert any("gives up view 0" in step for step in path)
    assert any("the certificate in view 1" in step for step in path)


def test_a_deaf_replica_is_found() -> None:
    class Deaf(Replica):
        def _on_decided(self, sender: int, message: object) -> None:
            return

    with pytest.raises(Disagreement, match="a valid decision is not taken"):
        Explorer(3, views=1, replica=Deaf).run()


def test_the_command_line_explores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explore", "--views", "1", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("agreement holds in all")


def test_the_command_line_explores_in_processes() -> None:
    """As ``python -m`` starts it: a spawned process does not find what lives in ``__main__``."""
    command = [sys.executable, "-m", "pot_chain.pbft.sim", "--explore", "--views", "1", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1].endswith("agreement holds in all")
