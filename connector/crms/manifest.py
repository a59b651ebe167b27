"""The last gate before a write: only fields that were provisioned as scorecard fields ever leave the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.crms.base import Update
from connector.errors import OutsideManifest

PREFIX = "kpi_"
Manifest = Mapping[str, frozenset[str]]
"""Object → names of the fields that may be written on it."""


def managed(manifest: Manifest) -> Manifest:
    """The manifest itself, once every field in it is known to be ours: it carries the managed prefix, or its object does.

    Raises OutsideManifest for any other name, so that a manifest can never open a field of the company's own.
    """
    for object_, fields in manifest.items():
        if object_.lower().startswith(PREFIX):
            continue
        for field in fields:
            if not field.lower().startswith(PREFIX):
                raise OutsideManifest(f"{object_}.{field} does not carry the managed prefix {PREFIX}")
    return dict(manifest)


def refuse_outside(manifest: Manifest, updates: Sequence[Update]) -> None:
    """Raises OutsideManifest if one update names one field that is not in the manifest, or makes or removes a record of an object that is not
    ours. Call it before the first byte is sent."""
    for update in updates:
        if update.action != "update" and not (update.object.lower().startswith(PREFIX) and update.object in manifest):
            raise OutsideManifest(f"{update.object}: a record of it is never {'made' if update.action == 'create' else 'removed'}")
        outside = set(update.values) - manifest.get(update.object, frozenset())
        if outside:
            raise OutsideManifest(f"{update.object}: {', '.join(sorted(outside))}")
