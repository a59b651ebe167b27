"""What each grain of a connection should show, beside what the CRM holds: deals, accounts, key opinion leaders, reps, snapshots.

A plan is made from these parts; a push, a rollback and a look after a crash find their fields again by them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from connector.connected import Definitions, MappedConnection
from connector.crms.base import Grain
from connector.errors import CODES, Finding
from connector.kpis.book.book import Book
from connector.kpis.cards.account import account_cards
from connector.kpis.cards.card import Card
from connector.kpis.cards.closed import closed_cards
from connector.kpis.cards.contact import contact_cards
from connector.kpis.cards.deal import Scorecard, scorecards
from connector.kpis.cards.from_inputs import troubles, unknown
from connector.kpis.cards.rep import rep_cards
from connector.kpis.cards.snapshot import snapshot_cards
from connector.kpis.compute import DEFINITION_VERSION, selected
from connector.kpis.questions.kol import leaders
from connector.mapping.names import RECORD_CURRENCY
from connector.mapping.places import Place
from connector.scorecard import fields
from connector.scorecard.fields import KEYS, MANIFEST
from connector.scorecard.fits import Shape
from connector.scorecard.manifests import MANIFESTS
from connector.scorecard.plan import Desired, Last, Observed, Target
from connector.state.store import Seen, Store

DEALS: tuple[Grain, ...] = ("opportunity", "companion")


@dataclass(frozen=True, slots=True)
class Part:
    """One grain. ``desired``, ``observed``: by id, or by key where the object is ours; ``gone``: keys whose records are to be removed;
    ``set_aside``: deals in an unmapped stage."""

    target: Target
    desired: Mapping[str, Desired]
    observed: Mapping[str, Observed]
    gone: Collection[str] = ()
    set_aside: int = 0
    population: int = 0
    findings: tuple[Finding, ...] = ()


def targets(mapped: MappedConnection, definitions: Definitions) -> dict[Grain, Target]:
    """Where the scorecard of a connection goes, grain by grain."""
    labels = {rung.key: rung.label for rung in definitions.ladder.ladder}
    definition = f"kpi {DEFINITION_VERSION} · map {definitions.version[:8]}"
    return {
        grain: Target(mapped.name, mapped.kind, place.object, _known(place), labels, definition, grain, place.key_field)
        for grain, place in mapped.mapper.places.items()
    }


def _known(place: Place) -> dict[str, str]:
    return {key: name for key, name in place.fields.items() if key in MANIFESTS[place.grain]}


def last_written(store: Store, target: Target) -> dict[tuple[str, str], Last]:
    """(record, field) → what we wrote last, as canonical text, and when."""
    known = target.by_name
    return {
        (record, name): Last(fields.text(known[name], last.value), last.at)
        for (record, name), last in store.ledger.last_written(target.connection, target.object).items()
        if name in known
    }


def parts(
    mapped: MappedConnection,
    currency: str,
    shapes: Mapping[str, Shape],
    book: Book,
    store: Store,
    definitions: Definitions,
    only: Sequence[str] = (),
) -> list[Part]:
    """Every grain that the mapping switches on. ``currency``: the CRM's own; ``shapes``: object → its fields as the connection's user sees them;
    ``only``: ids of deals, and then nothing but deals."""
    found = []
    for grain, target in targets(mapped, definitions).items():
        if grain in DEALS:
            part = _deals(mapped, target, book, store, only)
        elif only:
            continue
        else:
            part = _OTHERS[grain](target, book, store)
        several = RECORD_CURRENCY in shapes.get(target.object, Shape()).fields
        found.append(_in_currency(part, definitions.kpis.calendar.currency, None if several else currency))
    return found


def _in_currency(part: Part, ours: str, theirs: str | None) -> Part:
    """Money is reckoned in one currency; where a record would show it in another it is left as it is, and said so.

    ``theirs``: the currency of all records; None: each tells its own, and one of ours gets it from us.
    """
    target = part.target
    money = {key for key in target.field_names if target.manifest[key].kind == "money"}
    if not money:
        return part
    given = theirs is None and "currency" in target.field_names
    desired, foreign = {}, 0
    for id, wanted in part.desired.items():
        seen = part.observed.get(id)
        told = ours if given else theirs or (seen.values.get(RECORD_CURRENCY) if seen else None)
        values = {**wanted.values, "currency": ours} if given else wanted.values
        if told != ours:
            foreign += 1
            values = {key: value for key, value in values.items() if key not in money}
        desired[id] = replace(wanted, values=values)
    if not foreign:
        return replace(part, desired=desired)
    names = ", ".join(target.field_names[key] for key in sorted(money))
    said = f"{target.connection}: {foreign} of {len(desired)} {target.object} records are not, or not known to be, in {ours}: {names}"
    finding = Finding("SC-W156", said, "warning", next=CODES["SC-W156"].next_step)
    return replace(part, desired=desired, findings=(*part.findings, finding))


# -- deals -------------------------------------------------------------------------------------------------------------


def _deals(mapped: MappedConnection, target: Target, book: Book, store: Store, only: Sequence[str]) -> Part:
    """A closed deal is told for ``closed_days`` on its own record, which may reject writes; on the row of ours beside it whenever it closed, for
    that row would go on saying how the deal stood. Such rows are beside the population, which would grow with the years."""
    cards, days = scorecards(book), mapped.mapping.scorecard.population.closed_days
    beside = store.scorecard_rows(target.connection, target.object) if target.grain == "companion" else {}
    late = closed_cards(book, days)
    closed = closed_cards(book, days, list(beside)) if beside else late
    wanted = {id: desired_values(card) for id, card in cards.items() if card.stage is not None}
    population = len(wanted.keys() | late.keys())
    wanted |= {id: Desired(card.values, card.why) for id, card in closed.items()}
    desired = {id: values for id, values in wanted.items() if not only or id in only}
    aside = sum(card.stage is None for card in cards.values())
    deals = store.observed(target.connection)
    if target.grain == "opportunity":
        return Part(target, desired, {id: _observed(seen) for id, seen in deals.items() if id in desired}, set_aside=aside, population=population)
    rows = {id: _observed(seen, deals.get(id)) for id, seen in beside.items()}
    gone = rows.keys() & store.census.gone(target.connection, "opportunities")
    told = {id: Desired({"key": id, "deal": id, **card.values}, card.why, deals[id].name if id in deals else None) for id, card in desired.items()}
    return Part(target, told, rows, set() if only else gone, aside, population)


def _observed(seen: Seen, deal: Seen | None = None) -> Observed:
    """``deal``: the one that a row stands beside, whose name and account it shares."""
    named = deal or seen
    return Observed(named.name, seen.version, seen.inputs_hash, seen.observed, named.group, named.pipeline)


def desired_values(card: Scorecard) -> Desired:
    """A deal's scorecard as inside values of the manifest: lists as the labels a rep reads."""
    values: dict[str, object] = {}
    for key in KEYS:
        known = MANIFEST[key]
        if known.kind == "list":
            text = card.text[key]
            values[key] = None if text is None else [part for part in text.split(known.separator) if part]
        else:
            values[key] = getattr(card, key)
    return Desired(values, card.why)


