"""connector.toml as its author wrote it: taking something out without touching another line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from connector.errors import SettingsError
from connector.settings import FILE

TABLE = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")


def without_connection(root: Path, name: str) -> None:
    """Take a connection and its schedule out of connector.toml; every other line stays as it is. Raises SettingsError where the file spells
    them in a way that only its author should edit.
    """
    path = root / FILE
    text = path.read_text(encoding="utf-8")
    wanted = tomllib.loads(text)
    for section in ("connections", "schedules"):
        wanted.get(section, {}).pop(name, None)
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if (head := TABLE.match(line)) is not None:
            keys = [part.strip().strip("\"'") for part in head[1].split(".")]
            inside = len(keys) > 1 and keys[0] in ("connections", "schedules") and keys[1] == name
        if not inside:
            kept.append(line)
    edited = "".join(kept)
    try:
        found = tomllib.loads(edited)
    except tomllib.TOMLDecodeError:
        found = None
    if found is None or _sections(found) != _sections(wanted):
        raise SettingsError(f"{FILE} names {name} in a way that cannot be taken out by itself", next_step=f"delete its tables from {path}")
    mode = path.stat().st_mode
    new = path.with_name(f".{FILE}.new")
    new.write_text(edited, encoding="utf-8")
    new.chmod(mode)
    new.replace(path)


def _sections(raw: Mapping[str, object]) -> dict[str, object]:
    """Without tables that are empty."""
    return {key: value for key, value in raw.items() if value != {}}
