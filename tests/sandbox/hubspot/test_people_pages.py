"""The page of a deal as a user of the portal sees it."""

import re

from connector.sandbox.world import World


def page(client, path):
    answer = client.session.get(f"{client.base}/sandbox/hubspot/{path}", timeout=10)
    return answer.status_code, answer.text


def shown(text):
    return dict(re.findall(r'<dd data-field="(\w+)">(.*?)</dd>', text))


def test_a_deal_as_a_rep_sees_it(client, portal, deal):
    owner = next(iter(portal.owners))
    made = deal(kpi_pace="stuck", kpi_stage_entered_on="2026-10-02", kpi_updated_at="2026-11-02T13:30:00Z", kpi_win_chance="0.29",
                hubspot_owner_id=owner, amount="12000", kpi_open_gates="<b>VAC</b>")  # fmt: skip
    portal.change_property("deals", "kpi_win_chance", number_hint="percentage")
    portal.change_property("deals", "amount", currency_symbol=True)
    status, text = page(client, f"deals/{made.id}")
    found = shown(text)
    assert (status, "KPI Scorecard" in text) == (200, True)
    assert {name: found[name] for name in ("kpi_pace", "kpi_stage_entered_on", "kpi_updated_at", "kpi_win_chance", "kpi_stale_reason")} == {
        "kpi_pace": "Stuck", "kpi_stage_entered_on": "2 Oct 2026", "kpi_updated_at": "2 Nov 2026, 08:30 EST", "kpi_win_chance": "29%",
        "kpi_stale_reason": "--",
    }  # fmt: skip
    assert (found["hubspot_owner_id"], found["amount"], found["dealstage"]) == ("Ada Berg", "$12,000", "New lead")
    assert "&lt;b&gt;VAC" in found["kpi_open_gates"]
    assert f"/sandbox/hubspot/deals/{made.id}" in page(client, "deals")[1]


def test_a_calculated_property_says_so_and_a_hidden_one_is_not_shown(client, portal, deal):
    portal.define_property("deals", "kpi_double", "number", group="kpi_scorecard", field_type="calculation_equation", calculated=True,
                           read_only=True, formula="amount * 2")  # fmt: skip
    portal.hide_property("deals", "kpi_definition")
    text = page(client, f"deals/{deal(amount='4').id}")[1]
    assert shown(text)["kpi_double"] == "8"
    assert "kpi_double · calculated" in text
    assert "kpi_definition" not in shown(text)


def test_a_deal_that_is_not_there(client, portal, deal):
    made = deal()
    portal.archive(made)
    assert page(client, f"deals/{made.id}")[0] == page(client, "deals/nonsense")[0] == 404


def test_a_portal_that_nobody_provisioned_has_no_scorecard(client, deal):
    bare = World(bare=True).portal
    assert not [name for table in bare.properties.values() for name in table if name.startswith("kpi_")]
