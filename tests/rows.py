"""What the state holds, in the form in which it is compared with a CRM: live rows only, references followed through merges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.model.records import columns
from connector.state.reading import read
from connector.state.store import Store

Row = dict[str, Any]
Rows = list[Row]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "owners": ("id", "name", "active"),
    "accounts": ("id", "name", "segment", "territory", "region"),
    "contacts": ("id", "account", "title", "persona", "kol"),
    "opportunities": (
        "id", "name", "account", "owner", "native_pipeline", "raw_stage", "deal_type", "amount", "currency", "probability", "created_at",
        "closes_on", "lead_source", "product", "has_next_step", "proposal_sent_on", "loi_signed_on", "secq_received_on", "secq_returned_on",
        "legal_sent_on", "legal_signed_on", "pilot_started_on", "pilot_ended_on", "standard_terms", "baa", "observed",
    ),
    "changes": ("opportunity", "field", "value", "at", "by"),
    "gates": ("opportunity", "gate", "opened_on", "decided_on", "result", "required"),
    "contact_roles": ("opportunity", "contact", "id", "role", "primary"),
    "activities": ("id", "kind", "topic", "direction", "owner", "contact", "account", "on", "due_on", "completed_on"),
    "activity_deals": ("id", "opportunity"),
}  # fmt: skip
"""Stream → the columns compared. Left out are our own marks: version, inputs_hash, modified_at, first_seen."""
OWN = ("changes", "gates", "contact_roles")
"""What a merged deal does not hand on: the survivor has its own."""
UNITED = {"contact_roles": ("opportunity", "id"), "activities": COLUMNS["activities"], "activity_deals": COLUMNS["activity_deals"]}
"""What becomes one by a merge, of deals or of contacts: the key that it is then told by."""


def held(store: Store, connection: str, stream: str) -> Rows:
    """Live rows of the state. Rows of dead deals, and references to dead contacts and accounts, are left out as in a book."""
    live, alias = {}, {}
    for kind in ("opportunities", "contacts", "accounts"):
        rows = _all(store, connection, kind)
        live[kind] = {row["id"] for row in rows if not row["deleted"] and row["merged_into"] is None}
        alias[kind] = {row["id"]: row["merged_into"] for row in rows if row["merged_into"] is not None}
    found = [row for row in _all(store, connection, "activities" if stream == "activity_deals" else stream) if not row.get("deleted")]
    kept: Rows = []
    for whole in found:
        row = {name: whole[name] for name in COLUMNS[stream]}
        if stream in OWN and row["opportunity"] not in live["opportunities"]:
            continue
        for name, kind in (("opportunity", "opportunities"), ("contact", "contacts"), ("account", "accounts")):
            if row.get(name) is not None and not (stream == "accounts" and name == "account"):
                target = followed(row[name], alias[kind])
                row[name] = target if target in live[kind] else None
        if "opportunity" in row and row["opportunity"] is None:
            continue
        if stream == "contact_roles" and row["contact"] is None:
            continue
        if stream == "contact_roles" and whole["id"] == whole["contact"]:
            row["id"] = row["contact"]  # an association has no id of its own: it follows its contact
        kept.append(row)
    if stream in UNITED:  # an activity is a row for each of its deals; of two rows the one read last comes last
        key = UNITED[stream]
        kept = list({tuple(row[name] for name in key): row for row in kept}.values())
    return ordered(kept)


def tombstones(store: Store, connection: str, stream: str) -> dict[str, str | None]:
    return {row["id"]: row.get("merged_into") for row in _all(store, connection, stream) if row["deleted"]}


def followed(id: str, alias: Mapping[str, str]) -> str:
    seen = {id}
    while id in alias and alias[id] not in seen:
        id = alias[id]
        seen.add(id)
    return id


def ordered(rows: Rows) -> Rows:
    return sorted(rows, key=repr)


def _all(store: Store, connection: str, table: str) -> Rows:
    with store.database.read() as db:
        return read(db, table, connection, columns(table), ("rowid",))
