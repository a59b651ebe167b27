"""The manifest of every grain: the deal's, and those made from the rows of accounts, contacts and of objects that are ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.crms.base import Grain
from connector.crms.provisioning import SpecType
from connector.model import scorecard_fields
from connector.model.scorecard_fields import Row
from connector.scorecard.fields import MANIFEST, Kind, ScorecardField
from connector.scorecard.rows import Shape

KINDS: Mapping[SpecType, Kind] = {
    "text": "text", "number": "number", "percent": "percent", "money": "money", "date": "date", "datetime": "datetime", "picklist": "choice",
    "boolean": "flag", "lookup": "text",
}  # fmt: skip
LISTS: Mapping[str, str] = {"health_reason": "; ", "expansion_triggers": ", "}
"""Key → what stands between its items."""
LOSSES = frozenset({
    "arr", "nrr_12m", "health_tier", "adoption", "go_live_days", "open_pipeline", "active_kols", "first_contact_on",
})  # fmt: skip
"""Keys of accounts whose empty value answers nothing: once known they do not vanish by themselves."""
WEEKLY = frozenset({"kol_score"})
LOOKUP_LENGTH = 18


def _fields(known: Sequence[Row]) -> dict[str, ScorecardField]:
    found = {}
    for row in known:
        shape = Shape.of(row.shape)
        kind: Kind = "list" if row.key in LISTS else KINDS[shape.type]
        found[row.key] = ScorecardField(
            row.key, row.label, row.salesforce, row.hubspot, kind, "weekly" if row.key in WEEKLY else "change", shape.scale,
            shape.length or LOOKUP_LENGTH, LISTS.get(row.key, ", "), row.key not in LOSSES,
            labels=dict(scorecard_fields.TIERS) if kind == "choice" else None,
        )  # fmt: skip
    return found


CURRENCY = ScorecardField("currency", "Currency", "CurrencyIsoCode", "", "text", "change", length=3)
"""Of a row of ours in an org with several currencies: the CRM's own field, there with every object."""

MANIFESTS: Mapping[Grain, Mapping[str, ScorecardField]] = {
    "opportunity": MANIFEST,
    "companion": {**_fields(scorecard_fields.COMPANION), **MANIFEST},
    "account": _fields(scorecard_fields.ACCOUNT),
    "contact": _fields(scorecard_fields.CONTACT),
    "rep": {**_fields(scorecard_fields.REP), "currency": CURRENCY},
    "snapshot": _fields(scorecard_fields.SNAPSHOT),
}
WORDS: Mapping[Grain, str] = {
    "opportunity": "open deal", "companion": "open deal", "account": "account", "contact": "key opinion leader", "rep": "rep scorecard",
    "snapshot": "snapshot",
}  # fmt: skip
"""Grain → what one of its population is called."""