# -- the other grains --------------------------------------------------------------------------------------------------


LOST = "where nothing is known any more, what was written counts as lost"
KEPT = "who is not on the list, or whose row is left out, keeps what was written"


def _accounts(target: Target, book: Book, store: Store) -> Part:
    return _of_records(target, account_cards(book), book, store, LOST)


def _contacts(target: Target, book: Book, store: Store) -> Part:
    """Who has been taken off the list of key opinion leaders holds our values no longer.

    That takes a list. One that cannot be read, or is not named in kpis.yaml any more, takes nobody off: unknown is not "no longer on it", and
    neither is a row that was refused. A list with nobody on it takes everybody off, which may be an export gone wrong: it stops at the guard on
    clears, until somebody approves. A mapping without contacts writes none, and leaves what is there.
    """
    part, lacks = _of_records(target, contact_cards(book), book, store, KEPT), unknown(book, "contact")
    left = {contact for contact, _ in last_written(store, target)} & part.observed.keys() - part.desired.keys()
    if leaders(book) is None and "kol" not in book.inputs.unread and left:
        said = f"{target.connection}: kpis.yaml names no kol.csv; {len(left)} contacts keep what was written to them as key opinion leaders"
        step = "name it under inputs; with nobody on it their values go, once approved"
        part = replace(part, findings=(*part.findings, Finding("SC-W096", said, "warning", next=step)))
    keys, why = tuple(target.field_names), ("no longer on the list of key opinion leaders",)
    nothing = Desired(dict.fromkeys(keys), dict.fromkeys(keys, why), unknown=() if part.desired else keys)
    off = dict.fromkeys((id for id in left if not lacks.keys(id)), nothing)
    return replace(part, desired={**part.desired, **off}, population=part.population + len(off))


