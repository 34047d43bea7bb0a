from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.chain import compiler, solc
from pot_chain.chain.compiler import compile_contracts
from pot_chain.chain.errors import CompileError
from pot_chain.chain.project import Project, find_project, imports_of

LICENCE = "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n"
_OUTPUTS: dict[str, dict[str, object]] = {}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of its own with the repository's compiler."""
    here = find_project()
    (tmp_path / "src").mkdir()
    (tmp_path / "node_modules").symlink_to(here.root / "node_modules")
    (tmp_path / "src" / "One.sol").write_text(
        f'{LICENCE}import {{Two}} from "./lib/Two.sol";\ncontract One {{ function one() external pure returns (uint) '
        "{ return Two.two() - 1; } }",
        encoding="utf-8",
    )
    (tmp_path / "src" / "lib").mkdir()
    (tmp_path / "src" / "lib" / "Two.sol").write_text(
        f"{LICENCE}library Two {{ function two() internal pure returns (uint) {{ return 2; }} }}", encoding="utf-8"
    )
    return replace(here, root=tmp_path, source="src", artifacts=tmp_path / "build")


@pytest.fixture(autouse=True)
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sources of each run of the compiler. With the same sources it really runs once: it takes a second."""
    runs: list[str] = []

    def counting(project: Project, standard_json: dict[str, object]) -> dict[str, object]:
        runs.append(" ".join(sorted(standard_json["sources"])))  # type: ignore[call-overload]
        known = json.dumps(standard_json["sources"], sort_keys=True)
        if known not in _OUTPUTS:
            _OUTPUTS[known] = solc.compile_standard(project, standard_json)
        return _OUTPUTS[known]

    monkeypatch.setattr(compiler, "compile_standard", counting)
    return runs


def test_the_compiler_runs_once_for_the_same_sources(project: Project, compilations: list[str]) -> None:
    first = compile_contracts(project)
    assert compilations == ["src/One.sol src/lib/Two.sol"]
    assert sorted(first) == ["One", "Two"]
    assert "Three" not in first
    assert first["One"].bytecode.endswith(first["One"].runtime)
    second = compile_contracts(project)
    assert len(compilations) == 1
    assert second["One"] == first["One"]
    assert second.compiler == first.compiler == solc.PINNED


def test_a_changed_import_compiles_again_and_going_back_does_not(project: Project, compilations: list[str]) -> None:
    library = project.root / "src" / "lib" / "Two.sol"
    before = library.read_text(encoding="utf-8")
    first = compile_contracts(project)
    library.write_text(before.replace("return 2", "return 3"), encoding="utf-8")
    second = compile_contracts(project)
    assert first["One"].runtime != second["One"].runtime
    assert len(compilations) == 2
    library.write_text(before, encoding="utf-8")
    assert compile_contracts(project)["One"] == first["One"]
    assert len(compilations) == 2


def test_other_settings_compile_again(project: Project, compilations: list[str]) -> None:
    compile_contracts(project)
    compile_contracts(replace(project, settings={**project.settings, "optimizer": {"enabled": False, "runs": 1}}))
    assert len(compilations) == 2


def test_threads_at_once_compile_once(project: Project, compilations: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: compile_contracts(project), range(4)))
    assert len(compilations) == 1
    assert len({result.key for result in results}) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "x", "compiler": "", "contracts": {}}'])
def test_a_damaged_cache_is_made_anew(project: Project, compilations: list[str], content: str) -> None:
    artifacts = compile_contracts(project)
    (project.artifacts / f"{artifacts.key[:16]}.json").write_text(content, encoding="utf-8")
    assert compile_contracts(project)["One"] == artifacts["One"]
    assert len(compilations) == 2
    compile_contracts(project)
    assert len(compilations) == 2


def test_old_caches_are_thrown_away(project: Project) -> None:
    artifacts = compile_contracts(project)
    for age in range(1, 10):
        old = project.artifacts / f"old{age}.json"
        old.write_text("{}", encoding="utf-8")
        os.utime(old, (10_000 - age, 10_000 - age))
    changed = compile_contracts(replace(project, settings={**project.settings, "viaIR": not project.settings["viaIR"]}))
    left = sorted(path.name for path in project.artifacts.glob("*.json"))
    assert len(left) == compiler.KEPT_CACHES
    assert {f"{artifacts.key[:16]}.json", f"{changed.key[:16]}.json", "old1.json", "old2.json"} == set(left)


def test_the_compiler_s_words_are_passed_on(project: Project) -> None:
    (project.root / "src" / "One.sol").write_text(f"{LICENCE}contract One {{ uint x = true; }}", encoding="utf-8")
    with pytest.raises(CompileError, match=r"(?s)do not compile.*TypeError.*src/One\.sol:3"):
        compile_contracts(project)


def test_a_contract_that_needs_linking_is_refused(project: Project) -> None:
    (project.root / "src" / "One.sol").write_text(
        f"{LICENCE}library L {{ function f() external {{}} }} contract One {{ function g() external {{ L.f(); }} }}",
        encoding="utf-8",
    )
    with pytest.raises(CompileError, match="One needs a linked library"):
        compile_contracts(project)


def test_two_contracts_of_one_name_are_refused(project: Project) -> None:
    (project.root / "src" / "Again.sol").write_text(f"{LICENCE}contract One {{}}", encoding="utf-8")
    with pytest.raises(CompileError, match=r"two contracts are called One: in src/Again\.sol and src/One\.sol"):
        compile_contracts(project)


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        (
            "@openzeppelin/contracts/Nothing.sol",
            "imports node_modules/@openzeppelin/contracts/Nothing.sol",
            "make setup",
        ),
        ("./Nothing.sol", "imports src/Nothing.sol, which is not there", "correct the import"),
        ("../../Nothing.sol", "lies outside the project", ""),
    ],
)
def test_missing_imports_are_named(project: Project, path: str, message: str, hint: str) -> None:
    (project.root / "src" / "One.sol").write_text(f'{LICENCE}import "{path}";', encoding="utf-8")
    with pytest.raises(CompileError, match=message) as caught:
        compile_contracts(project)
    assert hint in caught.value.hint


def test_an_unknown_contract_is_named_with_those_there_are(project: Project) -> None:
    with pytest.raises(CompileError, match="no contract 'Three'") as caught:
        compile_contracts(project)["Three"]
    assert "One, Two" in caught.value.hint


@pytest.fixture
def no_native_solc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOLCX_BINARY_PATH", str(tmp_path))
    monkeypatch.setattr(solc, "_install", lambda: "no network")


@pytest.mark.usefixtures("no_native_solc")
def test_without_node_or_its_modules_the_hint_says_what_to_do(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CompileError, match="missing or not executable"):
        solc.find_solc(replace(project, solc=tmp_path / "nothing"))
    (project.root / "node_modules").unlink()
    with pytest.raises(CompileError, match="compiler is not installed") as caught:
        solc.find_solc(project)
    assert "make setup" in caught.value.hint
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompileError, match=r"Node\.js is not installed"):
        solc.find_solc(project)


@pytest.mark.usefixtures("no_native_solc")
@pytest.mark.parametrize(
    ("version", "answer", "message"),
    [
        ("0.8.30+commit.1", {}, r"is Solidity 0\.8\.30\+commit\.1, not 0\.8\.37"),
        ("nonsense", {}, "does not work: Could not determine"),
        (solc.PINNED, "nonsense", "does not work"),
    ],
)
def test_another_compiler_is_refused(
    project: Project, tmp_path: Path, version: str, answer: object, message: str
) -> None:
    metadata = json.dumps({"compiler": {"version": version}})
    output = answer or json.dumps({"contracts": {"a": {"A": {"metadata": metadata}}}})
    (tmp_path / "output").write_text(str(output), encoding="utf-8")
    other = tmp_path / "solc"
    other.write_text(
        f"#!/bin/sh\nif [ $1 = --version ]; then echo 'Version: {version}'; exit; fi\n"
        f"cat > /dev/null; cat '{tmp_path}/output'\n",
        encoding="utf-8",
    )
    other.chmod(0o755)
    with pytest.raises(CompileError, match=message) as caught:
        solc.compile_standard(replace(project, solc=other), project.standard_json())
    assert "make setup" in caught.value.hint


def test_the_native_compiler_is_tried_once(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLCX_BINARY_PATH", str(tmp_path))
    tries: list[int] = []
    monkeypatch.setattr(solc, "_install", lambda: tries.append(1) or "no network")
    assert solc.find_solc(project) == solc.find_solc(project) == project.solc
    assert len(tries) == 1
    note = next(project.artifacts.glob("no-native-solc-*"))
    assert note.read_text(encoding="utf-8") == "no network\n"


def test_an_installed_native_compiler_is_preferred(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOLCX_BINARY_PATH", str(tmp_path))
    native = tmp_path / f"solc-v{solc.SOLC_VERSION}"
    native.write_text(
        f"#!/bin/sh\necho 'Version: {solc.SOLC_VERSION}+commit.{solc.SOLC_COMMIT}.Linux.g++'\n", encoding="utf-8"
    )
    native.chmod(0o755)
    assert solc.find_solc(project) == native
    native.write_text("#!/bin/sh\necho 'Version: 0.8.37+commit.00000000.Linux.g++'\n", encoding="utf-8")
    assert solc.find_solc(project) == project.solc


def test_the_version_is_pinned_in_one_way_for_npm_and_solcx() -> None:
    modules = find_project().root / "node_modules" / "solc" / "package.json"
    assert f'"version": "{solc.SOLC_VERSION}"' in modules.read_text(encoding="utf-8")


def test_settings_come_from_foundry_toml(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"no foundry\.toml"):
        Project.load(tmp_path)
    (tmp_path / "foundry.toml").write_text("[profile.default]\nsrc = 'a'", encoding="utf-8")
    with pytest.raises(CompileError, match="is malformed: 'solc'"):
        Project.load(tmp_path)
    (tmp_path / "foundry.toml").write_text(
        "[profile.default]\nsrc='a'\nsolc='s'\noptimizer=true\noptimizer_runs=7\nevm_version='prague'", encoding="utf-8"
    )
    project = Project.load(tmp_path)
    assert project.settings["optimizer"] == {"enabled": True, "runs": 7}
    assert project.settings["evmVersion"] == "prague"
    with pytest.raises(CompileError, match="no Solidity sources"):
        project.standard_json()


def test_a_fresh_process_with_a_warm_cache_needs_no_compiler(project: Project, probe_project: Project) -> None:
    compile_contracts(probe_project)
    code = (
        "from dataclasses import replace; from pot_chain.chain.project import find_project;"
        "from pot_chain.chain.compiler import compile_contracts;"
        "print(len(compile_contracts(replace(find_project(), source='tests/chain/contracts'))['Probe'].abi))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().isdigit(), done.stderr


paths = st.from_regex(r"(\./|\.\./|@?[a-z]+/)[A-Za-z/]{1,12}\.sol", fullmatch=True)
forms = st.sampled_from(
    [
        'import "{}";',
        "import '{}';",
        'import * as m from "{}";',
        'import {{A, B as C}} from "{}";',
        'import "{}" as m;',
        'import {{\n A,\n B\n}}\n  from\n "{}";',
    ]
)
noise = st.sampled_from(
    [
        '// import "no.sol";\n',
        '/* import "no.sol"; */',
        'string constant S = "// not a comment";\n',
        "\n",
        'contract X { string s = "import";}\n',
    ]
)


@given(st.lists(st.tuples(noise, forms, paths), max_size=5))
def test_imports_are_found_and_nothing_else(parts: list[tuple[str, str, str]]) -> None:
    source = "".join(f"{before}\n{form.format(path)}\n" for before, form, path in parts)
    assert imports_of(source) == [path for _, _, path in parts]
