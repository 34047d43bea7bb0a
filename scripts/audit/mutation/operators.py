"""What each kind of syntax node can become. The tree comes from the compiler, so every range and type is exact."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]
Change = tuple[int, int, str, str]  # start, end, replacement, operator

BINARY = {
    "<": ["<=", ">="],
    "<=": ["<", ">"],
    ">": [">=", "<="],
    ">=": [">", "<"],
    "==": ["!="],
    "!=": ["=="],
    "&&": ["||"],
    "||": ["&&"],
    "+": ["-"],
    "-": ["+"],
    "*": ["/"],
    "/": ["*"],
    "%": ["/"],
    "**": ["*"],
    "&": ["|"],
    "|": ["&"],
    "^": ["&"],
    "<<": [">>"],
    ">>": ["<<"],
}
RELATIONAL = {"<", "<=", ">", ">=", "==", "!="}
ASSIGN = {
    "+=": "-=",
    "-=": "+=",
    "*=": "/=",
    "/=": "*=",
    "|=": "&=",
    "&=": "|=",
    "^=": "&=",
    "<<=": ">>=",
    ">>=": "<<=",
}
YUL_CALLS = {
    "lt": ["gt"],
    "gt": ["lt"],
    "slt": ["sgt"],
    "sgt": ["slt"],
    "add": ["sub"],
    "sub": ["add"],
    "mul": ["div"],
    "div": ["mul"],
    "mod": ["div"],
    "and": ["or"],
    "or": ["and"],
    "xor": ["or"],
    "shl": ["shr"],
    "shr": ["shl"],
}


def span(node: Node) -> tuple[int, int]:
    """First byte and byte after the last of a node."""
    start, length, _ = node["src"].split(":")
    return int(start), int(start) + int(length)


@dataclass(frozen=True)
class Source:
    """One file: its bytes and how to look into them."""

    data: bytes

    def text(self, node: Node) -> str:
        start, end = span(node)
        return self.data[start:end].decode()

    def between(self, left: int, right: int, token: str) -> tuple[int, int]:
        """Where `token` stands between two places, comments ignored."""
        gap = self.data[left:right]
        blank = re.sub(rb"//[^\n]*|/\*.*?\*/", lambda match: b" " * len(match.group()), gap, flags=re.DOTALL)
        at = blank.index(token.encode())
        return left + at, left + at + len(token)

    def semicolon(self, end: int) -> int | None:
        """The byte after the semicolon that ends a statement, if one does."""
        match = re.compile(rb"\s*;").match(self.data, end)
        return match.end() if match else None


def binary(node: Node, source: Source) -> Iterator[Change]:
    operator = node["operator"]
    left, right = node["leftExpression"], node["rightExpression"]
    start, end = source.between(span(left)[1], span(right)[0], operator)
    kind = "relational" if operator in RELATIONAL else "logical" if operator in ("&&", "||") else "arithmetic"
    for other in BINARY.get(operator, []):
        yield start, end, other, kind
    if operator in ("&&", "||"):
        whole = span(node)
        yield *whole, source.text(left), "logical"
        yield *whole, source.text(right), "logical"


def unary(node: Node, source: Source) -> Iterator[Change]:
    operator, (start, end) = node["operator"], span(node)
    size = len(operator)
    if operator in ("!", "~", "-"):
        yield start, start + size, "", "negation"
    if operator in ("++", "--"):
        at = start if node["prefix"] else end - size
        yield at, at + size, "--" if operator == "++" else "++", "arithmetic"


def assignment(node: Node, source: Source) -> Iterator[Change]:
    operator = node["operator"]
    if operator in ASSIGN:
        start, end = source.between(span(node["leftHandSide"])[1], span(node["rightHandSide"])[0], operator)
        yield start, end, ASSIGN[operator], "arithmetic"
        yield start, end, "=", "arithmetic"


def literal(node: Node, source: Source) -> Iterator[Change]:
    start, end = span(node)
    text = source.text(node)
    if node["kind"] == "bool":
        yield start, end, "false" if text == "true" else "true", "constant"
    elif node["kind"] == "string":
        yield start, end, '"mutant"', "constant"
    elif node["kind"] == "number" and (match := re.match(r"0x[0-9a-fA-F_]+|[0-9_]+(?![0-9_.eE])", text)):
        if len(text) == 42 and text.startswith("0x"):
            return  # an address, whose checksum would not hold
        value = int(match.group().replace("_", ""), 0)
        number = start + len(match.group())
        yield start, number, str(value + 1), "boundary"
        if value > 0:
            yield start, number, "0", "constant"
        if value > 1:
            yield start, number, str(value - 1), "boundary"


def deletion(kind: str) -> Callable[[Node, Source], Iterator[Change]]:
    def change(node: Node, source: Source) -> Iterator[Change]:
        start, end = span(node)
        # `++i` in the head of a loop is a statement without a semicolon; without it the loop only runs out of gas
        if (semicolon := source.semicolon(end)) is not None:
            # an empty block is a statement wherever a statement may stand
            yield start, semicolon, "{}", kind

    return change


def condition(node: Node, source: Source) -> Iterator[Change]:
    test = node["condition"]
    guard = reverts(node.get("trueBody") or {})
    kind = "check removal" if guard else "condition"
    yield *span(test), "false", kind
    if not guard:
        yield *span(test), "true", kind
    if test.get("operator") not in RELATIONAL:
        yield *span(test), f"!({source.text(test)})", "negation"


def reverts(body: Node) -> bool:
    """Whether a branch does nothing but revert."""
    if body.get("nodeType") == "Block":
        statements = body["statements"]
        return len(statements) == 1 and reverts(statements[0])
    return body.get("nodeType") == "RevertStatement"


def loop(node: Node, source: Source) -> Iterator[Change]:
    if node.get("condition"):
        yield *span(node["condition"]), "false", "condition"


def ternary(node: Node, source: Source) -> Iterator[Change]:
    whole = span(node)
    yield *whole, f"({source.text(node['trueExpression'])})", "condition"
    yield *whole, f"({source.text(node['falseExpression'])})", "condition"


def call(node: Node, source: Source) -> Iterator[Change]:
    arguments = node["arguments"]
    name = node["expression"].get("name")
    if name == "require" and arguments:
        yield *span(arguments[0]), "true", "check removal"
        yield *span(arguments[0]), f"!({source.text(arguments[0])})", "negation"
        return
    for first, second in itertools.pairwise(arguments):
        if type_of(first) == type_of(second) and source.text(first) != source.text(second):
            middle = source.data[span(first)[1] : span(second)[0]].decode()
            swapped = source.text(second) + middle + source.text(first)
            yield span(first)[0], span(second)[1], swapped, "argument swap"


def type_of(node: Node) -> str:
    kind = str(node.get("typeDescriptions", {}).get("typeString", ""))
    # literals have types of their own (int_const 3)
    return re.sub(r"^int_const .*", "uint256", kind)


def returned(node: Node, source: Source) -> Iterator[Change]:
    value = node.get("expression")
    if value is None or value["nodeType"] == "TupleExpression":
        return
    kind = type_of(value)
    text = source.text(value)
    if kind == "bool":
        yield *span(value), f"!({text})", "return value"
    elif re.fullmatch(r"u?int\d+", kind):
        yield *span(value), f"({text}) + 1", "return value"
        if text != "0":
            yield *span(value), "0", "return value"
    elif kind in ("address", "bytes32", "bytes24", "bytes20", "bytes4"):
        yield *span(value), f"{kind}(0)", "return value"


def modifier(node: Node, source: Source) -> Iterator[Change]:
    if node.get("kind") == "modifierInvocation":
        yield *span(node), "", "modifier removal"


def jump(word: str) -> Callable[[Node, Source], Iterator[Change]]:
    def change(node: Node, source: Source) -> Iterator[Change]:
        start, _ = span(node)
        yield start, start + len("break" if word == "continue" else "continue"), word, "jump"

    return change


def yul_call(node: Node, source: Source) -> Iterator[Change]:
    name, arguments = node["functionName"]["name"], node["arguments"]
    for other in YUL_CALLS.get(name, []):
        yield *span(node["functionName"]), other, "assembly"
    if name == "iszero":
        yield *span(node), source.text(arguments[0]), "assembly"
    if name == "eq":
        yield *span(node), f"iszero({source.text(node)})", "assembly"
    if name in ("and", "or"):
        for argument in arguments:
            yield *span(node), source.text(argument), "assembly"


def yul_literal(node: Node, source: Source) -> Iterator[Change]:
    if node["kind"] == "number":
        value = int(node["value"], 0)
        yield *span(node), hex(value + 1), "assembly"
        if value > 0:
            yield *span(node), hex(value - 1), "assembly"


def yul_condition(node: Node, source: Source) -> Iterator[Change]:
    yield *span(node["condition"]), "0", "assembly"
    yield *span(node["condition"]), f"iszero({source.text(node['condition'])})", "assembly"


def yul_statement(node: Node, source: Source) -> Iterator[Change]:
    yield *span(node), "{}", "assembly"


OPERATORS: dict[str, Callable[[Node, Source], Iterator[Change]]] = {
    "BinaryOperation": binary,
    "UnaryOperation": unary,
    "Assignment": assignment,
    "Literal": literal,
    "EmitStatement": deletion("event deletion"),
    "ExpressionStatement": deletion("statement deletion"),
    "IfStatement": condition,
    "ForStatement": loop,
    "WhileStatement": loop,
    "Conditional": ternary,
    "FunctionCall": call,
    "Return": returned,
    "ModifierInvocation": modifier,
    "Break": jump("continue"),
    "Continue": jump("break"),
    "YulFunctionCall": yul_call,
    "YulLiteral": yul_literal,
    "YulIf": yul_condition,
    "YulForLoop": yul_condition,
    "YulExpressionStatement": yul_statement,
    "YulAssignment": yul_statement,
}
