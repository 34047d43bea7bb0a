"""A mutant: one small change of one source file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """Bytes `start` to `end` of `file`, which held `original`, become `replacement`."""

    file: str
    start: int
    end: int
    original: str
    replacement: str
    operator: str

    def apply(self, text: str) -> str:
        """The whole file with the change."""
        data = text.encode()
        return (data[: self.start] + self.replacement.encode() + data[self.end :]).decode()

    def line(self, text: str) -> int:
        """The line on which the change begins."""
        return text.encode()[: self.start].count(b"\n") + 1

    def before_after(self, text: str) -> tuple[str, str]:
        """The touched lines before and after, white space normalised: what names a mutant across unrelated edits."""
        data = text.encode()
        begin = data.rfind(b"\n", 0, self.start) + 1
        stop = data.find(b"\n", self.end)
        stop = len(data) if stop < 0 else stop
        before = data[begin:stop]
        after = data[begin : self.start] + self.replacement.encode() + data[self.end : stop]
        return normalise(before.decode()), normalise(after.decode())

    def describe(self, text: str) -> str:
        """Two lines of a diff with the place and the operator."""
        before, after = self.before_after(text)
        return f"{self.file}:{self.line(text)} ({self.operator})\n    - {before}\n    + {after}"


def normalise(line: str) -> str:
    """White space runs become one space."""
    return " ".join(line.split())