def _of_records(target: Target, cards: Mapping[str, Card], book: Book, store: Store, then: str) -> Part:
    """Fields on records of the company's own."""
    lacks = unknown(book, target.grain)
    desired = {id: Desired(card.values, card.why, card.name, lacks.keys(id)) for id, card in cards.items()}
    return Part(target, desired, _rows(target, store), population=len(cards), findings=_troubles(target, book, then))


def _troubles(target: Target, book: Book, then: str) -> tuple[Finding, ...]:
    found = troubles(book, target.grain, target.field_names, then)
    return tuple(replace(finding, message=f"{target.connection}: {finding.message}") for finding in found)


def _reps(target: Target, book: Book, store: Store) -> Part:
    desired, lacks = {}, unknown(book, "rep")
    for (owner, period), card in rep_cards(book).items():
        key = f"{owner}|{period}"
        desired[key] = Desired({"key": key, "user": owner, "period": period, **card.values}, card.why, card.name, lacks.keys(owner))
    return Part(target, desired, _rows(target, store), population=len(desired), findings=_troubles(target, book, LOST))


def _snapshots(target: Target, book: Book, store: Store) -> Part:
    """One row a week of each number, by the first run of the week that can: what was said then stays said, and only edits of others are put
    right. A row that the CRM refused, or that a crash left out, is made by the next run."""
    rows, written = _rows(target, store), last_written(store, target)
    week, day = book.today.isocalendar()[:2], target.field_names["as_of"]
    said = {_number(id) for id, seen in rows.items() if _week(seen.values.get(day)) == week}
    desired = {id: _as_written(target, id, written) for id in rows}
    for card in snapshot_cards(book, selected(book.settings.kpis)):
        if _number(card.subject) not in said:
            desired[card.subject] = Desired({**card.values, "key": card.subject}, card.why, card.subject)
    return Part(target, desired, rows, population=len(desired))


def _number(key: str) -> str:
    """What a row is of, whatever its day."""
    return key.rpartition("|")[0]


def _week(day: str | None) -> tuple[int, int] | None:
    return None if day is None else date.fromisoformat(day[:10]).isocalendar()[:2]


def _as_written(target: Target, id: str, written: Mapping[tuple[str, str], Last]) -> Desired:
    values: dict[str, object] = {}
    for key, name in target.field_names.items():
        if (last := written.get((id, name))) is not None:
            values[key] = last.text == "true" if target.manifest[key].kind == "flag" else last.text
    return Desired(values, {}, id)


def _rows(target: Target, store: Store) -> dict[str, Observed]:
    return {key: _observed(seen) for key, seen in store.scorecard_rows(target.connection, target.object).items()}


_OTHERS: Mapping[Grain, Callable[[Target, Book, Store], Part]] = {"account": _accounts, "contact": _contacts, "rep": _reps, "snapshot": _snapshots}
