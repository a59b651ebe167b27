"""Provisioning of a portal through the real client: what is made, in which order, what is left alone, and what HubSpot refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connector.clock import FixedClock
from connector.crms.hubspot import HubSpotSettings
from connector.crms.hubspot.provision import HubSpotProvisioner
from connector.crms.provisioning import Wanted
from connector.errors import MissingScope
from connector.model.ladder import Ladder, Rung
from connector.sandbox.hubspot.portal import Portal
from tests.crms.hubspot.portals import BEGIN, House, new_portal
from tests.crms.hubspot.wanted import made
from tests.scorecard.test_formulas import LADDER

SYNC = "sandbox-token"
CALCULATED = {"kpi_pilot_days", "kpi_secq_days", "kpi_loi_to_secq_days", "kpi_clearance_to_order_days"}


class Bench:
    """A portal that nobody has provisioned, an administrator's key and the connection's own."""

    def __init__(self, house: House, portal: Portal) -> None:
        self.house, self.portal = house, portal
        settings = HubSpotSettings(token=SYNC, base_url=house.url)
        self.admin = HubSpotProvisioner(settings, FixedClock(BEGIN), "sandbox-admin")
        self.own = HubSpotProvisioner(settings, FixedClock(BEGIN))

    def made(self, object_: str = "deals") -> set[str]:
        return {name for name in self.portal.properties[object_] if name.startswith("kpi_")}

    def asked(self, method: str) -> list[str]:
        return [line for line in self.house.asked if line.startswith(f"{method} /crm/properties")]

    def drift(self, wanted: Wanted) -> dict[str, tuple[str, ...]]:
        """What is not as wanted, as far as the portal's own words tell."""
        found = self.own.observe(wanted)
        return {name: seen.differs for spec in wanted.objects for name, seen in found[spec.name].fields.items() if seen.differs}


@pytest.fixture
def bench(house: House) -> Iterator[Bench]:
    portal = new_portal()
    for table in portal.properties.values():
        for name in [name for name, prop in table.items() if prop.group == "kpi_scorecard"]:
            del table[name]
    house.enter(portal)
    made_ = Bench(house, portal)
    yield made_
    made_.admin.close()
    made_.own.close()


def test_from_nothing_to_all_of_it_and_a_second_run_does_nothing(bench: Bench) -> None:
    wanted = made("everything")
    assert bench.admin.fitting(wanted) == wanted
    checked = bench.admin.provision(wanted, check_only=True)
    assert (checked.ok, checked.total, bench.made()) == (True, 46, set())
    done = bench.admin.provision(wanted, check_only=False)
    assert (done.ok, done.done, done.total, done.refusals) == (True, 46, 46, ())
    assert {spec.name for obj in wanted.objects for spec in obj.fields} == bench.made() | bench.made("companies") | bench.made("contacts")
    prop = bench.portal.properties["deals"]["kpi_win_chance"]
    assert (prop.group, prop.number_hint, prop.sensitivity) == ("kpi_scorecard", "percentage", "non_sensitive")
    assert bench.portal.groups["deals"]["kpi_scorecard"]["label"] == "KPI Scorecard"
    assert {name for name in bench.made() if bench.portal.properties["deals"][name].calculated} == CALCULATED | {"kpi_weighted_amount"}
    assert {piece.action for piece in bench.own.pieces(wanted, "")} == {"ok"}

    before = len(bench.asked("POST")), len(bench.asked("PATCH"))
    again = bench.admin.provision(wanted, check_only=False)
    assert (again.ok, again.done) == (True, 46)
    assert (len(bench.asked("POST")), len(bench.asked("PATCH"))) == before
    assert bench.asked("DELETE") == []


def test_rewritten_formula_text_is_no_drift_and_another_formula_is(bench: Bench) -> None:
    wanted = made("everything")
    bench.admin.provision(wanted, check_only=False)
    deal = wanted.objects[0]
    fields = bench.own.observe(wanted)["deals"].fields
    assert {spec.name: fields[spec.name].formula for spec in deal.fields if spec.formula} == {s.name: s.formula for s in deal.fields if s.formula}
    bench.portal.change_property("deals", "kpi_secq_days", formula="(sec_q_done - sec_q_sent) / 1000")
    assert bench.own.observe(wanted)["deals"].fields["kpi_secq_days"].formula == "(sec_q_done - sec_q_sent) / 1000"
    assert bench.admin.provision(wanted, check_only=False).ok
    assert "86400000" in str(bench.portal.properties["deals"]["kpi_secq_days"].formula)
    assert len(bench.asked("PATCH")) == 1


