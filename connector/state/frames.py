"""From the state to the sections of a book: the schema of ``inputs.crm`` in kpis/golden.md section 2, with today's maps applied.

Values are typed: aware UTC instants, dates, Decimal. Deleted deals and their children are left out. What names a merged record counts
for the survivor; what a merged deal had of its own (history, gates, contact roles) went with it: the survivor's is read with the survivor.
Stage and pipeline are stored raw and mapped here, each with the pipeline of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, or_, select

from connector.state import history
from connector.state.observations import Entry, outcome
from connector.state.reading import Row, read
from connector.state.store import Store
from connector.state.survivors import Deals, Maps, aliases, alive
from connector.state.tables.columns import table
from connector.state.tables.control import Observations

OBSERVATIONS = table(Observations)
Log = Mapping[tuple[str, str], list[Entry]]

RENAMED: Mapping[str, str] = {
    "secq_received_on": "security_questionnaire_received_on",
    "secq_returned_on": "security_questionnaire_completed_on",
    "legal_sent_on": "contract_sent_on",
    "legal_signed_on": "contract_signed_on",
}
"""Stored column → column of a book, where they differ."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "owners": ("id", "name", "active", "key", "deleted"),
    "accounts": ("id", "name", "segment", "territory", "region", "reference", "parent", "key", "merged_into", "deleted"),
    "contacts": ("id", "account", "title", "persona", "stance", "kol", "key", "merged_into", "deleted"),
    "opportunities": (
        "id", "name", "account", "owner", "native_pipeline", "raw_stage", "deal_type", "amount", "arr", "capital_amount",
        "projected_pull_through", "currency", "probability", "created_at", "closes_on", "lead_source", "product", "has_next_step",
        "primary_contact", "lost_reason", "contract_years", "segment", "territory", "standard_terms", "baa", "proposal_sent_on",
        "loi_signed_on", "secq_received_on", "secq_returned_on", "legal_sent_on", "legal_signed_on", "pilot_started_on",
        "pilot_ended_on", "go_live_on", "first_case_on", "key", "dimensions", "merged_into", "deleted",
    ),
    "changes": ("id", "opportunity", "field", "value", "at", "by"),
    "gates": ("opportunity", "gate", "opened_on", "decided_on", "result", "required", "dated_by", "status"),
    "contact_roles": ("opportunity", "id", "contact", "role", "persona", "stance", "primary", "added_on", "first_seen"),
    "activities": (
        "id", "opportunity", "kind", "direction", "topic", "at", "on", "owner", "contact", "account", "outcome", "created_by", "due_on",
        "completed_on", "participants", "twin", "deleted",
    ),
    "leads": ("id", "lead_source", "mql_on", "sql_on", "sqo_on", "opportunity", "merged_into", "deleted"),
    "tickets": ("id", "account", "severity", "opened_on", "merged_into", "deleted"),
    "line_items": ("id", "opportunity", "product", "amount", "deleted"),
}  # fmt: skip
"""What is read of each table."""
ORDERS: Mapping[str, tuple[str, ...]] = {
    "changes": history.ORDER,
    "gates": ("opportunity", "gate"),
    "contact_roles": ("opportunity", "id"),
    "activities": ("id", "opportunity"),
}


def sections(
    store: Store,
    connection: str,
    *,
    day: Callable[[datetime], date],
    stage_of: Callable[[str | None, str | None], str | None],
    pipeline_of: Callable[[str | None], str | None],
    ignored: Callable[[str | None], bool] = lambda native: False,
) -> dict[str, list[Row]]:
    """Section → rows: accounts, owners, opportunities, stage_history, closes_on_history, owner_history, amount_history, splits, gates,
    contacts, opportunity_contacts, activities, leads, tickets (splits come from files: empty here).

    ``day`` is ``Calendar.day``, the others as in :class:`connector.state.survivors.Maps`. One consistent view of the database.
    """
    maps = Maps(lru_cache(maxsize=65536)(day), stage_of, pipeline_of, ignored)
    with store.database.read() as db:
        stored = {name: read(db, name, connection, columns, ORDERS.get(name, ("id",))) for name, columns in COLUMNS.items()}
        log = _results(db, connection)
    deals = Deals.of_rows(stored["opportunities"], ignored)
    accounts, contacts = aliases(stored["accounts"]), aliases(stored["contacts"])
    moves = history.Moves(stored["changes"], deals, maps)
    products = _products(stored["line_items"], deals)
    return {
        "accounts": [{**row, "parent": accounts.get(row["parent"], row["parent"])} for row in _living(stored["accounts"])],
        "owners": [_owner(row) for row in stored["owners"]],
        "opportunities": [_deal(row, maps, accounts, moves, primary, products) for row, primary in _with_primary(deals, stored["contact_roles"])],
        "stage_history": moves.stages(),
        "closes_on_history": moves.closes_on(),
        "owner_history": moves.owners(),
        "amount_history": moves.amounts(),
        "splits": [],
        "gates": [gate for row in stored["gates"] if row["opportunity"] in deals.rows for gate in _attempts(row, log, moves, maps)],
        "contacts": [{**row, "role": None, "account": accounts.get(row["account"], row["account"])} for row in _living(stored["contacts"])],
        "opportunity_contacts": _roles(stored["contact_roles"], deals, contacts, maps),
        "activities": _activities(stored["activities"], deals, accounts, contacts, maps),
        "leads": [{**row, "opportunity": deals.of(row["opportunity"])} for row in _living(stored["leads"])],
        "tickets": [{**row, "account": accounts.get(row["account"], row["account"])} for row in _living(stored["tickets"])],
    }


