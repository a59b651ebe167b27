"""The life of a deal: opening, stages, closing, reopening, and what a won deal brings after it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

from connector.sandbox import events
from connector.sandbox.business import activities, gates, paths, upkeep
from connector.sandbox.business.company import Account, Company, Deal

FIRST_STAGE = {"capital": "prospect", "disposables": "prospect", "software": "prospect", "renewals": "renewal_out"}
_LEAD_SOURCES = (("conference", 22), ("inbound", 20), ("outbound", 28), ("kol_referral", 12), ("partner", 8), (None, 10))


def open_new(co: Company, account: Account, pipeline: str, deal_type: str = "new_business", *, base: Deal | None = None) -> Deal:
    """A deal is entered. ``base``: the won deal that this one renews or expands."""
    segment = account.facility
    renewal = deal_type == "renewal"
    owner = co.rep_for(account.territory, "renewals" if renewal else "rep")
    amount: Decimal | None = upkeep.list_price(co, pipeline, segment)
    if renewal and base is not None and base.arr:
        amount = (base.arr * Decimal(co.rng.choice(("0.9", "1", "1", "1.03", "1.05"))) / 100).quantize(Decimal(1)) * 100
    elif co.chance(0.11):
        amount = None if co.chance(0.93) else Decimal(0)
    product = _product(co, pipeline, segment)
    number = len(co.deals) + 1
    deal = Deal(
        key=f"deal-{number:04}", name=f"{account.name} - {'Renewal ' if renewal else ''}{product or 'System'}", account=account.key, owner=owner,
        pipeline=pipeline, segment=segment, deal_type=deal_type, currency="EUR" if account.region == "EU" and co.chance(0.8) else "USD",
        opened=co.now, stage=FIRST_STAGE[pipeline], amount=amount, closes_on=co.today,
    )  # fmt: skip
    if not renewal and pipeline in {"capital", "software"} and co.chance(0.06):
        deal.stage = "demo" if co.chance(0.5) else "discovery"  # entered late, after the first talks
    deal.closes_on = upkeep.estimate(co, deal)
    if renewal and base is not None:
        deal.closes_on = max(base.closes_on + timedelta(days=365), co.today + timedelta(days=14))
    _announce(co, deal, product, deal_type)
    _start(co, deal)
    return deal


def enter(co: Company, deal: Deal, stage: str, by: str | None = None) -> None:
    """Move a deal into an open stage, and plan how it goes on from there."""
    deal.neglected = False
    co.move(deal, stage, by)
    _arrive(co, deal)
    upkeep.after_move(co, deal)


def close(co: Company, deal: Deal, stage: str, by: str | None = None) -> None:
    """Won, lost, no decision or duplicate. Most owners set the close date to the day."""
    deal.life += 1
    if stage == "won":
        amount = deal.amount or upkeep.list_price(co, deal.pipeline, deal.segment)
        if deal.amount != amount and co.chance(0.9):
            co.edit(deal, {"amount": amount}, by)
    co.move(deal, stage, by)
    if co.chance(0.85):
        co.edit(deal, {"closes_on": co.today}, by, pause=co.span(0, 0.6))
    if stage == "won":
        _after_win(co, deal)
    elif stage in {"lost", "no_decision"} and co.chance(0.06):
        co.later(co.span(15, 100), partial(_reopen, co, deal, deal.visit))


def resume(co: Company, deal: Deal) -> None:
    """A restored deal goes on where it was."""
    deal.life += 1
    deal.visit += 1
    if deal.open:
        _start(co, deal)


def _announce(co: Company, deal: Deal, product: str | None, deal_type: str) -> None:
    lead_source = co.rng.choices([s for s, _ in _LEAD_SOURCES], [w for _, w in _LEAD_SOURCES])[0] if deal_type == "new_business" else "existing"
    service = (deal.amount * Decimal("0.12") / 100).quantize(Decimal(1)) * 100 if deal.amount is not None else None
    capital: Decimal | None = None
    if deal.pipeline in {"software", "renewals"}:
        deal.arr = deal.amount
    elif deal.pipeline == "capital" and service is not None and deal.amount is not None:
        deal.arr, capital = service, deal.amount - service
    co.deals[deal.key] = deal
    deal.fields.update(amount=deal.amount, closes_on=deal.closes_on, owner=deal.owner, next_step=None)
    opened = events.DealOpened(
        at=co.stamp(), deal=deal.key, name=deal.name, account=deal.account, owner=deal.owner, pipeline=deal.pipeline,
        stage=co.shown(deal.pipeline, deal.stage), deal_type=deal_type, amount=deal.amount, currency=deal.currency, closes_on=deal.closes_on,
        product=product, lead_source=lead_source, arr=deal.arr, capital=capital,
    )  # fmt: skip
    co.tell(opened)


def _start(co: Company, deal: Deal) -> None:
    if not deal.roles:
        first = "surgeon" if co.chance(0.65) else "champion"
        activities.involve(co, deal, first, primary=co.chance(0.85))
    activities.begin(co, deal)
    upkeep.begin(co, deal)
    _arrive(co, deal)


def _arrive(co: Company, deal: Deal) -> None:
    gates.entered(co, deal)
    activities.at_stage(co, deal)
    if deal.stage == "deferred":
        co.later(co.span(50, 170), partial(_thaw, co, deal, deal.visit))
        return
    if co.chance(0.3 if not co.owners[deal.owner].active else 0.045):
        deal.neglected = True
        if co.chance(0.75):
            co.later(co.span(90, 330), partial(_clear_out, co, deal, deal.visit))
        return
    days = paths.dwell(co.rng, paths.stay(deal.pipeline, deal.stage), deal.segment)
    co.later(days, partial(_leave, co, deal, deal.visit))


def _leave(co: Company, deal: Deal, visit: int) -> None:
    if not deal.open or deal.visit != visit:
        return
    wanted = any(role in {"champion", "surgeon"} for role in deal.roles.values()) and len(deal.roles) > 1
    end = paths.ending(co.rng, deal.pipeline, deal.stage, deal.segment, wanted)
    if deal.stage == "vac" and end not in {"lost", "no_decision", "deferred", "pilot"}:
        status = deal.fields.get("vac_status")
        if status in (None, "tabled") and co.chance(0.06):
            close(co, deal, "no_decision")
            return
        if status in (None, "tabled"):
            co.later(co.span(5, 15), partial(_leave, co, deal, visit))
            return
        if status == "denied":
            end = "lost" if co.chance(0.6) else "pilot"
    if deal.stage == "pilot":
        gates.evaluated(co, deal, good=end not in {"lost", "demo"})
    if end in {"won", "lost", "no_decision"}:
        close(co, deal, end)
        return
    if end == "deferred":
        deal.paused_at = deal.stage
    enter(co, deal, end)


def _thaw(co: Company, deal: Deal, visit: int) -> None:
    if not deal.open or deal.visit != visit:
        return
    if deal.paused_at is not None and co.chance(0.7):
        enter(co, deal, deal.paused_at)
    else:
        close(co, deal, "no_decision")


def _clear_out(co: Company, deal: Deal, visit: int) -> None:
    if deal.open and deal.visit == visit:
        close(co, deal, "lost" if deal.pipeline in {"disposables", "renewals"} or co.chance(0.4) else "no_decision")


def _reopen(co: Company, deal: Deal, visit: int) -> None:
    if not deal.there or deal.visit != visit:
        return
    later_stages = [row.stage for row in paths.PATHS[deal.pipeline]][1:]
    deal.life += 1
    deal.stage = later_stages[min(co.rng.randrange(3), len(later_stages) - 1)]
    enter(co, deal, deal.stage)
    activities.begin(co, deal)
    upkeep.begin(co, deal)


def _after_win(co: Company, deal: Deal) -> None:
    """Signature, first case, go-live; then renewals, disposables and more systems."""
    if co.chance(0.012):
        co.later(co.span(0.3, 3), partial(_mistaken_win, co, deal, deal.visit))
        return
    if co.chance(0.9):
        co.edit(deal, {"contract_signed_on": co.today}, pause=co.span(3, 40))
    if deal.pipeline == "renewals":
        return
    if co.chance(0.9):
        co.later(co.span(12, 70), partial(_first_case, co, deal, deal.visit))
    if deal.pipeline in {"capital", "software"} and deal.arr:
        co.later(co.span(255, 300), partial(_renew, co, deal))
    if deal.pipeline == "capital" and co.chance(0.55):
        co.later(co.span(15, 70), partial(_sell_more, co, deal, "disposables"))
    if co.chance(0.22):
        co.later(co.span(110, 320), partial(_sell_more, co, deal, "capital" if co.chance(0.6) else "software"))


def _mistaken_win(co: Company, deal: Deal, visit: int) -> None:
    if deal.there and deal.visit == visit:
        close(co, deal, "lost")


def _first_case(co: Company, deal: Deal, visit: int) -> None:
    if not deal.there or deal.visit != visit:
        return
    if deal.pipeline == "disposables":
        co.move(deal, "first_case")
    co.edit(deal, {"first_case_on": co.today})
    if deal.pipeline != "disposables":
        co.later(co.span(5, 40), partial(_go_live, co, deal, deal.visit))


def _go_live(co: Company, deal: Deal, visit: int) -> None:
    if deal.there and deal.visit == visit:
        co.edit(deal, {"go_live_on": co.today})


def _renew(co: Company, deal: Deal) -> None:
    if deal.there and deal.stage == "won":
        open_new(co, co.accounts[deal.account], "renewals", "renewal", base=deal)


def _sell_more(co: Company, deal: Deal, pipeline: str) -> None:
    if deal.there and deal.stage == "won":
        open_new(co, co.accounts[deal.account], pipeline, "expansion", base=deal)


def _product(co: Company, pipeline: str, segment: str) -> str | None:
    if co.chance(0.04):
        return None
    small = segment in {"clinic", "asc"}
    match pipeline:
        case "capital":
            return "Beacon Navigator Mini" if small and co.chance(0.7) else "Beacon Navigator"
        case "disposables":
            return "Beacon Disposable Kit"
        case "software":
            return "Beacon Insights" if co.chance(0.35) else "Beacon Cloud"
        case _:
            return "Beacon Cloud"
