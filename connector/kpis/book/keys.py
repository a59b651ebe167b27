"""Keys of inputs that name records of the CRM: every spelling of an id, merged accounts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from connector.kpis.book.book import Book, derived


def key_index(ids: Iterable[str], keyed: Iterable[tuple[str, str | None]] = ()) -> dict[str, str]:
    """Every spelling of a record's id → the id: with its connection and without, Salesforce's 18 characters and its 15.

    ``keyed``: (id, its key such as an e-mail address or the ERP's number), known in small letters; a key of two records names none.

    >>> key_index(["7", "8", "9"], [("7", "Ann@x.com"), ("8", "b"), ("9", "b")])
    {'ann@x.com': '7', '7': '7', '8': '8', '9': '9'}
    """
    index: dict[str, str] = {}
    told = [(key.casefold(), id) for id, key in keyed if key]
    counts = Counter(key for key, _ in told)
    index.update({key: id for key, id in told if counts[key] == 1})
    for id in ids:
        bare = id.rpartition(":")[2]
        for spelling in (id, bare, bare[:15] if re.fullmatch(r"[A-Za-z0-9]{18}", bare) else bare):
            index.setdefault(spelling, id)
    return index


@derived
def owner_index(book: Book) -> dict[str, str]:
    """Spelling of an owner key → owner id."""
    return key_index(book.owners["id"], book.owners.select("id", "key").iter_rows())


@derived
def account_index(book: Book) -> dict[str, str]:
    """Spelling of an account key → id of the surviving account."""
    index = key_index([*book.accounts["id"], *book.survivors], book.accounts.select("id", "key").iter_rows())
    return {spelling: book.survivors.get(id, id) for spelling, id in index.items()}


@derived
def contact_index(book: Book) -> dict[str, str]:
    """Spelling of a contact key → contact id."""
    return key_index(book.contacts["id"], book.contacts.select("id", "key").iter_rows())


def found(index: dict[str, str], key: str) -> str:
    """The id of the record a key names; the key itself where the CRM holds no such record (it is kept)."""
    bare = key.rpartition(":")[2]
    return index.get(key) or index.get(bare) or index.get(bare[:15] if len(bare) == 18 else bare) or index.get(bare.casefold()) or key


@derived
def deal_index(book: Book) -> dict[str, str]:
    """Spelling of a deal key → deal id."""
    return key_index(book.deals["id"], book.deals.select("id", "key").iter_rows())