def test_the_values_are_those_of_the_page(bench: Bench) -> None:
    old = bench.portal.create("deals", {"dealname": "A", "sec_q_sent": "2026-10-01", "sec_q_done": "2026-11-05", "loi_signed": "2026-11-25"})
    bench.admin.provision(made("everything"), check_only=False)
    assert (old.values["kpi_secq_days"], old.values["kpi_loi_to_secq_days"], old.values.get("kpi_pilot_days", "")) == ("35", "-20", "")
    bench.portal.update(old, {"amount": "1000", "kpi_win_chance": "0.29"})
    assert old.values["kpi_weighted_amount"] == "290"
    bench.portal.update(old, {"amount": ""})
    assert old.values["kpi_weighted_amount"] in ("", "0")
    bench.portal.update(old, {"amount": "1000", "kpi_win_chance": ""})
    assert old.values["kpi_weighted_amount"] == ""
    told = bench.portal.properties["deals"]
    assert told["kpi_weighted_amount"].description.endswith("Calculated by HubSpot. Empty or 0 while the amount or the win chance is missing.")
    assert told["kpi_secq_days"].description.endswith("Calculated by HubSpot. Empty while a date is missing.")


def test_only_what_is_ours_and_differs_is_changed(bench: Bench) -> None:
    wanted = made("record")
    bench.admin.provision(wanted, check_only=False)
    bench.portal.change_property("deals", "kpi_pace", label="Tempo", group="dealinformation")
    bench.portal.change_property("deals", "kpi_win_chance", number_hint=None)
    bench.portal.define_property("deals", "kpi_of_theirs", "string")
    theirs = bench.portal.properties["deals"]["kpi_of_theirs"], bench.portal.properties["deals"]["dealname"]
    assert bench.drift(wanted) == {"kpi_win_chance": ("not shown as percent",)}
    assert bench.admin.provision(wanted, check_only=False).ok
    assert [line.partition("{")[0].rsplit("/", 1)[1] for line in bench.asked("PATCH")] == ["kpi_pace", "kpi_win_chance"]
    pace = bench.portal.properties["deals"]["kpi_pace"]
    assert (pace.label, pace.group) == ("Pace", "dealinformation")  # where an administrator put it is theirs to say
    assert theirs == (bench.portal.properties["deals"]["kpi_of_theirs"], bench.portal.properties["deals"]["dealname"])
    assert bench.drift(wanted) == {}


@pytest.mark.parametrize("told", [True, False])
def test_an_option_that_records_hold_is_hidden_and_another_goes(bench: Bench, told: bool) -> None:
    old = Ladder(ladder=(*LADDER.ladder, Rung(key="tender", label="Tender", kind="gate"), Rung(key="unused", label="Unused", kind="gate")))
    bench.admin.provision(made("record", old), check_only=False)
    bench.portal.create("deals", {"dealname": "A", "kpi_stage": "tender"})
    renamed = Ladder(ladder=tuple(rung.model_copy(update={"label": "Trial"}) if rung.key == "pilot" else rung for rung in LADDER.ladder))
    wanted = made("record", renamed)
    assert bench.drift(wanted) == {
        "kpi_stage": ("value pilot called Pilot → Trial", "value tender is used no more", "value unused is used no more")
    }  # fmt: skip
    if not told:
        bench.portal.denied_scopes = {"crm.objects.deals.read"}  # who may not look must take it that a record has the value
    assert bench.admin.provision(wanted, check_only=False).ok
    stage = bench.portal.properties["deals"]["kpi_stage"]
    assert stage.hidden_options == ({"tender"} if told else {"tender", "unused"})
    assert dict(stage.options)["pilot"] == "Trial"
    assert ("unused" in dict(stage.options)) is not told
    assert bench.drift(wanted) == {}
    patched = len(bench.asked("PATCH"))
    bench.portal.denied_scopes = set()
    assert bench.admin.provision(made("record", old), check_only=False).ok  # the rung comes back, and so does its option
    assert (bench.portal.properties["deals"]["kpi_stage"].hidden_options, len(bench.asked("PATCH"))) == (frozenset(), patched + 1)


def test_another_type_under_the_name_is_never_changed(bench: Bench) -> None:
    bench.portal.define_property("deals", "kpi_pace", "number")
    bench.portal.define_property("deals", "kpi_secq_days", "number")  # typed by hand and not calculated
    wanted, held = made("record"), dict(bench.portal.properties["deals"])
    seen = bench.own.observe(wanted)["deals"].fields
    assert (seen["kpi_pace"].type, seen["kpi_secq_days"].calculated) == ("number", False)
    done = bench.admin.provision(wanted, check_only=False)
    assert (done.ok, done.done, {r.name for r in done.refusals}) == (False, done.total - 2, {"deals.kpi_pace", "deals.kpi_secq_days"})
    assert [bench.portal.properties["deals"][n] for n in ("kpi_pace", "kpi_secq_days")] == [held[n] for n in ("kpi_pace", "kpi_secq_days")]


