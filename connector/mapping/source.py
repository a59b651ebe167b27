"""YAML as an admin wrote it: plain values, and the line and column of every key and value.

YAML 1.2, no object construction, no anchors; at most 1 MB and 10,000 nodes (security page, T5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, NodeEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.errors import Finding, Severity

MAX_BYTES = 1_000_000
MAX_NODES = 10_000
MAX_DEPTH = 40
_TAG = "tag:yaml.org,2002:"

Path_ = tuple[str | int, ...]
Place = tuple[int, int]


def path_text(path: Sequence[str | int]) -> str:
    """``activities.rules[6].topic``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its data and where everything stands. ``file`` is the name as shown in findings."""

    file: str
    data: Any
    values: dict[Path_, Place] = field(default_factory=dict)
    keys: dict[Path_, Place] = field(default_factory=dict)

    def place(self, path: Path_, *, key: bool = False) -> Place | None:
        """Line and column (from 1) of a value, or of its key; of the nearest parent that exists otherwise."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values and path:
            if path in self.keys:
                return self.keys[path]
            path = path[:-1]
        return self.values.get(path)

    def finding(
        self, code: str, message: str, path: Path_, *, key: bool = False, shown: Path_ | None = None, near: tuple[str, int] | None = None,
        severity: Severity = "error", next: str | None = None,
    ) -> Finding:  # fmt: skip
        """A finding at a place of this file. ``shown``: the path to print if it is not the place's own; ``near``: did you mean, with score."""
        place = self.place(path, key=key) or (None, None)
        return Finding(
            code=code, message=message, severity=severity, file=self.file, line=place[0], column=place[1],
            path=path_text(path if shown is None else shown) or None, next=next,
            suggestion=near[0] if near else None, score=near[1] if near else None,
        )  # fmt: skip

    def digest(self) -> bytes:
        """A hash of the data: comments and layout do not count."""
        return hashlib.sha256(orjson.dumps(self.data, option=orjson.OPT_SORT_KEYS)).digest()


def read(path: Path, shown: str) -> tuple[Document | None, list[Finding]]:
    """The document, or None where it cannot be read, and every finding (SC-E020)."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None, [Finding("SC-E020", f"the file is larger than {MAX_BYTES // 1_000_000} MB", file=shown)]
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return None, [Finding("SC-E020", f"the file cannot be read as UTF-8 text ({type(error).__name__})", file=shown)]
    return parse(text, shown)


def parse(text: str, shown: str) -> tuple[Document | None, list[Finding]]:
    """As :func:`read`, from text."""
    yaml = YAML(typ="safe", pure=True)
    try:
        guard = _guard(yaml, text, shown)
        if guard is not None:
            return None, [guard]
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        return None, [Finding("SC-E020", f"not valid YAML: {error.problem}", file=shown, line=line, column=column)]
    except (YAMLError, ValueError, RecursionError) as error:
        return None, [Finding("SC-E020", f"not valid YAML ({type(error).__name__})", file=shown)]
    if node is None:
        return None, [Finding("SC-E020", "the file is empty", file=shown, line=1, column=1)]
    reader = _Reader(Document(shown, None))
    data = reader.value(node, ())
    if not isinstance(data, dict):
        return None, [*reader.findings, reader.document.finding("SC-E020", "the file must hold keys and values", ())]
    return Document(shown, data, reader.document.values, reader.document.keys), reader.findings


def _guard(yaml: YAML, text: str, shown: str) -> Finding | None:
    """Count nodes and depth on the event stream, before anything is built."""
    nodes = depth = 0
    for event in yaml.parse(text):
        problem = None
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
            problem = "anchors and aliases are not used in mapping files"
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            nodes += 1
            depth += not isinstance(event, ScalarEvent)
            tag = None if event.tag is None else str(event.tag)
            if tag is not None and tag != "!":
                problem = "tags are not used in mapping files"
            elif nodes > MAX_NODES:
                problem = f"the file has more than {MAX_NODES:,} nodes"
            elif depth > MAX_DEPTH:
                problem = f"the file is nested deeper than {MAX_DEPTH} levels"
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        if problem:
            return Finding("SC-E020", problem, file=shown, line=event.start_mark.line + 1, column=event.start_mark.column + 1)
    return None


class _Reader:
    """Nodes to plain values, noting positions."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.findings: list[Finding] = []

    def value(self, node: Node, path: Path_) -> Any:
        self.document.values[path] = _place(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or key_node.tag != f"{_TAG}str":
                line, column = _place(key_node)
                shown = str(key_node.value) if isinstance(key_node, ScalarNode) else "this key"
                self.findings.append(
                    Finding("SC-E020", f"{shown} is read as something other than text here", file=self.document.file, line=line, column=column,
                            path=path_text(path) or None, next=f'write it in quotes: "{shown}"'))  # fmt: skip
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in data:
                line, column = _place(key_node)
                self.findings.append(
                    Finding("SC-E020", f"{key} stands here twice", file=self.document.file, line=line, column=column,
                            path=path_text(path) or None, next="keep one of the two"))  # fmt: skip
                continue
            self.document.keys[here] = _place(key_node)
            data[key] = self.value(value_node, here)
        return data

    def _scalar(self, node: Node, path: Path_) -> Any:
        text, tag = str(node.value), str(node.tag).removeprefix(_TAG)
        if tag == "null":
            return None
        if tag == "bool":
            return text.casefold() == "true"
        if tag in ("int", "float"):
            return self._number(text, tag, path)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.findings.append(self.document.finding("SC-E020", "half of a surrogate pair is no character", path))
            return None
        return text

    def _number(self, text: str, tag: str, path: Path_) -> Any:
        plain = text.replace("_", "")
        try:
            if tag == "int":
                number: int | float = int(plain, 0) if plain[:2].lower() in ("0x", "0o") else int(plain)
                if abs(number) > 2**53:
                    raise ValueError
                return number
            number = float(plain)
            if number in (float("inf"), float("-inf")):
                raise ValueError
        except ValueError:
            self.findings.append(
                self.document.finding("SC-E020", f"{text} is not a plain number", path, next="write a decimal number, or quote it as text")
            )
            return None
        else:
            return number


def _place(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1
