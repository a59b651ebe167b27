"""The audit in a file of JSON lines, for whoever collects logs: written whole, or gone on with, without a gap and without a row twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from connector.errors import InputError, StateError
from connector.files import write_private
from connector.state.audit import AuditBook, Entry


def resumable(path: Path, audit: AuditBook) -> int:
    """The number of the last row in a file, 0 where there is none. A last line that a crash cut off is dropped from it.

    Raises InputError for a file that is no such export, StateError SC-E185 where its last row is not that of this audit.
    """
    if not path.exists():
        return 0
    try:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(path, len(whole))
    except OSError as error:
        raise InputError(f"{path} cannot be gone on with: {error.strerror}") from error
    if not whole:
        return 0
    try:
        last = orjson.loads(whole[:-1].rpartition(b"\n")[2])
        seq, hash_ = int(last["seq"]), str(last["hash"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no export of the audit", next_step="choose another file with --out") from error
    if audit.hash_of(seq) != hash_:
        raise StateError(f"row {seq} of the audit is not the last row of {path}: one of the two was changed", code="SC-E185")
    return seq


def save(path: Path, rows: Sequence[Entry], *, append: bool) -> None:
    """One line a row, on the disk when it returns; 0600. Raises InputError where the file cannot be written."""
    lines = b"".join(orjson.dumps(row.as_dict()) + b"\n" for row in rows)
    try:
        if not append or not path.exists():
            write_private(path, lines)
            return
        with path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
