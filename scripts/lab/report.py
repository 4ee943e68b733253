"""Progress while it works, a table at the end, and the exit code that goes with it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field

COLOURS = sys.stdout.isatty()


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOURS else text


@dataclass
class Row:
    name: str
    passed: bool | None  # None: cannot be shown here
    detail: str

    @property
    def mark(self) -> str:
        return {True: paint("pass", "32"), False: paint("FAIL", "31;1"), None: paint("none", "33")}[self.passed]


@dataclass
class Report:
    """Rows of checks. `check` runs one and keeps its outcome; an exception is a failure, not an end."""

    title: str
    rows: list[Row] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def step(self, text: str) -> None:
        print(paint(f"[{time.monotonic() - self.started:6.1f} s]", "2"), text, flush=True)

    def check(self, name: str, test) -> None:
        """`test()` answers with a detail text, or raises."""
        try:
            row = Row(name, True, str(test() or ""))
        except Exception as error:  # noqa: BLE001 - a test may fail in any way, and the others still run
            row = Row(name, False, f"{type(error).__name__}: {error}")
        self.rows.append(row)
        self.step(f"{row.mark}  {name}" + (f": {row.detail}" if row.detail else ""))

    def absent(self, name: str, why: str) -> None:
        """A row for what nobody here can show: it neither passes nor fails."""
        self.rows.append(Row(name, None, why))

    def failed(self) -> int:
        return sum(row.passed is False for row in self.rows)

    def finish(self, output: str = "table") -> int:
        """Prints the summary; 0 when all passed and something ran."""
        failed = self.failed()
        if output == "json":
            print(json.dumps({"title": self.title, "rows": [row.__dict__ for row in self.rows], "failed": failed}))
        else:
            width = max((len(row.name) for row in self.rows), default=0)
            print(f"\n{paint(self.title, '1')}")
            for row in self.rows:
                print(f"  {row.name:<{width}}  {row.mark}  {row.detail.splitlines()[0] if row.detail else ''}")
            for row in self.rows:  # what failed once more, and whole: a long table hides it
                if row.passed is False:
                    print(f"\n{row.mark}  {row.name}\n{row.detail}")
        passed = sum(row.passed is True for row in self.rows)
        print(f"{passed} passed, {failed} failed", flush=True)
        return 0 if passed and not failed else 1


def expect(condition: bool, text: str) -> None:
    if not condition:
        raise AssertionError(text)