def test_an_archived_name_is_told_before_anything_is_made(bench: Bench) -> None:
    bench.portal.define_property("deals", "kpi_pace", "string")
    bench.portal.remove_property("deals", "kpi_pace")
    checked = bench.admin.provision(made("record"), check_only=True)
    assert (checked.ok, [r.name for r in checked.refusals], bench.made()) == (False, ["deals.kpi_pace"], set())
    assert "archived" in checked.refusals[0].reason
    done = bench.admin.provision(made("record"), check_only=False)  # archived between the two, say
    assert (done.ok, [r.name for r in done.refusals], done.done) == (False, ["deals.kpi_pace"], done.total - 1)


def test_one_refused_property_does_not_stop_the_others(bench: Bench) -> None:
    wanted = made("record")
    deal = wanted.objects[0]
    wrong = tuple(replace(spec, formula="today() - sec_q_sent") if spec.key == "secq_days" else spec for spec in deal.fields)
    done = bench.admin.provision(replace(wanted, objects=(replace(deal, fields=wrong),)), check_only=False)
    assert (done.ok, done.done, [r.name for r in done.refusals]) == (False, done.total - 1, ["deals.kpi_secq_days"])
    assert "Function today is not supported" in done.refusals[0].problem
    assert done.refusals[0].reason == "HubSpot refuses the formula"
    assert bench.made() >= CALCULATED - {"kpi_secq_days"}


@pytest.mark.parametrize(("plan", "most", "kept", "why"), [
    ("starter", None, 0, "the portal's plan has no calculated properties"),
    ("professional", 3, 2, "the portal's 3 calculated properties are all in use"),
])  # fmt: skip
def test_calculated_ones_that_the_quota_does_not_allow_are_left_out(bench: Bench, plan: str, most: int | None, kept: int, why: str) -> None:
    if most:
        bench.portal.define_property("companies", "theirs", "number", field_type="calculation_equation", calculated=True, read_only=True,
                                     formula="1 + 1")  # fmt: skip
    bench.portal.plan, bench.portal.calculated_max = plan, most
    wanted = bench.own.fitting(made("record"))
    assert [wanted.left_out.get(key) for key in ("pilot_days", "secq_days", "loi_to_secq_days", "clearance_to_order_days")] == (
        [None] * kept + [why] * (4 - kept)
    )
    assert bench.admin.provision(wanted, check_only=False).ok
    assert len(bench.made() & CALCULATED) == kept
    assert bench.own.fitting(made("record")) == wanted  # those that are there stay
    if plan == "starter":  # whoever goes on all the same is told by name
        refused = bench.admin.provision(made("record"), check_only=False)
        assert {r.name.removeprefix("deals.") for r in refused.refusals} == CALCULATED


def test_more_than_the_portal_may_have(bench: Bench) -> None:
    bench.portal.custom_max = 5 + sum(not prop.native for prop in bench.portal.properties["deals"].values())
    assert bench.own.observe(made("record"))["deals"].quota == 5
    checked = bench.admin.provision(made("record"), check_only=True)
    assert (checked.ok, "5 more" in checked.refusals[0].problem, bench.made()) == (False, True, set())


def test_slices_of_a_hundred(bench: Bench) -> None:
    wanted = made("record")
    deal = wanted.objects[0]
    many = tuple(replace(deal.fields[4], key=f"n{n}", name=f"kpi_n{n}") for n in range(230))
    assert bench.admin.provision(replace(wanted, objects=(replace(deal, fields=many),)), check_only=False).ok
    assert [line.count('"groupName"') for line in bench.asked("POST") if "batch/create" in line] == [100, 100, 30]


def test_what_somebody_made_in_between_counts_as_there(bench: Bench) -> None:
    """As after an answer that was lost: the same call, sent again, finds its own properties."""

    def meanwhile(portal: Portal) -> None:
        portal.define_property("deals", "kpi_open_gates", "string")
        portal.define_property("deals", "kpi_personas", "number")

    wanted = made("record")
    bench.portal.define_property("deals", "any", "string", group="kpi_scorecard")  # the group is there: the batch is the first write
    bench.portal.before_write = [meanwhile]
    done = bench.admin.provision(wanted, check_only=False)
    assert ([r.name for r in done.refusals], done.done) == (["deals.kpi_personas"], done.total - 1)


def test_the_syncs_key_may_look_and_make_nothing(bench: Bench) -> None:
    wanted = made("record")
    assert bench.own.observe(wanted)["deals"].exists
    assert bench.own.pieces(wanted, "")[0].action == "create"
    for check_only in (True, False):
        with pytest.raises(MissingScope) as refused:
            bench.own.provision(wanted, check_only=check_only)
        assert "crm.schemas.deals.write" in str(refused.value)
        assert "revoke it" in str(refused.value.next_step)
    assert bench.made() == set()


def test_whose_key_it_is(bench: Bench) -> None:
    who = bench.admin.whoami()
    assert (who.org_id, who.production, bench.admin.admit(who.user_id)) == ("24680135", True, False)
