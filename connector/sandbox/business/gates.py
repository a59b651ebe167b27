"""Gates kept in fields beside the stage: evaluation, value analysis, security, purchasing, contract. Several run at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from connector.sandbox.business.company import Company, Deal

_NEEDS_VAC = {"clinic": 0.1, "asc": 0.4, "hospital": 0.95, "university_hospital": 0.97, "idn": 0.97}


def entered(co: Company, deal: Deal) -> None:
    """What starts, or is filled in, when a deal comes into its stage."""
    match deal.stage:
        case "discovery":
            co.while_open(deal, co.span(0.05, 6), partial(_first_facts, co, deal))
        case "demo":
            _demo(co, deal)
        case "clinical_evaluation" | "pilot":
            _evaluation(co, deal)
        case "security_review":
            co.while_open(deal, co.span(0.05, 4), partial(_questionnaire_came, co, deal))
        case "legal_review":
            co.while_open(deal, co.span(8, 30), partial(_edit, co, deal, {"baa": True}))
        case "vac":
            pending = deal.vac_life == deal.life and deal.fields.get("vac_status") is None
            if not pending and deal.fields.get("vac_status") not in ("approved", "tabled"):
                submit(co, deal)
        case "gpo":
            co.while_open(deal, co.span(2, 15), partial(_purchasing, co, deal))
        case "contracting":
            _contracting(co, deal)
        case "commit":
            if co.chance(0.8):
                co.edit(deal, {"loi_signed_on": co.today}, pause=co.span(2, 30))
        case _:
            pass


def evaluated(co: Company, deal: Deal, good: bool) -> None:
    """The trial at the hospital is over: told just before the deal leaves its pilot."""
    if "evaluation_started_on" in deal.fields and co.chance(0.88):
        co.edit(deal, {"evaluation_ended_on": co.today, "evaluation_result": "success" if good else "failure"})


def submit(co: Company, deal: Deal) -> None:
    """The package goes to the value analysis committee: a first or a further attempt."""
    late = 0 if co.chance(0.8) else co.rng.randint(1, 4)
    attempt = {"vac_needed": "yes", "vac_submitted_on": co.today - timedelta(days=late), "vac_decided_on": None, "vac_status": None}
    deal.vac_life = deal.life
    co.edit(deal, attempt, pause=co.span(1, 25))
    co.while_open(deal, min(co.rng.lognormvariate(3.2, 0.45), 120), partial(_decide, co, deal))


def _decide(co: Company, deal: Deal) -> None:
    if deal.neglected or deal.fields.get("vac_status") is not None:
        return
    status = co.rng.choices(("approved", "tabled", "denied"), (70, 20, 10))[0]
    co.edit(deal, {"vac_status": status, "vac_decided_on": co.today})
    if status == "tabled":
        co.while_open(deal, co.span(20, 45), partial(submit, co, deal))


def _first_facts(co: Company, deal: Deal) -> None:
    if "connects_to_network" in deal.fields:
        return
    facts: dict[str, object] = {"connects_to_network": co.chance(0.5)}
    if deal.pipeline == "capital" and co.chance(0.88):
        facts["vac_needed"] = "yes" if co.chance(_NEEDS_VAC[deal.segment]) else "no"
    co.edit(deal, facts)


def _demo(co: Company, deal: Deal) -> None:
    if deal.pipeline == "capital" and deal.fields.get("connects_to_network") and co.chance(0.75):
        co.while_open(deal, co.span(3, 25), partial(_questionnaire_came, co, deal))
    if co.chance(0.3):
        co.while_open(deal, co.span(4, 20), partial(_edit, co, deal, {"proposal_sent_on": "today"}))


def _evaluation(co: Company, deal: Deal) -> None:
    if "evaluation_started_on" not in deal.fields and co.chance(0.9):
        co.edit(deal, {"evaluation_started_on": co.today}, pause=co.span(1, 20))
    if deal.pipeline == "capital" and deal.fields.get("vac_needed") == "yes" and deal.fields.get("vac_submitted_on") is None and co.chance(0.25):
        co.while_open(deal, co.span(8, 25), partial(_early_submission, co, deal))


def _early_submission(co: Company, deal: Deal) -> None:
    if deal.fields.get("vac_submitted_on") is None and not deal.neglected:
        submit(co, deal)


def _questionnaire_came(co: Company, deal: Deal) -> None:
    if "secq_received_on" in deal.fields:
        return
    co.edit(deal, {"secq_received_on": co.today, "security_status": "waiting"})
    co.while_open(deal, min(co.rng.lognormvariate(2.9, 0.6), 110), partial(_questionnaire_done, co, deal))


def _questionnaire_done(co: Company, deal: Deal) -> None:
    if deal.neglected:
        return
    # now and then somebody mistypes the date, and it lies before the day the questionnaire came
    back = 60 if co.chance(0.02) else 0
    co.edit(deal, {"secq_returned_on": co.today - timedelta(days=back)})
    co.while_open(deal, co.span(4, 30), partial(_security_verdict, co, deal))


def _security_verdict(co: Company, deal: Deal) -> None:
    co.edit(deal, {"security_status": "passed" if co.chance(0.9) else "failed"})


def _purchasing(co: Company, deal: Deal) -> None:
    co.edit(deal, {"gpo_status": "on_contract" if co.chance(0.7) else "off_contract"})
    if co.chance(0.7):
        co.while_open(deal, co.span(1, 12), partial(_edit, co, deal, {"budget_approved": True}))


def _contracting(co: Company, deal: Deal) -> None:
    if "proposal_sent_on" not in deal.fields and co.chance(0.8):
        co.edit(deal, {"proposal_sent_on": co.today}, pause=co.span(1, 30))
    co.while_open(deal, co.span(1, 9), partial(_paper, co, deal))


def _paper(co: Company, deal: Deal) -> None:
    co.edit(deal, {"contract_sent_on": co.today, "standard_terms": co.chance(0.55)})
    if deal.pipeline == "capital" and not deal.fields.get("budget_approved") and co.chance(0.5):
        co.while_open(deal, co.span(1, 10), partial(_edit, co, deal, {"budget_approved": True}))


def _edit(co: Company, deal: Deal, values: Mapping[str, object]) -> None:
    """``today`` stands for the day of the edit."""
    co.edit(deal, {k: co.today if v == "today" else v for k, v in values.items()})
