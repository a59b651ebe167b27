"""Accounts below accounts: who adds up to whom (scorecard-fields.md section 4, *rolled up*)."""

from __future__ import annotations

from collections.abc import Mapping

from connector.kpis.book.book import Book, derived


def ringed(parents: Mapping[str, str]) -> frozenset[str]:
    """Accounts that are above themselves.

    >>> sorted(ringed({"a": "b", "b": "a", "c": "a", "d": "d"}))
    ['a', 'b', 'd']
    """
    done: set[str] = set()
    found: set[str] = set()
    for start in parents:
        trail: dict[str, int] = {}
        account: str | None = start
        while account is not None and account not in done and account not in trail:
            trail[account] = len(trail)
            account = parents.get(account)
        if account in trail:
            found.update(member for member, place in trail.items() if place >= trail[account])
        done.update(trail)
    return frozenset(found)


@derived
def rings(book: Book) -> frozenset[str]:
    """Accounts of the book that are above themselves."""
    return ringed(_named(book))


@derived
def _named(book: Book) -> dict[str, str]:
    """Account → the survivor its parent is, of accounts and parents that the book knows."""
    known = set(book.accounts["id"])
    pairs = book.accounts.select("id", "parent").drop_nulls("parent").iter_rows()
    parents = {id: book.survivors.get(parent, parent) for id, parent in pairs}
    return {id: parent for id, parent in parents.items() if parent in known}


@derived
def members(book: Book) -> dict[str, tuple[str, ...]]:
    """Account of the book → itself and every account below it, sorted. Nobody is above an account of a ring: its own link up does not count."""
    parents = {id: parent for id, parent in _named(book).items() if id not in rings(book)}
    below: dict[str, set[str]] = {id: {id} for id in book.accounts["id"]}
    for id, parent in parents.items():
        above: str | None = parent
        while above is not None:
            below[above].add(id)
            above = parents.get(above)
    return {id: tuple(sorted(mine)) for id, mine in below.items()}
