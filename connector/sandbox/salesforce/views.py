"""Field-level security: each user's own view of the schema. What is hidden is not there at all; what is read-only cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.sandbox.salesforce.schema import FieldDef, ObjectDef

EVERYTHING = ""
"""In place of a field's name: the whole object."""
SCORECARD = "KPI_"


class Views:
    """Who sees what. Users that nothing was said about see all; scorecard fields are read-only but for ``writers``."""

    def __init__(self) -> None:
        self.writers: set[str] = set()
        self._hidden: dict[str, set[tuple[str, str]]] = {}
        self._closed: dict[str, set[tuple[str, str]]] = {}
        self._made: dict[tuple[str, str], tuple[ObjectDef, ObjectDef | None]] = {}

    def hide(self, user: str, name: str, field: str = EVERYTHING) -> None:
        """Take a field, or an object, out of a user's sight."""
        self._hidden.setdefault(user, set()).add((name, field))
        self._made.clear()

    def show(self, user: str, name: str, field: str = EVERYTHING) -> None:
        """Back into sight, and writable again."""
        for rules in (self._hidden, self._closed):
            rules.get(user, set()).discard((name, field))
        self._made.clear()

    def close(self, user: str, name: str, field: str) -> None:
        """A user may read a field but not write it."""
        self._closed.setdefault(user, set()).add((name, field))
        self._made.clear()

    def of(self, definition: ObjectDef, user: str) -> ObjectDef | None:
        """The object as a user sees it, None where it is hidden. A user of ``""`` sees all."""
        if not user:
            return definition
        known = self._made.get((user, definition.name))
        if known is not None and known[0] is definition:
            return known[1]
        made = self._view(definition, user)
        self._made[user, definition.name] = (definition, made)
        return made

    def _view(self, definition: ObjectDef, user: str) -> ObjectDef | None:
        hidden, closed, name = self._hidden.get(user, set()), self._closed.get(user, set()), definition.name
        if (name, EVERYTHING) in hidden:
            return None

        def read_only(field: FieldDef) -> bool:
            return (name, field.name) in closed or (field.name.startswith(SCORECARD) and user not in self.writers)

        changed = {f.name: replace(f, createable=False, updateable=False) for f in definition.fields.values() if f.updateable and read_only(f)}
        gone = {field for kind, field in hidden if kind == name}
        if not changed and not gone:
            return definition
        return with_fields(definition, lambda f: None if f.name in gone else changed.get(f.name, f))


def with_fields(definition: ObjectDef, change: Callable[[FieldDef], FieldDef | None]) -> ObjectDef:
    """The object with every field put through ``change``; None takes the field away."""
    fields = [new for old in definition.fields.values() if (new := change(old)) is not None]
    return replace(
        definition,
        fields={f.name: f for f in fields},
        lowered={f.name.lower(): f for f in fields},
        relationships={f.relationship.lower(): f for f in fields if f.relationship},
    )
