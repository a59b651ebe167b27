"""A SELECT list → one function that makes the record of an answer from a row. Built once per query."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.paths import Getter, Path, Scope, Step
from connector.sandbox.salesforce.schema import Row
from connector.sandbox.salesforce.soql import Name

Project = Callable[[Row], dict[str, Any]]


@dataclass
class Tree:
    """What is selected of one object: fields and, below relationship names, parents; in the order of first mention."""

    fields: dict[str, Getter | Tree] = field(default_factory=dict)
    step: Step | None = None
    generic: bool = False  # a parent that may be of several objects
    plain: bool = True  # stored fields only


def attributes(org: Org, row: Row, version: str, kind: str | None = None) -> dict[str, str]:
    """The block every record begins with. ``kind``: shown as type where it is not the record's object."""
    name = org.prefixes[row["Id"][:3]]
    return {"type": kind or name, "url": f"/services/data/v{version}/sobjects/{name}/{row['Id']}"}


def collect(scope: Scope, names: Iterable[Name], tree: Tree) -> None:
    """Add the named fields to a tree. Raises SoqlError INVALID_FIELD for unknown and for doubled fields."""
    for name in names:
        path = scope.resolve(name)
        at = _descend(tree, path)
        if path.field.name in at.fields:
            raise scope.refuse(name, f"duplicate field selected: {name.text}")
        if path.field.compute is not None or path.steps:
            tree.plain = False
        at.generic = path.generic
        at.fields[path.field.name] = path.last


def projector(org: Org, tree: Tree, version: str) -> Project:
    """The function that makes records: ``attributes`` first, then the selected fields; a null parent is None."""
    kind = "Name" if tree.generic else None
    if tree.plain and not tree.generic:
        names = tuple(tree.fields)

        def simple(row: Row) -> dict[str, Any]:
            get = row.get
            record: dict[str, Any] = {"attributes": attributes(org, row, version)}
            for name in names:
                record[name] = get(name)
            return record

        return simple
    plan = [(name, _parent(org, part, version) if isinstance(part, Tree) else part) for name, part in tree.fields.items()]

    def project(row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": attributes(org, row, version, kind)}
        for name, read in plan:
            record[name] = read(row)
        return record

    return project


def _descend(tree: Tree, path: Path) -> Tree:
    for name, step in zip(path.parents, path.steps, strict=True):
        below = tree.fields.setdefault(name, Tree(step=step, plain=False))
        assert isinstance(below, Tree)
        tree = below
    return tree


def _parent(org: Org, tree: Tree, version: str) -> Getter:
    project, step = projector(org, tree, version), tree.step
    assert step is not None

    def get(row: Row) -> Any:
        parent = step(row)
        return None if parent is None else project(parent)

    return get
