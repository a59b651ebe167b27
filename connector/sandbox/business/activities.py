"""What people do: meetings, calls, emails both ways, tasks; and who on the buyer's side joins a deal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from connector.sandbox import events
from connector.sandbox.business.company import Company, Deal
from connector.sandbox.events import ActivityLogged

_DAYS_BETWEEN = 15.0
_STAGE_MEETING = {
    "discovery": ("First meeting", "First meeting"), "demo": ("Demo", "Product demonstration"),
    "clinical_evaluation": ("Evaluation visit", "Evaluation on site"), "pilot": ("Evaluation visit", "Evaluation kick-off"),
    "contracting": ("Follow-up", "Terms and timeline"), "renewal_out": ("Follow-up", "Yearly review"),
}  # fmt: skip
_STAGE_ROLES = {
    "discovery": ("champion",), "demo": ("champion", "surgeon"), "clinical_evaluation": ("surgeon",), "pilot": ("surgeon", "none"),
    "security_review": ("it_security",), "legal_review": ("none",), "vac": ("vac_chair", "blocker"), "gpo": ("none", "economic_buyer"),
    "contracting": ("economic_buyer", "executive_sponsor"), "commit": ("executive_sponsor",),
}  # fmt: skip
_CALLS = ("Check-in call", "Pricing question", "Scheduling", "Stakeholder call")
_EMAILS = ("Documents as discussed", "Next steps", "Clinical evidence", "Quote and terms", "Scheduling the evaluation", "Reference site")
_HOUSE_MEETINGS = (("HCP presentation", "Evidence review"), ("Workshop", "Cadaver workshop"), ("HCP presentation", "Grand rounds talk"))
_TASKS = ("Send quote", "Follow up on evaluation", "Chase questionnaire", "Prepare VAC package", "Update close plan", "Send references")


def begin(co: Company, deal: Deal) -> None:
    """The deal's conversation starts (again)."""
    co.while_open(deal, co.rng.expovariate(1 / 4), partial(_converse, co, deal))


def at_stage(co: Company, deal: Deal) -> None:
    """What a new stage brings: a meeting of its kind, and people who matter for it."""
    if deal.stage in _STAGE_MEETING and co.chance(0.85):
        co.while_open(deal, co.span(0.02, 5), partial(_stage_meeting, co, deal, *_STAGE_MEETING[deal.stage]))
    for function in _STAGE_ROLES.get(deal.stage, ()):
        if co.chance(0.12 if function == "blocker" else 0.68):
            co.while_open(deal, co.span(0.01, 12), partial(involve, co, deal, function))


def involve(co: Company, deal: Deal, function: str, primary: bool = False) -> None:
    """Put somebody with that function on the deal, if the account has one who is not on it yet."""
    fit = [c for c in co.accounts[deal.account].contacts if c not in deal.roles and co.contacts[c].function == function]
    if not fit or not deal.there:
        return
    contact = co.rng.choice(fit)
    role = "none" if co.chance(0.12) else function
    deal.roles[contact] = role
    co.tell(events.RoleAdded(co.stamp(pause=co.span(0, 20)), deal.key, contact, role, primary))


def account_visits(co: Company) -> None:
    """Meetings without a deal: presentations and workshops with opinion leaders. Goes on for ever."""
    houses = [a for a in co.accounts.values() if a.merged_into is None and a.contacts]
    house = co.rng.choice(houses)
    known = [c for c in house.contacts if co.contacts[c].kol] or house.contacts
    kind, subject = co.rng.choice(_HOUSE_MEETINGS)
    co.log("meeting", subject, account=house.key, contact=co.rng.choice(known), owner=co.rep_for(house.territory), type=kind, outcome=_outcome(co))
    co.later(co.rng.expovariate(1 / 4.5), partial(account_visits, co))


def _converse(co: Company, deal: Deal) -> None:
    if deal.neglected:
        return
    _act(co, deal)
    pace = co.owners[deal.owner].pace
    mean = _DAYS_BETWEEN / pace * (4.0 if deal.stage == "deferred" else 1.0)
    co.while_open(deal, co.rng.expovariate(1 / mean), partial(_converse, co, deal))


def _act(co: Company, deal: Deal) -> None:
    contact, owner = _contact(co, deal), co.actor(deal)
    draw = co.rng.random()
    if draw < 0.04:
        co.log("email", "Product newsletter", deal=deal, contact=contact, owner=owner, by=co.robot(), direction="outbound")
    elif draw < 0.06:
        due = co.today + timedelta(days=2)
        co.log("task", "Review next step", deal=deal, contact=None, owner=owner, by=co.robot(), due_on=due)
    elif draw < 0.44:
        subject = co.rng.choice(_EMAILS)
        co.log("email", subject, deal=deal, contact=contact, owner=owner, direction="outbound")
        if co.chance(0.42):
            co.while_open(deal, co.span(0.02, 2.5), partial(_reply, co, deal, contact, subject))
    elif draw < 0.68:
        outcome = co.rng.choices(("connected", "not_connected", None), (6, 3, 1))[0]
        direction = "inbound" if co.chance(0.15) else "outbound"
        co.log("call", co.rng.choice(_CALLS), deal=deal, contact=contact, owner=owner, direction=direction, outcome=outcome)
    elif draw < 0.86:
        kind = co.rng.choices(("Follow-up", "Workshop", "HCP presentation", None), (6, 1, 1, 2))[0]
        co.log("meeting", "Working session", deal=deal, contact=contact, owner=owner, type=kind, outcome=_outcome(co))
    else:
        ahead = co.rng.randint(1, 14)
        task = co.log("task", co.rng.choice(_TASKS), deal=deal, contact=contact, owner=owner, due_on=co.today + timedelta(days=ahead))
        if co.chance(0.8):
            co.while_open(deal, max(0.1, ahead + co.span(-4, 4)), partial(_tick_off, co, deal, task))


def _tick_off(co: Company, deal: Deal, task: ActivityLogged) -> None:
    """The task is done, early or late; what somebody left behind who is gone stays undone. (Accounts may have merged since.)"""
    if co.owners[task.owner].active and not deal.neglected:
        co.tell(replace(task, at=co.stamp(), account=deal.account, by=task.owner, done=True))


def _reply(co: Company, deal: Deal, contact: str | None, subject: str) -> None:
    co.log("email", f"Re: {subject}", deal=deal, contact=contact, owner=co.actor(deal), direction="inbound")


def _stage_meeting(co: Company, deal: Deal, kind: str, subject: str) -> None:
    owner = co.actor(deal)
    if kind in {"Demo", "Evaluation visit"} and co.chance(0.4):
        owner = co.rep_for(co.accounts[deal.account].territory, "clinical")
    co.log("meeting", subject, deal=deal, contact=_contact(co, deal), owner=owner, type=kind, outcome=_outcome(co))


def _contact(co: Company, deal: Deal) -> str | None:
    on_deal = [c for c in deal.roles if c in co.contacts]
    if on_deal and co.chance(0.9):
        return co.rng.choice(on_deal)
    people = co.accounts[deal.account].contacts
    return co.rng.choice(people) if people and co.chance(0.6) else None


def _outcome(co: Company) -> str | None:
    return co.rng.choices(("held", "no_show", "canceled", "rescheduled", None), (78, 5, 6, 4, 7))[0]
