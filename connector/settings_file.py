"""connector.toml as its author wrote it: taking something out without touching the rest."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomlkit

from connector.errors import SettingsError
from connector.settings import FILE

SECTIONS = ("connections", "schedules")
"""Tables that hold one table a connection."""


def without_connection(root: Path, name: str) -> None:
    """Take a connection and its schedule out of connector.toml, with the comments that TOML counts to them: those up to the next table.

    All else stays as it is, to the letter. Raises SettingsError where the file spells them in a way that only its author should edit.
    """
    path = root / FILE
    text = path.read_text(encoding="utf-8")
    document = tomlkit.parse(text)
    _take(document, name)
    edited, wanted = tomlkit.dumps(document), tomllib.loads(text)
    _take(wanted, name)
    if tomllib.loads(edited) != wanted:
        raise SettingsError(f"{FILE} names {name} in a way that cannot be taken out by itself", next_step=f"delete its tables from {path}")
    mode = path.stat().st_mode
    new = path.with_name(f".{FILE}.new")
    new.write_text(edited, encoding="utf-8")
    new.chmod(mode)
    new.replace(path)


def _take(document: dict[str, Any], name: str) -> None:
    for section in SECTIONS:
        if name in document.get(section, {}):
            del document[section][name]
            if not document[section]:
                del document[section]
