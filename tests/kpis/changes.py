"""What may be done to a company without its numbers changing: another order of rows, deals that do not count, another currency."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connector.kpis.definition import REGISTRY
from tests.kpis.strategies import NOW, Given


def shuffled(given: Given, seed: int) -> Given:
    """The same rows in another order."""
    other, chance = copy.deepcopy(given), random.Random(seed)
    for rows in [*other["crm"].values(), *other["files"].values(), other["state"]["kpi_snapshots"]]:
        chance.shuffle(rows)
    return other


CHILDREN = ("gates", "opportunity_contacts", "owner_history", "amount_history", "closes_on_history", "splits")
SPARE = {
    "id": "spare", "account": "A1", "owner": "R1", "deal_type": "new_business", "amount": 7000, "arr": 7000, "currency": "USD",
    "created_at": "2027-01-06T17:00:00Z", "closes_on": "2027-03-07", "lead_source": "kol_referral", "product": "P1",
}  # fmt: skip


def haunted(given: Given) -> Given:
    """With a void and a deleted copy of every deal, and of one more; deleted ones with what was done on them."""
    other = copy.deepcopy(given)
    crm, source = other["crm"], given["crm"]
    for deal in [*source["opportunities"], SPARE]:
        history = [row for row in source["stage_history"] if row["opportunity"] == deal["id"]]
        for kind in ("void", "gone"):
            id = f"{kind}-{deal['id']}"
            crm["opportunities"].append(
                {**deal, "id": id, "stage": "closed_void" if kind == "void" else deal.get("stage"), "deleted": kind == "gone"}
            )
            crm["stage_history"] += [{**row, "opportunity": id, "id": f"{kind}-{row['id']}"} for row in history]
            for name in CHILDREN:
                crm[name] += [{**row, "opportunity": id} for row in source[name] if row["opportunity"] == deal["id"]]
        if history:
            crm["stage_history"].append(
                {"opportunity": f"void-{deal['id']}", "raw_stage": "Void", "stage": "closed_void", "entered_at": NOW.isoformat(), "id": "void-~"}
            )
        crm["activities"] += [
            {**row, "opportunity": f"gone-{deal['id']}", "id": f"gone-{row['id']}"}
            for row in source["activities"]
            if row["opportunity"] == deal["id"]
        ]
    return other


_OF_DEAL = ("amount", "arr", "capital_amount", "projected_pull_through")
_OF_FILE: Mapping[str, tuple[str, ...]] = {
    "quotas.csv": ("amount",), "spend.csv": ("amount",), "arr_ledger.csv": ("delta",), "renewals.csv": ("available", "renewed"),
    "consumables.csv": ("amount",), "forecast_snapshots.csv": ("amount",), "product_finance.csv": ("revenue", "cogs"),
    "milestones.csv": ("budget", "actual"),
}  # fmt: skip
HOME = ("USD", None)


def converted(given: Given, rate: Decimal) -> Given:
    """The company reports in JPY, so many to the dollar: its dollars become JPY, rates of other currencies, size bands and past values follow."""
    other = copy.deepcopy(given)

    def convert(row: dict[str, Any], columns: tuple[str, ...]) -> None:
        for name in columns:
            if row.get(name) is not None:
                row[name] = str(Decimal(str(row[name])) * rate)
        if row.get("currency") == "USD":
            row["currency"] = "JPY"

    home = {row["id"] for row in other["crm"]["opportunities"] if row["currency"] in HOME}
    for row in other["crm"]["opportunities"]:
        convert(row, _OF_DEAL if row["id"] in home else ())
    for row in other["crm"]["amount_history"]:
        convert(row, ("amount",) if row["opportunity"] in home else ())
    for file, columns in _OF_FILE.items():
        for row in other["files"].get(file, []):
            convert(row, columns if row.get("currency") in HOME else ())
    for row in other["files"]["fx.csv"]:
        row["rate"] = str(Decimal(row["rate"]) * rate)
    for row in other["state"]["kpi_snapshots"]:
        row["value"] *= float(rate) if REGISTRY[row["kpi"]].units[row["variant"]] == "money" else 1
    other["kpis"]["calendar"]["currency"] = "JPY"
    bands = other["kpis"]["size_bands"]
    other["kpis"]["size_bands"] = [{**b, "below": float(Decimal(str(b["below"])) * rate)} if "below" in b else b for b in bands]
    return other
