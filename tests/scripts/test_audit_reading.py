"""What the audit reads from its tools: reports of forge, halmos, slither, pytest and lcov."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.audit import forge
from scripts.audit.copies import imports_of
from scripts.audit.layers import broken, coverage, differential, proofs, slither
from scripts.audit.mutation.bench import first_failure
from scripts.audit.project import AuditError


def result(status: str = "Success", kind: Any = "Standard", logs: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"status": status, "reason": None if status == "Success" else "wrong", "kind": kind, "decoded_logs": logs}


def test_forge_report_counts_tests_inputs_and_calls() -> None:
    suite = {
        "duration": "1s 250ms 500µs 7ns",
        "test_results": {
            "test_A()": result(logs=("figure: 7",)),
            "testFuzz_B(uint256)": result(kind={"Fuzz": {"runs": 512}}),
            "invariant_C()": result("Failure", kind={"Invariant": {"runs": 2, "calls": 256, "reverts": 3}}),
        },
    }
    report = forge.parse(json.dumps({"t/A.t.sol:ATest": suite}))
    assert [test.fuzz_runs for test in report.tests] == [0, 512, 0]
    assert [(test.calls, test.reverts) for test in report.tests] == [(0, 0), (0, 0), (256, 3)]
    assert report.failures == ["ATest.invariant_C: wrong"]
    assert report.tests[0].logs == ("figure: 7",)
    assert report.suites == {"t/A.t.sol:ATest": pytest.approx(1.250500007)}


@pytest.mark.parametrize(("text", "value"), [("3ms", 0.003), ("2m 1s", 121.0), ("1h 0ns", 3600.0)])
def test_durations(text: str, value: float) -> None:
    assert forge.seconds(text) == pytest.approx(value)


def test_the_first_failure_is_named_with_its_suite() -> None:
    output = (
        "Ran 2 tests for contracts/test/A.t.sol:ATest\n[PASS] test_Fine() (gas: 7)\n\n"
        "Ran 1 test for contracts/test/B.t.sol:BTest\n"
        "[FAIL: panic: 0x11; counterexample: args=[1]] testFuzz_X(uint256) (runs: 3)\n[FAIL: no] test_Y() (gas: 1)\n"
    )
    assert first_failure(output) == "BTest.testFuzz_X"
    assert first_failure("Ran 1 test for a.sol:ATest\n[PASS] test_A() (gas: 1)\n") == ""


def test_imports_are_resolved_by_folder_and_by_remapping() -> None:
    text = (
        'import {A, B} from "./A.sol";\nimport "../C.sol";\n// import "./Comment.sol";\n'
        'import {\n    D\n} from "@lib/token/D.sol";\n'
    )
    found = imports_of("contracts/src/X.sol", text, [("@lib/", "node_modules/@lib/")])
    assert found == ["contracts/src/A.sol", "contracts/C.sol", "node_modules/@lib/token/D.sol"]


LCOV = """TN:
SF:contracts/src/A.sol
DA:1,5
DA:2,{second}
BRDA:2,0,0,{branch}
BRDA:2,0,1,3
end_of_record
SF:contracts/test/T.sol
DA:1,0
end_of_record
"""


def test_coverage_counts_the_sources_only() -> None:
    outcome = coverage.judge(coverage.parse(LCOV.format(second=1, branch=1)))
    assert outcome.problems == []
    assert outcome.notes == []
    assert outcome.covered == "2 of 2 lines (100.0 %), 2 of 2 branches (100.0 %) in 1 files"


def test_coverage_names_what_is_missed() -> None:
    outcome = coverage.judge(coverage.parse(LCOV.format(second=0, branch="-")))
    assert outcome.notes == ["line not reached: contracts/src/A.sol:2", "branch not taken: contracts/src/A.sol:2"]
    assert len(outcome.problems) == 2


def test_coverage_of_nothing_fails() -> None:
    assert coverage.judge({}).problems


@pytest.mark.parametrize(
    "text",
    [
        "// the token is called after every effect\n// slither-disable-next-line reentrancy-events\n",
        "    // slither-disable-next-line timestamp,assembly the clock decides deadlines by design\n",
    ],
)
def test_an_argued_suppression_passes(text: str) -> None:
    assert slither.suppressions(text) == (1, [])


@pytest.mark.parametrize(
    "text",
    [
        "uint256 x;\n// slither-disable-next-line timestamp\n",
        "// false positive\n// slither-disable-next-line timestamp\n",
        "/// @notice Documentation is no reason for anything\n// slither-disable-next-line timestamp\n",
        "// one of these two lacks its own reason\n// slither-disable-next-line a\n// slither-disable-next-line b\n",
        "// a reason for everything that may come\n// slither-disable-next-line all\n",
        "// a whole region is never argued about\n// slither-disable-start timestamp\n",
        "// a reason in four words\n/* slither-disable-next-line timestamp */\n",
    ],
)
def test_an_unargued_suppression_fails(text: str) -> None:
    _, wrong = slither.suppressions(text)
    assert len(wrong) == 1


def finding(check: str, impact: str) -> dict[str, Any]:
    return {"check": check, "impact": impact, "description": "where\nand more"}


def test_only_matters_of_style_can_be_conventions() -> None:
    results = [finding("naming-convention", "Informational"), finding("naming-convention", "Low")]
    assert slither.findings({"results": {"detectors": results}}) == ["low, naming-convention: where"]


def test_a_suppression_of_nothing_is_a_finding_in_our_sources() -> None:
    entries = [{"file": "/x/node_modules/a/P.sol", "line": 1}, {"file": "/x/contracts/src/A.sol", "line": 9}]
    unused = {**finding("unused-ignore-directive", "Informational"), "unused_ignores": entries}
    assert slither.findings({"results": {"detectors": [unused]}}) == ["A.sol:9: suppresses nothing"]


def proof(name: str, code: int = 0, bounded: int = 0) -> dict[str, Any]:
    return {"name": name, "exitcode": code, "num_paths": [4, 2, 0], "num_bounded_loops": bounded}


def test_proofs_that_hold() -> None:
    outcome = proofs.judge(
        {"test_results": {"t.sol:S": [proof("check_A()"), proof("check_B()", bounded=1)]}}, ["a", "b"]
    )
    assert outcome.problems == []
    assert outcome.covered == "2 proofs over 8 paths, 1 of them up to a loop bound"


@pytest.mark.parametrize(("code", "word"), [(1, "counterexample"), (2, "timed out"), (4, "every path reverts")])
def test_a_proof_that_does_not_hold_fails(code: int, word: str) -> None:
    outcome = proofs.judge({"test_results": {"t.sol:S": [proof("check_A()", code)]}}, ["a"])
    assert outcome.problems == [f"S.check_A(): {word}"]


def test_a_declared_proof_that_did_not_run_fails() -> None:
    assert proofs.judge({"test_results": {}}, ["check_A"]).problems == ["1 proofs are declared, 0 ran"]


def test_differential_report_sums_the_cases_and_skips_the_skipped() -> None:
    text = (
        "<testsuites><testsuite>"
        '<testcase classname="d" name="a"><properties><property name="cases" value="40"/></properties></testcase>'
        '<testcase classname="d" name="b"><failure>no</failure></testcase>'
        '<testcase classname="d" name="c"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    assert differential.read(text) == (2, 40, ["d.b"])


PATCH = (
    "bug: a bug\nexpected: invariants\n\n--- a/contracts/src/A.sol\n+++ b/contracts/src/A.sol\n@@ -1 +1 @@\n-a\n+b\n"
)


def test_a_patch_names_its_bug() -> None:
    patch = broken.read("01-a.patch", PATCH)
    assert (patch.bug, patch.expected) == ("a bug", "invariants")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bug: a bug\n", ""),
        ("expected: invariants\n", ""),
        ("invariants", "luck"),
        ("b/contracts/src", "b/contracts/test"),
    ],
)
def test_a_patch_without_header_or_outside_the_sources_is_refused(old: str, new: str) -> None:
    with pytest.raises(AuditError):
        broken.read("01-a.patch", PATCH.replace(old, new))
