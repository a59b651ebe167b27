"""What a verb answers, and the two ways it is said: text for people, one JSON document for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from connector.errors import Finding

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True, slots=True)
class Table:
    """A table: column heads (a head that starts with ">" is right-aligned) and rows of text."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb has to say. ``summary`` and ``result`` are the JSON contract, ``text`` the same for people, first line the verdict.

    ``findings`` follow the text, so that they are the last thing a person sees.
    """

    summary: dict[str, object] = field(default_factory=dict)
    result: object = None
    text: Sequence[str | Table] = ()
    findings: Sequence[Finding] = ()
    exit_code: int = 0


@dataclass
class Console:
    """Where output goes and how: decided once from flags and environment."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = True
    forced: bool = False  # FORCE_COLOR: colours although the output is no terminal
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def terminal(self) -> bool:
        return self.out.isatty() and not self.json

    @property
    def drawn(self) -> bool:
        """Whether tables are laid out for a terminal; plain aligned text otherwise."""
        return not self.json and (self.out.isatty() or (self.forced and self.color))

    def say(self, line: str) -> None:
        """One line for a person while work goes on: standard error, silent with --json and -q."""
        if not (self.json or self.quiet):
            print(line, file=self.err, flush=True)

    def progress(self) -> Progress | None:
        """A progress display on a terminal, else None. Without colours too: a display that redraws itself needs escape codes."""
        if self.json or self.quiet or not self.color or not self.err.isatty():
            return None
        from rich.console import Console as Rich
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<34}"), BarColumn(bar_width=28), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=Rich(file=self.err), transient=True)

    def answer(self, command: str, answer: Answer) -> None:
        """Print a verb's answer. With -q only what needs a person: the verdict and findings of an answer that has findings or an exit code."""
        if self.json:
            self._document(command, answer, None)
            return
        if self.quiet and not (answer.findings or answer.exit_code):
            return
        for part in answer.text[:1] if self.quiet else answer.text:
            self._table(part) if isinstance(part, Table) else print(clean(part), file=self.out)
        for finding in answer.findings:
            print(clean(finding.text()), file=self.out)
        if answer.exit_code and not self.quiet:
            print(f"exit {answer.exit_code}", file=self.err)

    def failure(self, command: str, finding: Finding, findings: Sequence[Finding], exit_code: int) -> None:
        """Print an error: its findings, then the error itself with its next step."""
        if self.json:
            self._document(command, Answer(findings=findings, exit_code=exit_code), finding)
            return
        for line in (*findings, finding):
            print(clean(line.text()), file=self.err)
        print(f"exit {exit_code}", file=self.err)

    def _document(self, command: str, answer: Answer, error: Finding | None) -> None:
        import orjson

        document = {
            "command": command, "ok": answer.exit_code in (0, 2) and error is None, "exit_code": answer.exit_code, "summary": answer.summary,
            "result": answer.result, "findings": [asdict(f) for f in answer.findings], "error": asdict(error) if error else None,
        }  # fmt: skip
        self.out.write(orjson.dumps(document, default=plain, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")

    def _table(self, table: Table) -> None:
        if not self.drawn:
            for line in aligned(table):
                print(line, file=self.out)
            return
        from rich.console import Console as Rich
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(title=table.title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
        screen = Rich(
            file=self.out,
            color_system="auto" if self.color else None,
            no_color=not self.color,
            force_terminal=self.forced or None,
            markup=False,
            highlight=False,
        )
        kept = narrow(table, screen.width)
        for place, head in enumerate(table.heads):
            right = head.startswith(">")
            shown.add_column(head.lstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=place in kept)
        for row in table.rows:
            shown.add_row(*(Text(text, style=STYLES.get(text, "")) for text in (clean(str(cell)) for cell in row)))
        screen.print(shown)


STYLES: Mapping[str, str] = {"ok": "green", "warn": "yellow", "FAIL": "bold red", "NOT MAPPED": "bold red", "paused": "yellow", "latched": "bold red"}
"""Cells that are these words → how a terminal shows them."""


def narrow(table: Table, width: int) -> set[int]:
    """The columns that never wrap, as long as room is left to the others: ids, names and numbers first, then prose, the narrowest first."""
    columns = [[str(cell) for cell in column] for column in zip(table.heads, *table.rows, strict=True)]
    widths = [max(map(len, column)) + 2 for column in columns]
    prose = [any(" " in cell for cell in column[1:]) for column in columns]
    kept: set[int] = set()
    room = width if sum(widths) <= width + 2 else width - PROSE
    for place in sorted(range(len(columns)), key=lambda i: (prose[i], widths[i])):
        if widths[place] > room:
            break
        kept.add(place)
        room -= widths[place]
    return kept


PROSE = 24
"""Characters a table that is too wide leaves to the columns that wrap."""


def aligned(table: Table) -> Iterable[str]:
    """Plain text lines of a table, columns aligned with two spaces between them."""
    rows = [[clean(str(cell)) for cell in row] for row in table.rows]
    heads = [head.lstrip(">") for head in table.heads]
    widths = [max(len(line[i]) for line in (heads, *rows)) for i in range(len(heads))]
    if table.title:
        yield table.title
    for line in (heads, *rows):
        cells = (cell.rjust(w) if head.startswith(">") else cell.ljust(w) for cell, w, head in zip(line, widths, table.heads, strict=True))
        yield "  ".join(cells).rstrip()


def clean(text: str) -> str:
    """CRM text is data: control characters never reach the terminal."""
    return "".join(c if c == "\n" or c.isprintable() else "�" for c in text)


def plain(value: object) -> object:
    """JSON form of inside values: Decimal as number text is avoided, dates are ISO."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(type(value).__name__)


def color_wanted(no_color: bool) -> bool:
    """--no-color and NO_COLOR win over everything."""
    return not (no_color or os.environ.get("NO_COLOR"))


def color_forced() -> bool:
    """FORCE_COLOR asks for colours where the output is no terminal."""
    return bool(os.environ.get("FORCE_COLOR"))


def count(number: int, word: str, words: str | None = None) -> str:
    """``1 record``, ``2 records``, ``1,204 records``."""
    return f"{number:,} {word if number == 1 else words or word + 's'}"


Verb = Callable[..., Answer]
