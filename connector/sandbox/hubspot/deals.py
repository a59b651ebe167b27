"""What HubSpot itself keeps up to date on a deal: probability, closing, stage timers, amounts in company currency."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from connector.sandbox.hubspot.pipelines import Pipeline, Stage
from connector.sandbox.hubspot.records import Record, parse_stamp, stamp

DAY_MS = 86_400_000


def plain(value: Decimal) -> str:
    """Shortest decimal text, never with an exponent."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=64)
def probability_text(value: float) -> str:
    """As one real portal spells it: ``0``, ``1.000000``, or the 53 digits of the binary fraction."""
    if value == 0:
        return "0"
    return "1.000000" if value == 1.0 else str(Decimal(value))


def entering(pipeline: Pipeline, stage: Stage, at: int) -> dict[str, str]:
    """Values set because a record enters a stage; a deal's chance goes with it."""
    kept = {
        "hs_deal_stage_probability": probability_text(stage.probability),
        "hs_is_closed": "true" if stage.closed else "false",
        "hs_is_closed_won": "true" if stage.won else "false",
        "hs_is_closed_lost": "true" if stage.closed and not stage.won else "false",
    } if pipeline.kind == "deals" else {"hs_is_closed": "true" if stage.closed else "false"}  # fmt: skip
    return (
        kept
        | {
            "hs_v2_date_entered_current_stage": stamp(at),
            "hs_v2_time_in_current_stage": stamp(at),  # named a time, but through the API it is the date entered
        }
        | ({} if stage.deleted else {pipeline.timer(stage, "date_entered"): stamp(at)})
    )


def leaving(record: Record, pipeline: Pipeline, stage: Stage, at: int) -> dict[str, str]:
    """Values set because a record leaves a stage. A second visit overwrites the dates; only the cumulative time adds up."""
    entered = record.values.get("hs_v2_date_entered_current_stage")
    if stage.deleted or not entered:
        return {}
    spent = max(at - parse_stamp(entered), 0)
    total = pipeline.timer(stage, "cumulative_time_in")
    return {
        pipeline.timer(stage, "date_exited"): stamp(at),
        pipeline.timer(stage, "latest_time_in"): str(spent),
        total: str(int(record.values.get(total) or 0) + spent),
    }


def amounts(values: Mapping[str, str], rates: Mapping[str, Decimal], home: str, probability: float) -> dict[str, str]:
    """Amount in company currency and weighted amounts. An open deal floats with the present rate, a closed one keeps its own."""
    amount = values.get("amount")
    frozen = values.get("hs_is_closed") == "true" and values.get("hs_exchange_rate")
    currency = values.get("deal_currency_code") or home
    rate = Decimal(frozen) if frozen else rates.get(currency, Decimal(1))
    if not amount:
        names = ("amount_in_home_currency", "hs_projected_amount", "hs_projected_amount_in_home_currency")
        return {name: "" for name in names if values.get(name)} | {"hs_exchange_rate": plain(rate)}
    odds = Decimal(str(probability))
    return {
        "hs_exchange_rate": plain(rate),
        "amount_in_home_currency": plain(Decimal(amount) * rate),
        "hs_projected_amount": plain(Decimal(amount) * odds),
        "hs_projected_amount_in_home_currency": plain(Decimal(amount) * rate * odds),
    }


def days_to_close(values: Mapping[str, str]) -> str:
    """Whole days from creation to closing; 0 on an open deal, as HubSpot shows it."""
    closed, born = values.get("closedate"), values.get("createdate")
    if values.get("hs_is_closed") != "true" or not closed or not born:
        return "0"
    return str(max((parse_stamp(closed) - parse_stamp(born)) // DAY_MS, 0))
