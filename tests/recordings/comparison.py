"""Recorded exchanges of the real APIs, and how an answer of the sandbox is held against one. Knows no CRM.

A recording's flags say what it proves: a ``body_only`` line has no request, an untrusted status or header list proves nothing about them,
a ``handmade`` line proves nothing at all. Bodies are compared as shapes: the kinds of values and the spellings of texts below each key,
over all records of a list together; null goes with every kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPELLINGS = (
    ("instant +0000", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")),
    ("instant Z .000", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")),
    ("instant Z", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d")),
    ("true or false", re.compile(r"true|false")),
    ("number as text", re.compile(r"-?\d+(\.\d+)?")),
    ("path", re.compile(r"/\S+/\S+")),
    ("address", re.compile(r"https?://\S+")),
)
STRICT = frozenset({"instant +0000", "instant Z .000", "instant Z", "date"})


@dataclass(frozen=True)
class Recorded:
    """One line. ``headers`` by lower-case name; ``place``: folder:line (from 1), for messages; ``query``: pairs of names and values."""

    place: str
    folder: str
    file: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    request: Any
    status: int | None
    headers: Mapping[str, str]
    body: Any
    body_only: bool
    status_trusted: bool
    headers_trusted: bool
    handmade: bool


def load(recordings: Path, crm: str) -> list[Recorded]:
    """Every line of a CRM's folders, in order."""
    found = []
    for folder in sorted(recordings.iterdir()):
        lines = folder / "interactions.jsonl"
        if not lines.is_file():
            continue
        for number, line in enumerate(lines.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            if row["crm"] == crm:
                found.append(_recorded(f"{folder.name}:{number}", folder.name, row))
    return found


def _recorded(place: str, folder: str, row: Mapping[str, Any]) -> Recorded:
    query = row.get("query") or ()
    pairs = query.items() if isinstance(query, Mapping) else query
    return Recorded(
        place, folder, row.get("file") or "", row.get("method") or "", row.get("path") or "", tuple((str(k), str(v)) for k, v in pairs),
        row.get("request_body"), row.get("status"), {k.lower(): v for k, v in row.get("headers") or ()}, row.get("body"),
        bool(row.get("body_only")), row.get("status_trusted", True), row.get("headers_trusted", True), bool(row.get("handmade")),
    )  # fmt: skip


# -- shapes ----------------------------------------------------------------------------------------------------------


@dataclass
class Shape:
    """What was seen at one place: ``kinds`` (null, text, number, flag, list, object), spellings of texts, and what lies below."""

    kinds: set[str] = field(default_factory=set)
    spellings: set[str] = field(default_factory=set)
    keys: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None

    def see(self, value: Any) -> Shape:
        """Add one more value that stands here."""
        if isinstance(value, dict):
            self.kinds.add("object")
            for key, below in value.items():
                self.keys.setdefault(key, Shape()).see(below)
        elif isinstance(value, list):
            self.kinds.add("list")
            for below in value:
                self.items = (self.items or Shape()).see(below)
        elif isinstance(value, str):
            self.kinds.add("text")
            self.spellings.add(spelling(value))
        else:
            self.kinds.add("null" if value is None else "flag" if isinstance(value, bool) else "number")
        return self


def spelling(text: str) -> str:
    """The name of the way in which a text is written; "plain" for one of no particular form."""
    return next((name for name, form in SPELLINGS if form.fullmatch(text)), "plain")


@dataclass(frozen=True)
class Rules:
    """What may differ: ``free(path)`` keys that only one side has there; ``open(path)``: an object whose keys are data; ``ids(text)``."""

    free: Callable[[str], bool] = lambda path: False
    open: Callable[[str], bool] = lambda path: False
    extra: Callable[[str], bool] = lambda path: False
    """Keys that the sandbox may have beside those of an older recording."""


def differences(theirs: Any, ours: Any, rules: Rules | None = None) -> list[str]:
    """In what the sandbox's body (``ours``) has another shape than the recorded one; paths are dotted, ``[]`` stands for a list's items."""
    return list(_unlike(Shape().see(theirs), Shape().see(ours), "", rules or Rules()))


def _unlike(theirs: Shape, ours: Shape, path: str, rules: Rules) -> Iterable[str]:
    wanted, found = theirs.kinds - {"null"}, ours.kinds - {"null"}
    if wanted and found and wanted.isdisjoint(found):
        yield f"{path or 'body'}: {'/'.join(sorted(wanted))} recorded, {'/'.join(sorted(found))} here"
        return
    strict = theirs.spellings & STRICT
    if strict and theirs.spellings <= STRICT and ours.spellings and not ours.spellings <= theirs.spellings:
        yield f"{path}: spelt {'/'.join(sorted(strict))} recorded, {'/'.join(sorted(ours.spellings))} here"
    if theirs.keys and ours.keys:
        yield from _keys(theirs, ours, path, rules)
    if theirs.items is not None and ours.items is not None:
        yield from _unlike(theirs.items, ours.items, path + "[]", rules)


def _keys(theirs: Shape, ours: Shape, path: str, rules: Rules) -> Iterable[str]:
    if rules.open(path):  # the names are data: what stands below them is compared as one
        yield from _unlike(_together(theirs), _together(ours), path + ".*", rules)
        return
    for key in sorted(set(theirs.keys) | set(ours.keys)):
        below = f"{path}.{key}" if path else key
        if key in theirs.keys and key in ours.keys:
            yield from _unlike(theirs.keys[key], ours.keys[key], below, rules)
        elif rules.free(below) or (key not in theirs.keys and rules.extra(below)):
            continue
        else:
            yield f"{below}: only {'recorded' if key in theirs.keys else 'here'}"


def _together(shape: Shape) -> Shape:
    whole = Shape()
    for below in shape.keys.values():
        _merge(whole, below)
    return whole


def _merge(into: Shape, shape: Shape) -> None:
    into.kinds |= shape.kinds
    into.spellings |= shape.spellings
    for key, below in shape.keys.items():
        _merge(into.keys.setdefault(key, Shape()), below)
    if shape.items is not None:
        into.items = into.items or Shape()
        _merge(into.items, shape.items)


# -- headers and the count -------------------------------------------------------------------------------------------


def header_differences(recorded: Recorded, ours: Mapping[str, str], *, extra: Iterable[str] = (), theirs: Iterable[str] = ()) -> list[str]:
    """Header names that only one side has. ``extra``: names the sandbox may add; ``theirs``: names of the vendor's machines, not asked for."""
    wanted = set(recorded.headers) - {name.lower() for name in theirs}
    found = {name.lower() for name in ours}
    allowed = {name.lower() for name in extra}
    return [f"header {name}: only recorded" for name in sorted(wanted - found)] + [
        f"header {name}: only here" for name in sorted(found - wanted - allowed)
    ]


@dataclass
class Tally:
    """What became of each line: compared, compared and found to differ, or left out for a reason."""

    compared: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def hold(self, recorded: Recorded, kind: str, found: Iterable[str]) -> None:
        """Count a pair as compared; ``found``: its differences."""
        self.compared[kind] += 1
        self.wrong += [f"{recorded.place} {recorded.method} {recorded.path or recorded.file}: {what}" for what in found]

    def leave(self, reason: str) -> None:
        self.left_out[reason] += 1

    @property
    def pairs(self) -> int:
        return sum(self.compared.values())

    def report(self) -> str:
        lines = [f"{self.pairs} pairs compared, {len(self.wrong)} differences; {sum(self.left_out.values())} lines left out"]
        lines += [f"  {count:4} {kind}" for kind, count in sorted(self.compared.items())]
        lines += [f"  {count:4} left out: {reason}" for reason, count in sorted(self.left_out.items())]
        return "\n".join([*lines, *self.wrong])
