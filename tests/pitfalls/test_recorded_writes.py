"""Writing into what recorded answers of the real APIs look like, limits and mappings: a success that hides a refusal, a row without an
id, a body of another kind, an index that trails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from fnmatch import fnmatch
from typing import Any

import pytest

from connector import runs
from connector.cli.mapping import live_findings
from connector.errors import ConnectorError
from connector.sandbox.salesforce.org import RowError
from connector.scorecard.apply import Outcome
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.pitfalls.overheard import Answer, overheard
from tests.pitfalls.requests_seen import asked
from tests.rig import BEGIN, NAME

both = pytest.mark.parametrize("crm", BOTH)
hubspot = pytest.mark.parametrize("crm", [HS])
salesforce = pytest.mark.parametrize("crm", [SF])
WRITE = {SF: "/services/data/*/composite/sobjects", HS: "/crm/objects/*/deals/batch/update"}
QUERY = {SF: "/services/data/*/queryAll", HS: "/crm/objects/*/companies/search"}


# -- one refusal among successes -----------------------------------------------------------------------------------------


@both
@pytest.mark.pitfall("R6")
def test_collection_200_with_failures(rig: Any) -> None:
    """A 200, or a 207, holds the failure of one record: that one is reported and kept, the others are written, and the next run mends it."""
    bad, *good = _open(rig)
    if rig.crm == SF:
        rig.org.rules.append(lambda object, row, values, user: RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "No!") if row["Id"] == bad else None)
    else:
        rig.world.faults.add(HS, "row-conflict", parameters={"ids": bad})
    rig.advance(60)
    with overheard(rig) as answers:
        done = rig.sync()
    assert _writes(rig, answers)[0].status == {SF: 200, HS: 207}[rig.crm]
    assert {id: outcome.status for id, outcome in _outcomes(done).items()} == {bad: "rejected", **dict.fromkeys(good, "written")}
    assert done.exit_code == 3
    assert [(letter.record, letter.stream) for letter in rig.app.store.dead_letters.find(NAME)] == [(bad, "push")]
    assert [bool(_scorecard(rig, id)) for id in (bad, *good)] == [False, *[True] * len(good)]
    if rig.crm == SF:
        rig.org.rules.clear()
    rig.world.faults.clear()
    done = rig.sync()
    assert {id: outcome.status for id, outcome in _outcomes(done).items()} == {bad: "written"}
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.pull()
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("R7")
def test_failed_rows_have_no_id(rig: Any) -> None:
    """Of five records the first, third and fifth are refused, each for another reason and none with its id: each reason finds its record."""
    for _ in range(3):
        rig.open_deal(stage="demo")
    ids = sorted(_open(rig))
    codes = {ids[0]: "FIELD_CUSTOM_VALIDATION_EXCEPTION", ids[2]: "REQUIRED_FIELD_MISSING", ids[4]: "DUPLICATES_DETECTED"}
    rig.org.rules.append(lambda object, row, values, user: RowError(codes[row["Id"]], "No!") if row["Id"] in codes else None)
    with overheard(rig) as answers:
        done = rig.sync()
    rows = _writes(rig, answers)[0].json
    assert [row["success"] for row in rows].count(False) == 3
    assert not [row for row in rows if not row["success"] and "id" in row]
    outcomes = _outcomes(done)
    assert {id: outcomes[id].crm_code for id in ids} == {id: codes.get(id) for id in ids}
    assert {id: bool(_scorecard(rig, id)) for id in ids} == {id: id not in codes for id in ids}
    letters = {letter.record: letter.code for letter in rig.app.store.dead_letters.find(NAME)}
    assert letters == {ids[0]: "SC-E121", ids[2]: "SC-E126", ids[4]: "SC-E127"}


@salesforce
@pytest.mark.pitfall("R20")
def test_all_or_none_innocents(rig: Any) -> None:
    """One refused record rolls no other back: a collection is never sent as all or none."""
    bad, *good = _open(rig)
    rig.org.rules.append(lambda object, row, values, user: RowError("REQUIRED_FIELD_MISSING", "No!") if row["Id"] == bad else None)
    with overheard(rig) as answers:
        done = rig.sync()
    writes = _writes(rig, answers)
    assert writes
    assert all(json.loads(a.asked)["allOrNone"] is False for a in writes)
    assert not [a for a in writes if b"ALL_OR_NONE" in a.content]
    assert {id: outcome.status for id, outcome in _outcomes(done).items()} == {bad: "rejected", **dict.fromkeys(good, "written")}
    rig.pull()
    rig.assert_same()


@pytest.mark.parametrize(("crm", "how"), [(SF, "deleted"), (SF, "converted"), (HS, "deleted"), (HS, "merged")])
@pytest.mark.pitfall("R21")
def test_converted_and_deleted_targets(rig: Any, crm: str, how: str) -> None:
    """A record that is deleted, merged or locked for good after the pull: terminal for it, sent once at most, and the others are written."""
    lost, other, *rest = _open(rig)
    if how == "converted":
        refused = RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        rig.org.rules.append(lambda object, row, values, user: refused if row["Id"] == lost else None)
    path = "/crm/objects/*/deals/batch/read" if how == "merged" else WRITE[crm]

    def leave(method: str, asked_for: str) -> None:
        if how != "converted" and fnmatch(asked_for, path) and method in ("PATCH", "POST") and rig.is_live(lost):
            rig.merge_deals(lost, other) if how == "merged" else rig.delete(lost)

    rig.advance(60)
    with overheard(rig, before=leave) as answers:
        done = rig.sync()
    outcomes = _outcomes(done)
    told = {
        "deleted": ("gone", "SC-E128", {SF: "ENTITY_IS_DELETED", HS: "OBJECT_NOT_FOUND"}[crm]),
        "converted": ("rejected", "SC-E129", "CANNOT_UPDATE_CONVERTED_LEAD"),
        "merged": ("gone", "SC-E128", None),
    }
    assert (outcomes[lost].status, outcomes[lost].code, outcomes[lost].crm_code) == told[how]
    good = rest if how == "merged" else [other, *rest]
    assert {id: outcomes[id].status for id in good} == dict.fromkeys(good, "written")
    sent = [a for a in _writes(rig, answers) if lost.encode() in a.asked]
    assert len(sent) == (0 if how == "merged" else 1), "never tried again"
    assert done.exit_code == 3
    if how != "converted":
        rig.advance(60)
        done = rig.sync()
        assert lost in rig.tombstones("opportunities")
        assert lost not in _outcomes(done)
    rig.pull()
    rig.assert_same()


# -- bodies of another kind ----------------------------------------------------------------------------------------------


HTML = b"<html><head><title>Error 404</title></head><body><h2>HTTP ERROR 404</h2></body></html>"
ODD: Mapping[str, tuple[int, bytes, str]] = {
    "an empty 204": (204, b"", ""),
    "an empty 200": (200, b"", "application/json"),
    "HTML as a 200": (200, HTML, "text/html;charset=iso-8859-1"),
    "an object of the token endpoint": (200, b'{"error":"invalid_grant","error_description":"expired"}', "application/json"),
    "a list where an object is expected": (200, b"[]", "application/json"),
    "null": (200, b"null", "application/json"),
    "text": (200, b'"ok"', "application/json"),
}


@both
@pytest.mark.pitfall("R8")
@pytest.mark.parametrize("odd", ODD)
def test_html_404_and_empty_204(rig: Any, odd: str) -> None:
    """An answer of another kind than expected: once, it is asked again; for good, it is one clear error, and what was held stays held."""
    rig.pull(stream="accounts")
    rig.advance(60)
    rig.edit_account(rig.accounts[0], territory="North")
    with overheard(rig, _odd(QUERY[rig.crm], odd, 1)) as answers:
        rig.pull(stream="accounts")
    assert any(a.status == ODD[odd][0] and a.content == ODD[odd][1] for a in answers)
    before = rig.rows("accounts")
    assert before == rig.truth("accounts")
    rig.advance(60)
    rig.edit_account(rig.accounts[0], territory="South")
    with overheard(rig, _odd(QUERY[rig.crm], odd, 1_000)), pytest.raises(ConnectorError) as stopped:
        rig.pull(stream="accounts")
    assert (stopped.value.code, stopped.value.exit_code) == ("SC-E070", 1)
    assert rig.rows("accounts") == before
    rig.pull(stream="accounts")
    assert rig.rows("accounts") == rig.truth("accounts") != before


@both
@pytest.mark.pitfall("R8")
@pytest.mark.parametrize("odd", ["an empty 204", "an object of the token endpoint", "HTML as a 200"])
def test_write_answered_with_something_else(rig: Any, odd: str) -> None:
    """Writes go through and are answered with something else: not known is never taken for done, and nothing of it stays so."""
    rig.advance(60)
    with overheard(rig, _odd(WRITE[rig.crm], odd, 20)):
        done = rig.sync()
    assert {outcome.status for outcome in _outcomes(done).values()} == {"deferred"}
    assert done.exit_code == 3
    assert {letter.record for letter in rig.app.store.dead_letters.find(NAME)} == set(_open(rig))
    rig.advance(60)
    assert rig.sync().exit_code == 0
    assert all(_scorecard(rig, id) for id in _open(rig))
    rig.pull()
    rig.assert_same()


@both
@pytest.mark.pitfall("R8")
def test_404_in_html_for_one_stream(rig: Any) -> None:
    """A 404 whose body is a page: the stream fails with one clear error, the others are read, and nothing that was held is lost."""
    rig.pull()
    before = rig.rows("accounts")
    rig.advance(60)
    deal = rig.open_deal()
    rig.edit_account(rig.accounts[0], territory="North")

    def page(answer: Answer) -> None:
        if answer.of(QUERY[rig.crm]) and (rig.crm == HS or b'"Customer_Type__c"' in answer.content):
            answer.status, answer.content, answer.headers["content-type"] = 404, HTML, "text/html;charset=iso-8859-1"

    with overheard(rig, page):
        done = runs.pull(rig.app, [NAME])
    assert [failure.stream for failure in done.pulls[0].failures] == ["accounts"]
    assert [failure.error.code for failure in done.pulls[0].failures] == [{SF: "SC-E021", HS: "SC-E055"}[rig.crm]]
    assert done.exit_code == 4
    assert rig.rows("accounts") == before
    assert deal in [row["id"] for row in rig.rows("opportunities")]
    rig.pull()
    rig.assert_same()


def _odd(path: str, odd: str, times: int) -> Callable[[Answer], None]:
    """That many answers of a path become an odd one."""
    left = [times]

    def change(answer: Answer) -> None:
        if answer.of(path) and left[0] > 0:
            left[0] -= 1
            answer.status, answer.content, answer.headers["content-type"] = ODD[odd]

    return change


# -- before any call -----------------------------------------------------------------------------------------------------


@both
@pytest.mark.pitfall("R16")
@pytest.mark.parametrize("part", ["read", "written"])
def test_misspelt_property(rig: Any, part: str) -> None:
    """A misspelt name in the mapping: named with the one that was meant, before a record is read or written by it."""
    rig.sync()
    right = {"read": {SF: "LOI_Signed_On__c", HS: "loi_signed"}, "written": {SF: "KPI_Win_Chance__c", HS: "kpi_win_chance"}}[part][rig.crm]
    wrong = right.replace("Signed", "Signd").replace("signed", "signd").replace("Chance", "Chanse").replace("chance", "chanse")
    mapping = rig.own_mappings() / f"{rig.crm}.yaml"
    text = mapping.read_text(encoding="utf-8")
    for end in ("\n", ","):
        text = text.replace(f" {right}{end}", f" {wrong}{end}")
    assert wrong in text
    mapping.write_text(text, encoding="utf-8")
    rig.reopen()
    before = rig.rows("opportunities")
    rig.advance(60)
    rig.edit(rig.deals[0], amount=Decimal(16))
    rig.world.journal.clear()
    done = runs.sync_all(rig.app, [NAME])
    findings = [finding for pull in done.pulls for finding in pull.findings if finding.severity == "error"]
    assert any(wrong in finding.message for finding in findings), findings
    seen = [request for request in asked(rig) if wrong in request]
    assert not seen, "checked before any call"
    assert not [request for request in asked(rig) if request.startswith("PATCH") or "/batch/update" in request]
    assert done.exit_code != 0
    assert [{**row, "observed": None} for row in rig.rows("opportunities")] == [{**row, "observed": None} for row in before]
    told = [finding for finding in live_findings(rig.app, NAME) if wrong in finding.message]
    assert [finding.code for finding in told] == [{"read": "SC-E021", "written": "SC-E154"}[part]]
    assert part == "written" or told[0].suggestion == right
    mapping.write_text(text.replace(wrong, right), encoding="utf-8")
    rig.reopen()
    rig.sync()
    rig.pull()
    rig.assert_same()


# -- limits --------------------------------------------------------------------------------------------------------------


@both
@pytest.mark.pitfall("R18")
def test_limit_header_falls_or_is_missing(rig: Any) -> None:
    """What the header says was used falls from answer to answer, and then the header is gone: a gauge, never a sum. The run's cost is what was
    called, and the budget neither grows nor goes below nothing."""
    if rig.crm == SF:
        rig.org.calls_used = 4_000
    else:
        rig.portal.limits_on = True  # no headers otherwise; a second passes with each call, so that none of the limits is reached
        rig.portal.limits.monotonic = lambda: (rig.now - BEGIN) / timedelta(seconds=1)
    fault = rig.world.faults.add(rig.crm, "falling-limits", times=None, parameters={"by": "10"})
    with overheard(rig, before=lambda *_: rig.advance(1)):
        with rig.app.connected(NAME) as connected:
            meter, used = connected.crm.meter, []
            for _ in range(4):
                connected.crm.check()
                used.append(meter.allocation_used)
        assert fault.struck >= 4
        assert all(0 <= one <= meter.allocation_max for one in used)
        assert rig.crm == HS or used == [used[0]] * 4 != [0] * 4, "it falls with each answer; of the last minute the highest counts"
        for kind in ("falling-limits", "no-limit-headers"):
            rig.world.faults.clear()
            rig.world.faults.add(rig.crm, kind, times=None)
            rig.advance(60)
            before = rig.app.calls_today(NAME)
            rig.world.journal.clear()
            done = runs.pull(rig.app, [NAME])
            assert done.failures == []
            assert done.costs[NAME] == len(rig.world.journal), "what was called, whatever the header says"
            assert rig.app.calls_today(NAME) - before == done.costs[NAME]
    rig.assert_same()


# -- a stale index -------------------------------------------------------------------------------------------------------


@hubspot
@pytest.mark.pitfall("R22")
def test_write_then_stale_search(rig: Any) -> None:
    """After a push the search shows the deals as they were before it, for ten minutes: nothing is written a second time, and the state keeps
    what was written."""
    rig.pull()
    rig.advance(3_600)
    for deal in _open(rig):
        rig.edit(deal, amount=Decimal(22))
    rig.advance(700)
    rig.portal.index_lag = 600
    first = rig.sync()
    assert {outcome.status for outcome in _outcomes(first).values()} == {"written"}
    written = {id: _scorecard(rig, id) for id in _open(rig)}
    assert all(written.values())
    for _ in range(2):
        rig.advance(20)
        with overheard(rig) as answers:
            again = rig.sync()
        hits = [hit for a in answers if a.of("/crm/objects/*/deals/search") for hit in a.json["results"] if hit["id"] in written]
        assert [hit for hit in hits if hit["updatedAt"] < rig.record("deals", hit["id"]).values["hs_lastmodifieddate"]], "old entries are shown"
        assert _outcomes(again) == {}
        assert _writes(rig, answers) == []
        assert {id: _scorecard(rig, id) for id in _open(rig)} == written
    rig.advance(2 * 3_600)
    rig.pull()
    rig.assert_same()


# -- hands ---------------------------------------------------------------------------------------------------------------


def _open(rig: Any) -> list[str]:
    """Deals that a sync writes to."""
    if rig.crm == SF:
        return [id for id in rig.deals if rig.is_live(id) and not rig.org.tables["Opportunity"].rows[id]["IsClosed"]]
    return [id for id in rig.deals if rig.is_live(id) and rig.record("deals", id).values.get("hs_is_closed") != "true"]


def _outcomes(done: Any) -> dict[str, Outcome]:
    return {outcome.update.id: outcome for push in done.pushes for outcome in push.outcomes}


def _writes(rig: Any, answers: list[Answer]) -> list[Answer]:
    return [a for a in answers if a.of(WRITE[rig.crm]) and a.method in ("PATCH", "POST")]


def _scorecard(rig: Any, deal: str) -> dict[str, Any]:
    """What the CRM itself holds of the scorecard of a deal."""
    held = rig.org.tables["Opportunity"].rows[deal] if rig.crm == SF else rig.portal.records["deals"][int(deal)].values
    return {name: value for name, value in held.items() if name.lower().startswith("kpi_") and value not in (None, "")}
