"""Keys of inputs that name records of the CRM: every spelling of an id, merged accounts, and keys that name nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from connector.errors import Finding
from connector.kpis.book import Book, derived


def key_index(ids: Iterable[str]) -> dict[str, str]:
    """Every spelling of a record's id → the id: with its connection and without, Salesforce's 18 characters and its 15."""
    index: dict[str, str] = {}
    for id in ids:
        bare = id.rpartition(":")[2]
        for spelling in (id, bare, bare[:15] if re.fullmatch(r"[A-Za-z0-9]{18}", bare) else bare):
            index.setdefault(spelling, id)
    return index


@derived
def owner_index(book: Book) -> dict[str, str]:
    """Spelling of an owner key → owner id."""
    return key_index(book.owners["id"])


@derived
def account_index(book: Book) -> dict[str, str]:
    """Spelling of an account key → id of the surviving account."""
    index = key_index([*book.accounts["id"], *book.survivors])
    return {spelling: book.survivors.get(id, id) for spelling, id in index.items()}


@derived
def contact_index(book: Book) -> dict[str, str]:
    """Spelling of a contact key → contact id."""
    return key_index(book.contacts["id"])


def found(index: dict[str, str], key: str) -> str:
    """The id of the record a key names; the key itself where the CRM holds no such record (it is kept)."""
    bare = key.rpartition(":")[2]
    return index.get(key) or index.get(bare) or index.get(bare[:15] if len(bare) == 18 else bare) or key


def unmatched(book: Book) -> list[Finding]:
    """SC-W094 per input and key column: keys that name no record of the CRM, counted; their rows are kept."""
    indexes = {
        "owner_key": owner_index(book),
        "account_key": account_index(book),
        "contact_key": contact_index(book),
        "opportunity_key": _deal_index(book),
    }
    findings = []
    for name, rows in book.inputs.tables.items():
        for column, index in indexes.items():
            keys = {row[column] for row in rows if row.get(column) is not None}
            strange = sorted(key for key in keys if found(index, key) not in index)
            if strange:
                shown = ", ".join(strange[:3]) + (f" and {len(strange) - 3} more" if len(strange) > 3 else "")
                findings.append(
                    Finding(
                        "SC-W094", f"{len(strange)} of {len(keys)} keys name no record: {shown}", "warning", file=f"inputs/{name}.csv", path=column
                    )
                )
    return findings


@derived
def _deal_index(book: Book) -> dict[str, str]:
    return key_index(book.deals["id"])
