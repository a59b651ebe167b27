"""Inputs that no CRM holds: mappings/inputs/*.csv, checked cell by cell (kpis/inputs.md). A file is read whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from connector.errors import Finding
from connector.kpis.inputs.tables import PLACE, TABLES, Column

Row = dict[str, Any]
PROTECTED_NAME = re.compile(r"patient|mrn|medical_?record|ssn|social_?security|birth|\bdob\b|diagnos|icd_?(9|10)", re.IGNORECASE)
PROTECTED_VALUE = re.compile(r"\b\d{3}-\d{2}-\d{4}\b|\bMRN[ :#-]*\d", re.IGNORECASE)
HOURS_OF_A_WEEK = 168
PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """One file that fed an input: its path, SHA-256 and number of rows taken."""

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Inputs:
    """Typed rows by input name (``quotas``, ``fx`` …); an input that was not given, or could not be read, is absent.

    Dates and months (their first day) are dates, money is Decimal, ``period`` stays text; ``place`` says where a row stands
    (``inputs/quotas.csv:3``). ``findings`` names every problem met, ``problems`` the errors among them by input.
    ``refused``: input → what rows that were left out hold in its first column, which says whose they are; None: nothing.
    """

    tables: Mapping[str, Sequence[Row]]
    findings: tuple[Finding, ...] = ()
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    problems: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    refused: Mapping[str, frozenset[str | None]] = field(default_factory=dict)

    @property
    def unread(self) -> frozenset[str]:
        """Inputs that were given and could not be read: nobody knows what they say."""
        return frozenset(self.problems.keys() - self.tables.keys())

    def rows(self, name: str) -> Sequence[Row] | None:
        """The rows of an input, or None where it was not given."""
        return self.tables.get(name)


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name most like a word that matches none: ``marketing (93 %)``, or None."""
    found = process.extractOne(word, list(names), scorer=fuzz.WRatio, score_cutoff=70)
    return f"{found[0]} ({found[1]:.0f} %)" if found else None


def load(directory: Path, files: Mapping[str, str | Sequence[str]]) -> Inputs:
    """Read the files named under ``inputs:`` of kpis.yaml, paths relative to the mappings directory.

    Never raises for a file's content: what is wrong is a finding (SC-E090, E091, E093, W095, E190) with its place.
    """
    made = _Reader()
    for name, paths in files.items():
        if name not in TABLES:
            made.findings.append(Finding("SC-E022", f"unknown input {name}", path=f"inputs.{name}", suggestion=nearest(name, TABLES)))
            continue
        cells: list[_Line] = []
        read: list[Source] = []
        problems: list[Finding] = []
        for path in [paths] if isinstance(paths, str) else paths:
            lines, source, refused = _read(name, directory, path)
            cells += lines
            problems += refused
            read += [source] if source else []
        made.take(name, cells, problems, read)
    return made.inputs()


def from_rows(files: Mapping[str, Sequence[Mapping[str, object]]]) -> Inputs:
    """The same checks over rows given as JSON objects (section ``files`` of a book file): ``{"quotas.csv": [{…}]}``."""
    made = _Reader()
    for file, rows in files.items():
        name = file.removesuffix(".csv")
        if name not in TABLES:
            made.findings.append(Finding("SC-E090", "unknown input", file=file, suggestion=nearest(name, TABLES)))
            continue
        headers = list(dict.fromkeys(key for row in rows for key in row))
        problems = _headers(name, file, headers) if rows else []
        lines = [_Line(file, number, {key: (place, _shown(row[key])) for place, key in enumerate(row, 1)}) for number, row in enumerate(rows, 1)]
        made.take(name, lines, problems)
    return made.inputs()


