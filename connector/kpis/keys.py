"""Keys of inputs that name records of the CRM: every spelling of an id, merged accounts."""

from __future__ import annotations

import re
from collections.abc import Iterable

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


@derived
def deal_index(book: Book) -> dict[str, str]:
    """Spelling of a deal key → deal id."""
    return key_index(book.deals["id"])
