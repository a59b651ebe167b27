"""Field-level security: each user's own view of the schema. What is hidden is not there at all; what is read-only cannot be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.sandbox.salesforce.grants import Grants
from connector.sandbox.salesforce.permission_objects import CREATE, DELETE, EDIT, READ
from connector.sandbox.salesforce.schema import FieldDef, ObjectDef

EVERYTHING = ""
"""In place of a field's name: the whole object."""


class Views:
    """Who sees what. Users that nothing was said about see all but what is guarded: that only their permission sets show.

    ``granted`` reads the grants of a user; :meth:`forget` after a change of those.
    """

    def __init__(self, granted: Callable[[str], Grants]) -> None:
        self._granted = granted
        self._grants: dict[str, Grants] = {}
        self._hidden: dict[str, set[tuple[str, str]]] = {}
        self._closed: dict[str, set[tuple[str, str]]] = {}
        self._made: dict[tuple[str, str], tuple[ObjectDef, ObjectDef | None]] = {}

    def grants(self, user: str) -> Grants:
        """What a user's permission sets allow."""
        if user not in self._grants:
            self._grants[user] = self._granted(user)
        return self._grants[user]

    def forget(self) -> None:
        """Permission sets or their assignments have changed."""
        self._grants.clear()
        self._made.clear()

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
        grants = self.grants(user)
        if (name, EVERYTHING) in hidden or (definition.guarded and READ not in grants.rights(name)):
            return None

        def shown(field: FieldDef) -> FieldDef | None:
            key = f"{name}.{field.name}"
            if (name, field.name) in hidden or (field.guarded and key not in grants.read):
                return None
            locked = (name, field.name) in closed or (field.guarded and key not in grants.edit)
            return replace(field, createable=False, updateable=False) if locked and field.updateable else field

        made = with_fields(definition, shown)
        same = len(made.fields) == len(definition.fields) and all(made.fields[key] is field for key, field in definition.fields.items())
        return _limited(definition if same else made, grants)


def _limited(definition: ObjectDef, grants: Grants) -> ObjectDef:
    """The object with what may be done with its records; of the org's own objects anything may."""
    if not definition.guarded:
        return definition
    rights = grants.rights(definition.name)
    return replace(
        definition, createable=definition.createable and CREATE in rights, updateable=definition.updateable and EDIT in rights,
        deletable=definition.deletable and DELETE in rights,
    )  # fmt: skip


def with_fields(definition: ObjectDef, change: Callable[[FieldDef], FieldDef | None]) -> ObjectDef:
    """The object with every field put through ``change``; None takes the field away."""
    fields = [new for old in definition.fields.values() if (new := change(old)) is not None]
    return replace(
        definition,
        fields={f.name: f for f in fields},
        lowered={f.name.lower(): f for f in fields},
        relationships={f.relationship.lower(): f for f in fields if f.relationship},
    )