@dataclass
class _Reader:
    """What comes together, input by input."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    sources: dict[str, tuple[Source, ...]] = field(default_factory=dict)
    problems: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    refused: dict[str, frozenset[str | None]] = field(default_factory=dict)

    def take(self, name: str, lines: Sequence[_Line], problems: list[Finding], sources: Sequence[Source] = ()) -> None:
        """The rows of one input that hold; none of them where ``problems`` says that a file of it cannot be read."""
        found = list(problems)
        if not any(problem.severity == "error" for problem in problems):
            rows, wrong = _check(name, lines)
            found += wrong
            kept = {row[PLACE] for row in rows}
            whose = TABLES[name][0].name
            left = frozenset(line.cells.get(whose, (0, ""))[1] or None for line in lines if line.place not in kept)
            self.tables[name] = rows
            if sources:
                self.sources[name] = tuple(sources)
            if left:
                self.refused[name] = left
        self.findings += found
        if errors := tuple(finding for finding in found if finding.severity == "error"):
            self.problems[name] = errors

    def inputs(self) -> Inputs:
        return Inputs(self.tables, tuple(self.findings), self.sources, self.problems, self.refused)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a file: column → (place in the line, text)."""

    file: str
    number: int
    cells: Mapping[str, tuple[int, str]]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"

    def finding(self, code: str, message: str, column: str | None = None, suggestion: str | None = None) -> Finding:
        place = self.cells[column][0] if column is not None and column in self.cells else None
        return Finding(code, message, file=self.file, line=self.number, column=place, path=column, suggestion=suggestion)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(name: str, directory: Path, path: str) -> tuple[list[_Line], Source | None, list[Finding]]:
    shown = f"{directory.name}/{path}"
    try:
        raw = (directory / path).read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        return [], None, [Finding("SC-E090", f"cannot be read: {error.strerror or 'missing'}", file=shown)]
    except UnicodeDecodeError as error:
        return [], None, [Finding("SC-E090", f"is not UTF-8 (byte {error.start})", file=shown)]
    kept = ((number, line) for number, line in _records(text))
    first = next(kept, None)
    if first is None:
        return [], None, [Finding("SC-E090", "has no header", file=shown)]
    headers = [cell.strip() for cell in first[1]]
    problems = _headers(name, shown, headers, first[0])
    lines = [
        _Line(shown, number, {h: (place, cell.strip()) for place, (h, cell) in enumerate(zip(headers, line, strict=False), 1)})
        for number, line in kept
    ]
    for line in lines:
        if any(PROTECTED_VALUE.search(text) for _, text in line.cells.values()):
            problems.append(line.finding("SC-E190", "a value looks like patient data; the file is refused"))
            break
    return lines, Source(shown, hashlib.sha256(raw).hexdigest(), len(lines)), problems


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each begins on; empty lines and comments are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""))
    before = 0
    for record in reader:
        begins, before = before + 1, reader.line_num
        if record and any(cell.strip() for cell in record) and not record[0].lstrip().startswith("#"):
            yield begins, record


def _headers(name: str, file: str, headers: Sequence[str], line: int = 1) -> list[Finding]:
    columns = {column.name: column for column in TABLES[name]}
    problems = []
    for place, header in enumerate(headers, 1):
        if PROTECTED_NAME.search(header):
            problems.append(Finding("SC-E190", f"column {header} looks like patient data; the file is refused", file=file, line=line, column=place))
        elif header not in columns:
            near = nearest(header, columns)
            problems.append(Finding("SC-W095", f"unknown column {header}", "warning", file=file, line=line, column=place, suggestion=near))
    for column in TABLES[name]:
        if column.required and column.name not in headers:
            problems.append(Finding("SC-E090", f"the required column {column.name} is absent", file=file, line=line))
    return problems


def _check(name: str, lines: Sequence[_Line]) -> tuple[list[Row], list[Finding]]:
    """The rows that hold, and what is wrong with the others."""
    good: list[tuple[_Line, Row]] = []
    findings: list[Finding] = []
    for line in lines:
        row, wrong = _row(TABLES[name], line)
        wrong += [line.finding("SC-E091", message, column) for column, message in _together(name, row)] if not wrong else []
        findings += wrong
        if not wrong:
            good.append((line, row | {PLACE: line.place}))
    unique, doubled = _unique(name, good)
    summed = {"arr_ledger": _balanced, "time_log": _within_a_week}.get(name)
    kept, beyond = summed(unique) if summed else (unique, [])
    return [row for _, row in kept], findings + doubled + beyond


def _row(columns: Sequence[Column], line: _Line) -> tuple[Row, list[Finding]]:
    row: Row = {}
    wrong = []
    for column in columns:
        text = line.cells.get(column.name, (0, ""))[1] or column.default or ""
        try:
            row[column.name] = _cell(column, text)
        except _Bad as bad:
            wrong.append(line.finding("SC-E091", bad.message, column.name, bad.suggestion))
    return row, wrong


class _Bad(Exception):
    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message, self.suggestion = message, suggestion


def _cell(column: Column, text: str) -> Any:
    if not text:
        if column.required:
            raise _Bad("is empty and must not be")
        return None
    value = PARSERS[column.kind](column, text)
    if column.kind in ("money", "int", "number"):
        _bounds(column, value, text)
    return value


def _bounds(column: Column, value: Any, text: str) -> None:
    if column.low is not None and value < column.low:
        raise _Bad(f'"{text}" is below {column.low:g}')
    if column.high is not None and value > column.high:
        raise _Bad(f'"{text}" is above {column.high:g}')
    if column.above is not None and value <= column.above:
        raise _Bad(f'"{text}" must be greater than {column.above:g}')


def _decimal(column: Column, text: str) -> Decimal:
    try:
        if PLAIN_NUMBER.fullmatch(text) or re.fullmatch(r"[+-]?\d+(\.\d+)?[eE][+-]?\d+", text):
            return Decimal(text)
    except InvalidOperation:
        pass
    plain = re.sub(r"[^\d.+-]", "", text)
    raise _Bad(f'"{text}" is not a plain number', plain if PLAIN_NUMBER.fullmatch(plain) else None)