def _owner(row: Row) -> Row:
    return {"id": row["id"], "name": row["name"], "active": row["active"] and not row["deleted"], "key": row["key"]}


def _living(rows: Iterable[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in ("merged_into", "deleted")} for row in rows if alive(row)]


# -- deals -------------------------------------------------------------------------------------------------------


def _with_primary(deals: Deals, roles: Iterable[Row]) -> Iterator[tuple[Row, bool | None]]:
    """Each live deal with what its contact roles say of a primary contact, None where no role says anything."""
    said: dict[str, bool] = {}
    for role in roles:
        if role["primary"] is not None:
            said[role["opportunity"]] = said.get(role["opportunity"], False) or role["primary"]
    for id, row in deals.rows.items():
        yield row, said.get(id)


def _products(rows: Iterable[Row], deals: Deals) -> dict[str, str]:
    """Deal → the product of its largest line item, of equals the first by id."""
    best: dict[str, tuple[Decimal, str]] = {}
    for row in sorted((row for row in rows if not row["deleted"] and row["product"] is not None), key=lambda row: str(row["id"])):
        deal, amount = deals.of(row["opportunity"]), row["amount"] or Decimal(0)
        if deal is not None and (deal not in best or amount > best[deal][0]):
            best[deal] = (amount, row["product"])
    return {deal: product for deal, (_, product) in best.items()}


def _deal(row: Row, maps: Maps, accounts: Mapping[str, str], moves: history.Moves, primary: bool | None, products: Mapping[str, str]) -> Row:
    deal = {RENAMED.get(name, name): value for name, value in row.items()}
    for name in ("native_pipeline", "merged_into", "deleted"):
        del deal[name]
    deal["account"] = accounts.get(row["account"], row["account"])
    deal["pipeline"] = maps.pipeline_of(row["native_pipeline"])
    if deal["product"] is None:
        deal["product"] = products.get(row["id"])
    deal["primary_contact"] = primary if row["primary_contact"] is None else row["primary_contact"]
    if not moves.has_stages(row["id"]):
        deal["stage"] = maps.stage_of(row["native_pipeline"], row["raw_stage"])
    return deal


# -- gates -------------------------------------------------------------------------------------------------------


def _results(db: Connection, connection: str) -> Log:
    """(deal, field) → log entries of results and earlier attempts, oldest first."""
    wanted = or_(OBSERVATIONS.c.field.endswith(".result"), OBSERVATIONS.c.field.endswith(".attempt"))
    query = select(OBSERVATIONS).where(OBSERVATIONS.c.connection == connection, wanted).order_by(OBSERVATIONS.c.first_seen)
    found: dict[tuple[str, str], list[Entry]] = {}
    for row in db.execute(query).all():
        found.setdefault((row.opportunity, row.field), []).append(Entry(row.value, row.first_seen, row.source))
    return found


def _attempts(row: Row, log: Log, moves: history.Moves, maps: Maps) -> Iterator[Row]:
    """The earlier attempts that our log holds of a gate, then the present one, if its fields say anything."""
    deal, gate = row["opportunity"], row["gate"]
    present = _present(row, log.get((deal, f"{gate}.result"), []), moves, maps)
    for entry in log.get((deal, f"{gate}.attempt"), []):
        earlier = _earlier(row, entry, moves, maps)
        if any(earlier[name] != present[name] for name in ("opened_on", "result")):
            yield {"opportunity": deal, "gate": gate, **earlier, "required": row["required"]}
    if row["required"] is not None or any(present[name] is not None for name in ("opened_on", "decided_on", "result")):
        yield {"opportunity": deal, "gate": gate, **present, "required": row["required"]}


