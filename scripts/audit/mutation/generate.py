"""Every mutant of the sources, from the compiler's syntax tree: comments, imports and types are never touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.audit.compiler import Compiler, errors_of
from scripts.audit.mutation.mutants import Mutant
from scripts.audit.mutation.operators import OPERATORS, Node, Source
from scripts.audit.project import AuditError

# what stands in these has no effect that a test could see, or is a type
SKIPPED_FIELDS = {"documentation", "typeName", "typeDescriptions", "overrides", "externalReferences", "parameters"}
SKIPPED_NODES = {"ImportDirective", "PragmaDirective", "UsingForDirective", "EventDefinition", "ErrorDefinition"}


def walk(node: Any) -> Iterator[Node]:
    """All nodes that can be mutated."""
    if isinstance(node, list):
        for item in node:
            yield from walk(item)
    elif isinstance(node, dict):
        if "nodeType" in node:
            if node["nodeType"] in SKIPPED_NODES:
                return
            yield node
        for field, value in node.items():
            if field not in SKIPPED_FIELDS:
                yield from walk(value)


def mutants_of(file: str, text: str, tree: Node) -> list[Mutant]:
    """The mutants of one file in the order of the source, each change once."""
    data = text.encode()
    source = Source(data)
    found: dict[tuple[int, int, str], Mutant] = {}
    for node in walk(tree):
        operator = OPERATORS.get(node["nodeType"])
        if operator is None:
            continue
        for start, end, replacement, kind in operator(node, source):
            if data[start:end].decode() != replacement:
                found.setdefault(
                    (start, end, replacement), Mutant(file, start, end, data[start:end].decode(), replacement, kind)
                )
    return sorted(found.values(), key=lambda mutant: (mutant.start, mutant.end, mutant.replacement))


def generate(compiler: Compiler, sources: Mapping[str, str], mutated: list[str]) -> list[Mutant]:
    """The mutants of the files `mutated`; `sources` holds these and all that they import."""
    output = compiler.compile(sources, {"*": ["ast"]})
    if errors := errors_of(output):
        raise AuditError(f"the sources do not compile: {errors[0]}")
    return [
        mutant for file in sorted(mutated) for mutant in mutants_of(file, sources[file], output["sources"][file]["ast"])
    ]