def _whole(column: Column, text: str) -> int:
    number = _decimal(column, text)
    if number != number.to_integral_value():
        raise _Bad(f'"{text}" is not a whole number')
    return int(number)


def _date(column: Column, text: str) -> date:
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise _Bad(f'"{text}" is not a date of the form YYYY-MM-DD')


def _month(column: Column, text: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d{2}", text):
            return date.fromisoformat(f"{text}-01")
    except ValueError:
        pass
    raise _Bad(f'"{text}" is not a month of the form YYYY-MM')


def _week(column: Column, text: str) -> date:
    day = _date(column, text)
    if day.weekday():
        raise _Bad(f'"{text}" is not a Monday', (day - timedelta(days=day.weekday())).isoformat())
    return day


def _period(column: Column, text: str) -> str:
    if re.fullmatch(r"FY\d{4}-Q[1-4]", text) or (column.kind == "period" and re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text)):
        return text
    raise _Bad(f'"{text}" is not a period such as FY2027-Q1' + (" or 2027-01" if column.kind == "period" else ""))


def _bool(column: Column, text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise _Bad(f'"{text}" is not true or false')
    return known[text.lower()]


def _choice(column: Column, text: str) -> str:
    if text not in column.choices:
        raise _Bad(f'unknown "{text}"', nearest(text, column.choices))
    return text


PARSERS: Mapping[str, Callable[[Column, str], Any]] = {
    "text": lambda column, text: text,
    "date": _date, "month": _month, "week": _week, "period": _period, "quarter": _period,
    "money": _decimal, "number": _decimal, "int": _whole, "bool": _bool, "choice": _choice,
}  # fmt: skip


def _together(name: str, row: Row) -> Iterator[tuple[str, str]]:
    """What single cells cannot show: (column, message)."""
    if name == "arr_ledger":
        grows = row["type"] in ("new", "expansion")
        if (row["delta"] > 0) != grows or row["delta"] == 0:
            yield "delta", f"{row['type']} must be {'positive' if grows else 'negative'}, found {row['delta']}"
    if name == "adoption" and row["active"] > row["licensed"]:
        yield "active", f"{row['active']} active of {row['licensed']} licensed"
    if name == "lms" and row["correct"] > row["asked"]:
        yield "correct", f"{row['correct']} correct of {row['asked']} asked"
    if name == "sentiment" and all(row[part] is None for part in ("nps", "qbr", "support_csat")):
        yield "nps", "at least one of nps, qbr, support_csat must be given"


def _unique(name: str, rows: Sequence[tuple[_Line, Row]]) -> tuple[list[tuple[_Line, Row]], list[Finding]]:
    keys = [column.name for column in TABLES[name] if column.key]
    if not keys:
        return list(rows), []
    seen: dict[tuple[Any, ...], list[_Line]] = {}
    for line, row in rows:
        seen.setdefault(tuple(row[key] for key in keys), []).append(line)
    findings = [
        line.finding(
            "SC-E093", f"same key as line {lines[0].number} ({', '.join(str(part) for part in key if part is not None)}): all of them left out"
        )
        for key, lines in seen.items()
        for line in lines[1:]
    ]
    return [(line, row) for line, row in rows if len(seen[tuple(row[key] for key in keys)]) == 1], findings


def _balanced(rows: Sequence[tuple[_Line, Row]]) -> tuple[list[tuple[_Line, Row]], list[Finding]]:
    """Ledger rows whose account's balance stays at or above 0 (per currency), in the order of their days: growth first within a day."""
    balance: dict[tuple[str, str | None], Decimal] = {}
    findings, bad = [], set()
    for place, (line, row) in sorted(enumerate(rows), key=lambda item: (item[1][1]["date"], item[1][1]["delta"] < 0, item[0])):
        key = (row["account_key"], row["currency"])
        after = balance.get(key, Decimal(0)) + row["delta"]
        if after < 0:
            bad.add(place)
            findings.append(line.finding("SC-E091", f"the balance of {row['account_key']} would fall to {after}", "delta"))
        else:
            balance[key] = after
    return [pair for place, pair in enumerate(rows) if place not in bad], findings


def _within_a_week(rows: Sequence[tuple[_Line, Row]]) -> tuple[list[tuple[_Line, Row]], list[Finding]]:
    """Logged hours whose owner's week holds no more than it has; the row that goes beyond is left out."""
    logged: dict[tuple[str, date], Decimal] = {}
    findings, kept = [], []
    for line, row in rows:
        key = (row["owner_key"], row["week"])
        after = logged.get(key, Decimal(0)) + row["hours"]
        if after > HOURS_OF_A_WEEK:
            findings.append(line.finding("SC-E091", f"{row['owner_key']} would have {after:g} hours in the week of {row['week']}", "hours"))
        else:
            logged[key] = after
            kept.append((line, row))
    return kept, findings