def _present(row: Row, entries: list[Entry], moves: history.Moves, maps: Maps) -> Row:
    """The attempt as the deal's fields have it, dated by the CRM's history of them or by our log where they hold no date."""
    result = outcome(row["result"], row["status"])
    decided, quality = row["decided_on"], "date_field"
    if result is not None and (decided is None or row["dated_by"] == "observation"):
        decided, quality = _dated(moves.decided(row["opportunity"], row["gate"], result), _came_about(entries, result), decided, maps)
    elif row["opened_on"] is None and decided is None:
        quality = "none"
    elif result is None and row["dated_by"] == "observation":
        quality = "observed"  # its decision can only be seen to come about
    return {"opened_on": row["opened_on"], "decided_on": decided, "result": result, "quality": quality}


def _dated(told: datetime | None, seen: datetime | None, otherwise: date | None, maps: Maps) -> tuple[date | None, str]:
    """(day, quality) of a decision: as the CRM's history tells it, else as we saw it."""
    if told is not None:
        return maps.day(told), "system"
    return (otherwise, "none") if seen is None else (maps.day(seen), "observed")


def _came_about(entries: list[Entry], result: str) -> datetime | None:
    """The instant at which we saw this result come about; None where it was there when we first looked."""
    if not entries or entries[-1].value != result or entries[-1].source != "sync":
        return None
    return entries[-1].first_seen


def _earlier(row: Row, entry: Entry, moves: history.Moves, maps: Maps) -> Row:
    """An earlier attempt, from its log entry."""
    kept = orjson.loads(entry.value or "{}")
    decided, quality = history.day(kept["decided_on"]), "date_field"
    if decided is None or kept["dated_by"] == "observation":
        told = moves.decided(row["opportunity"], row["gate"], kept["result"], ended_by=entry.first_seen)
        seen = None if kept["seen_at"] is None else datetime.fromisoformat(kept["seen_at"])
        decided, quality = _dated(told, seen, decided, maps)
    return {"opened_on": history.day(kept["opened_on"]), "decided_on": decided, "result": kept["result"], "quality": quality}


# -- people and activities ---------------------------------------------------------------------------------------


def _roles(rows: Iterable[Row], deals: Deals, contacts: Mapping[str, str], maps: Maps) -> list[Row]:
    """One row per deal, contact and persona: several roles, as a merge may make them of two contacts, count each for its persona.

    What lookups say comes before what roles say. A role without a persona tells since when the contact is there, and its stance.
    The set of a merged deal is nobody's any more: the survivor has its own, which somebody may have left since.
    """
    parts: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["opportunity"] in deals.rows:
            added, quality = _added(row, maps)
            on_deal = row["opportunity"], contacts.get(row["contact"], row["contact"])
            parts.setdefault(on_deal, []).append({**row, "added_on": added, "quality": quality})
    found: list[Row] = []
    for (deal, contact), mine in parts.items():
        mine.sort(key=lambda row: (row["added_on"] or date.min, row["id"]))
        told = [row for row in mine if row["persona"] is not None]
        lookups = [row for row in told if row["role"] == row["id"]]
        for persona in dict.fromkeys(row["persona"] for row in lookups or told) or (None,):
            same = [row for row in mine if row["persona"] in (persona, None)]
            stance = next((row["stance"] for row in same if row["stance"] is not None), None)
            first = same[0]
            found.append({
                "opportunity": deal, "contact": contact, "added_on": first["added_on"], "persona": persona, "stance": stance,
                "quality": first["quality"],
            })  # fmt: skip
    return found


def _added(row: Row, maps: Maps) -> tuple[date | None, str]:
    """Since when a contact is on a deal, and how that is known; None: from the beginning, for all that is known."""
    if row["added_on"] is not None:
        return row["added_on"], "system"
    return (None, "none") if row["first_seen"] is None else (maps.day(row["first_seen"]), "observed")


def _activities(rows: Iterable[Row], deals: Deals, accounts: Mapping[str, str], contacts: Mapping[str, str], maps: Maps) -> list[Row]:
    found: dict[tuple[str, Any], Row] = {}
    known = list(rows)
    told_elsewhere = {row["twin"] for row in known if row["twin"] is not None and not row["deleted"]}
    for row in known:
        if row["id"] in told_elsewhere:
            continue
        del row["twin"]
        deal = deals.of(row["opportunity"] or None)
        if row.pop("deleted") or (row["opportunity"] and deal is None):
            continue
        row["opportunity"] = deal
        if row["on"] is None and row["at"] is not None:
            row["on"] = maps.day(row["at"])
        row["account"] = accounts.get(row["account"], row["account"])
        row["contact"] = contacts.get(row["contact"], row["contact"])
        row["participants"] = [contacts.get(contact, contact) for contact in row["participants"]]
        found.setdefault((row["id"], deal), row)
    return list(found.values())
