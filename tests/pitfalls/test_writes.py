"""Writing back: what a refusal, a lock, an echo or a value that does not fit does, and what it never does."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from connector import runs
from connector.crms.base import Update
from connector.rollback import rollback
from connector.sandbox.hubspot.values import Problem
from connector.sandbox.salesforce.org import RowError
from connector.sandbox.salesforce.schema import Pick
from connector.scorecard.apply import Outcome
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.pitfalls.overheard import Answer, overheard
from tests.rig import NAME, opened
from tests.scorecards import STAGE

both = pytest.mark.parametrize("crm", BOTH)
hubspot = pytest.mark.parametrize("crm", [HS])
salesforce = pytest.mark.parametrize("crm", [SF])
WRITE = {SF: "/services/data/*/composite/sobjects", HS: "/crm/objects/*/deals/batch/update"}
GATES = {SF: "KPI_Open_Gates__c", HS: "kpi_open_gates"}
BULK = "[connections.crm.limits]\nbulk_write_above = 1\n"


# -- echoes ----------------------------------------------------------------------------------------------------------


@both
@pytest.mark.pitfall("18")
def test_own_write_is_not_a_change(rig: Any) -> None:
    """Our write moves the deal's stamp and comes back: the pull counts it as nothing new, nothing is planned, and no clock of buyer or seller
    moves. An edit of a person does count."""
    rig.advance(60)
    rig.sync()
    before = _inputs(rig)
    activities, changes = rig.rows("activities"), rig.rows("changes")
    rig.advance(900)
    echo = runs.sync_all(rig.app, [NAME])
    deals = next(s for s in echo.pulls[0].streams if s.stream == "opportunities")
    assert deals.records == deals.echoes, "what came back is what we wrote"
    assert deals.records or rig.crm == HS, "Salesforce does send it back; HubSpot's version is known and skipped"
    assert _outcomes(echo) == {}
    assert echo.made is not None
    assert echo.made.plan.updates == ()
    assert (rig.rows("activities"), rig.rows("changes")) == (activities, changes)
    assert _inputs(rig) == before
    rig.advance(900)
    deal = _open(rig)[0]
    rig.move(deal, "pilot")
    rig.advance(60)
    changed = runs.sync_all(rig.app, [NAME])
    assert changed.pulls[0].changed > 0
    assert set(_outcomes(changed)) == {deal}
    rig.pull()
    rig.assert_same()


@both
@pytest.mark.pitfall("64")
def test_unchanged_rerun_writes_nothing(rig: Any) -> None:
    """A second and a third sync send no write; a value that somebody overwrote is written once more, and said to be healed."""
    rig.advance(60)
    rig.sync()
    for _ in range(2):
        rig.advance(900)
        with overheard(rig) as answers:
            again = rig.sync()
        assert (_outcomes(again), again.exit_code, _writes(rig, answers)) == ({}, 0, [])
    deal = _open(rig)[0]
    ours = _held(rig, deal)[STAGE[rig.crm]]
    rig.advance(60)
    _overwrite(rig, deal, "Nonsense" if rig.crm == SF else "lead")
    rig.advance(900)
    healing = rig.sync()
    assert {id: o.status for id, o in _outcomes(healing).items()} == {deal: "written"}
    assert healing.pushes[0].healed == ((deal, STAGE[rig.crm]),)
    assert _held(rig, deal)[STAGE[rig.crm]] == ours
    [row] = [row for row in rig.app.store.audit.tail() if row.action == "push.ended" and deal in row.detail]
    assert json.loads(row.detail)["healed"] == {deal: [STAGE[rig.crm]]}
    written = [w.before for w in rig.app.store.ledger.of_record(NAME, deal) if w.field == STAGE[rig.crm]]
    assert written[-1] == ("Nonsense" if rig.crm == SF else "lead"), "the person's value is kept in the before-image"


# -- bulk --------------------------------------------------------------------------------------------------------------


@salesforce
@pytest.mark.pitfall("56")
def test_csv_null_is_hash_na(crm: str, tmp_path: Path) -> None:
    """By a Bulk job: what becomes empty is sent as #N/A and is empty then; a field that another row sets and this one does not stays as it
    is; quotes, commas and line breaks arrive as they are."""
    with opened(crm, tmp_path, more=BULK) as rig:
        first, second = _open(rig)
        rig.set("Opportunity", first, KPI_Open_Gates__c='said "a", b\nand c')
        rig.set("Opportunity", second, KPI_Stale_Reason__c="late")
        rig.pull()
        with rig.app.connected(NAME) as connected:
            values = 'x "1", 2\nand 3'
            updates = [
                Update("Opportunity", first, {"KPI_Open_Gates__c": None, "KPI_Personas__c": values}),
                Update("Opportunity", second, {"KPI_Stage__c": "Demo", "KPI_Regressions__c": 0, "KPI_Win_Chance__c": 54.0}),
            ]
            with overheard(rig) as answers:
                results = {r.id: r.status for r in connected.crm.write(updates)}
        assert results == {first: "written", second: "written"}
        assert not _writes(rig, answers), "by the job alone"
        [upload] = [a for a in answers if a.method == "PUT"]
        rows = {row["Id"]: row for row in csv.DictReader(io.StringIO(upload.asked.decode()))}
        assert rows[first]["KPI_Open_Gates__c"] == "#N/A"
        assert (rows[first]["KPI_Stage__c"], rows[second]["KPI_Open_Gates__c"]) == ("", "")
        held = {id: rig.org.tables["Opportunity"].rows[id] for id in (first, second)}
        assert held[first].get("KPI_Open_Gates__c") is None
        assert held[first]["KPI_Personas__c"] == values
        assert (held[second]["KPI_Stale_Reason__c"], held[second]["KPI_Regressions__c"], held[second]["KPI_Win_Chance__c"]) == ("late", 0, 54)


@salesforce
@pytest.mark.pitfall("57")
@pytest.mark.parametrize("how", ["failed rows", "an aborted job", "no job is taken"])
def test_failed_rows_of_a_green_job_are_read(crm: str, how: str, tmp_path: Path) -> None:
    """JobComplete says nothing of its rows: the refused one is reported with the org's reason. What a failed job never came to goes another
    way, and so does everything where the org takes no job."""
    with opened(crm, tmp_path, more=BULK) as rig:
        for _ in range(3):
            rig.open_deal(stage="demo")
        bad, *good = _open(rig)
        rig.org.rules.append(lambda object, row, values, user: _rule() if row["Id"] == bad else None)
        if how == "an aborted job":
            rig.org.bulk.failing.append("InternalServerError")
        if how == "no job is taken":
            rig.org.bulk.most_batches = 0
        with overheard(rig) as answers:
            done = rig.sync()
        lists = [a.path.rpartition("/")[2] for a in answers if a.method == "GET" and a.of("*/jobs/ingest/*/*")]
        assert lists == ([] if how == "no job is taken" else ["successfulResults", "failedResults", "unprocessedrecords"])
        assert bool(_writes(rig, answers)) is (how != "failed rows")
        assert {id: o.status for id, o in _outcomes(done).items()} == {bad: "rejected", **dict.fromkeys(good, "written")}
        assert (_outcomes(done)[bad].code, _outcomes(done)[bad].crm_code) == ("SC-E121", "FIELD_CUSTOM_VALIDATION_EXCEPTION")
        assert done.exit_code == 3
        assert {id: bool(_held(rig, id)) for id in (bad, *good)} == {bad: False, **dict.fromkeys(good, True)}
        rig.pull()
        rig.assert_same()


# -- one record among many ---------------------------------------------------------------------------------------------


@hubspot
@pytest.mark.pitfall("58")
def test_207_is_not_success(rig: Any) -> None:
    """A 207 names one record that failed: the others are written, that one is not taken for written."""
    bad, *good = _open(rig)
    rig.advance(60)
    rig.world.faults.add(HS, "row-conflict", parameters={"ids": bad})
    with overheard(rig) as answers:
        done = rig.sync()
    assert _writes(rig, answers)[0].status == 207
    assert {id: o.status for id, o in _outcomes(done).items()} == {bad: "rejected", **dict.fromkeys(good, "written")}
    assert done.exit_code == 3
    assert [w.status for w in rig.app.store.ledger.of_record(NAME, bad)][-1] == "rejected"


@both
@pytest.mark.pitfall("58b")
def test_bad_row_does_not_stop_the_batch(rig: Any) -> None:
    """One record of six is refused, on HubSpot with a 400 for the whole batch: five are written, one is reported with the CRM's own words."""
    for _ in range(4):
        rig.open_deal(stage="demo")
    bad, *good = _open(rig)
    _refuse(rig, bad)
    rig.advance(60)
    with overheard(rig) as answers:
        done = rig.sync()
    assert {id: o.status for id, o in _outcomes(done).items()} == {bad: "rejected", **dict.fromkeys(good, "written")}
    assert _outcomes(done)[bad].code == "SC-E121"
    assert "close date" in str(_outcomes(done)[bad].message)
    assert len([a for a in _writes(rig, answers) if bad.encode() in a.asked]) <= 4, "halved, not sent one by one"
    assert all("objectWriteTraceId" in one for a in _writes(rig, answers) if rig.crm == HS for one in json.loads(a.asked)["inputs"])


@hubspot
@pytest.mark.pitfall("58c")
def test_silent_no_op_is_noticed(rig: Any) -> None:
    """A 200 that shows another value than was sent, and a record that holds it: looked at again, and reported as not written."""
    bad, *good = _open(rig)

    def undo(answer: Answer) -> None:
        if not answer.of(WRITE[HS]) or answer.status != 200:
            return
        rig.record("deals", bad).values["kpi_stage"] = ""
        body = answer.json
        for shown in body["results"]:
            if shown["id"] == bad:
                shown["properties"]["kpi_stage"] = None
        answer.json = body

    rig.advance(60)
    with overheard(rig, undo):
        done = rig.sync()
    assert {id: o.status for id, o in _outcomes(done).items()} == {bad: "rejected", **dict.fromkeys(good, "written")}
    assert (_outcomes(done)[bad].crm_code, done.exit_code) == ("SILENT_NO_OP", 3)
    assert "kpi_stage" in str(_outcomes(done)[bad].message)


@hubspot
@pytest.mark.parametrize("empties", [("kpi_stage",), ("kpi_stage", "kpi_pace")])
def test_what_took_of_a_write_that_did_not_as_a_whole_is_ours_and_can_be_taken_back(rig: Any, empties: tuple[str, ...]) -> None:
    """A workflow of the portal empties a field as soon as it is set. The deal is reported as not written, by name; the ledger knows field by field
    what the CRM holds of it, and a rollback takes exactly that away."""
    bad, *_ = _open(rig)

    def workflow(answer: Answer) -> None:
        if not answer.of(WRITE[HS]) or answer.status != 200:
            return
        body = answer.json
        for shown in body["results"]:
            if shown["id"] == bad:
                for name in empties:
                    rig.record("deals", bad).values[name] = ""
                    shown["properties"][name] = None
        answer.json = body

    def held() -> dict[str, str]:
        return {name: value for name, value in rig.record("deals", bad).values.items() if name.startswith("kpi_") and value}

    before = held()
    rig.advance(60)
    with overheard(rig, workflow):
        done = rig.sync()
    assert (_outcomes(done)[bad].status, done.exit_code) == ("rejected", 3)
    run = int(rig.app.store.runs.last(NAME, kinds=("push",)).id)
    booked = {write.field: write.status for write in rig.app.store.ledger.of_run(run) if write.record == bad}
    assert len(held()) > 2
    assert booked == {**dict.fromkeys(held(), "written"), **{name: "rejected" for name in empties if name in booked}}
    assert {name for name, value in rig.app.store.observed(NAME)[bad].observed.items() if value} >= held().keys()
    [batch] = [json.loads(row.detail) for row in rig.app.store.audit.tail() if row.action == "batch.written" and "in_part" in row.detail]
    assert (batch["records"]["rejected"], batch["in_part"]) == ([bad], {bad: sorted(held())})
    assert rollback(rig.app, run).exit_code == 0
    assert held() == before


@salesforce
@pytest.mark.pitfall("60")
def test_lock_and_governor_errors_shrink_the_batch(rig: Any) -> None:
    """Deals go sorted by account. A governor error halves the batch for good; a locked record is left to the end and tried alone; nothing
    that was written is sent again."""
    for account in (rig.accounts[1], rig.accounts[0]) * 4:
        rig.open_deal(account, "demo")
    ids = _open(rig)
    locked = ids[2]
    rig.org.locked.add(locked)
    calls: list[list[str]] = []

    def heavy(answer: Answer) -> None:
        if not answer.of(WRITE[SF], "PATCH"):
            return
        sent = [record["id"] for record in json.loads(answer.asked)["records"]]
        calls.append(sent)
        if sent == [locked]:
            rig.org.locked.discard(locked)  # free by its second turn alone

    def governor(object: str, row: Any, values: Any, user: str) -> RowError | None:
        too_many = len(calls) == 0
        return (
            RowError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "DealTrigger: System.LimitException: Too many SOQL queries: 101") if too_many else None
        )

    rig.org.rules.append(governor)
    with overheard(rig, heavy):
        done = rig.sync()
    assert {o.status for o in _outcomes(done).values()} == {"written"}
    assert set(_outcomes(done)) == set(ids)
    accounts = [rig.org.tables["Opportunity"].rows[id]["AccountId"] for id in calls[0]]
    assert accounts == sorted(accounts), "by account"
    assert len(calls[0]) == len(ids)
    assert max(len(sent) for sent in calls[1:]) <= (len(ids) + 1) // 2, "halved, and it stays so"
    assert calls[-1] == [locked]
    assert [locked] not in calls[:-2], "alone at the end only"
    later = [id for sent in calls[1:] for id in sent if id != locked]
    assert sorted(later) == sorted(set(later)), "nothing twice"


@both
@pytest.mark.pitfall("61")
def test_failed_update_never_creates(rig: Any) -> None:
    """A deal that is gone when its turn comes, and one that is refused: the number of deals stays, and nothing but updates is sent."""
    rig.open_deal(stage="demo")
    lost, bad, *_ = _open(rig)
    rig.advance(60)
    _refuse(rig, bad)

    def leave(method: str, path: str) -> None:
        if fnmatch(path, WRITE[rig.crm]) and method in ("PATCH", "POST") and rig.is_live(lost):
            rig.delete(lost)

    before = _count(rig)
    with overheard(rig, before=leave) as answers:
        done = rig.sync()
    assert {_outcomes(done)[id].status for id in (lost, bad)} == {"gone", "rejected"}
    assert _count(rig) == before
    sent = [a for a in answers if a.method in ("POST", "PATCH", "PUT") and lost.encode() in a.asked]
    assert not [a for a in sent if a.of("*/create") or a.of("*upsert*") or (a.method == "POST" and a.of("*/sobjects/Opportunity/"))]
    reads = ("*/batch/read", "*/composite/sobjects/Opportunity", "*/search", "*/oauth*", "*/token")
    assert {a.path for a in sent if not any(a.of(path) for path in (*reads, WRITE[rig.crm]))} == set()


@both
@pytest.mark.pitfall("62")
@pytest.mark.parametrize("when", ["seen before", "found out"])
def test_rejected_field_is_reported_not_dropped(rig: Any, when: str) -> None:
    """A field that may not be written: where the schema tells, nothing is sent at all; where only the refusal does, it is reported, and the
    record is never sent again without the field."""
    rig.pull()
    if when == "seen before":
        _close(rig, STAGE[rig.crm])
    elif rig.crm == SF:
        refusal = RowError("INVALID_FIELD_FOR_INSERT_UPDATE", f"Unable to create/update fields: {STAGE[SF]}", (STAGE[SF],))
        rig.org.rules.append(lambda object, row, values, user: refusal if STAGE[SF] in values else None)
    else:
        rig.portal.rules.append(lambda record, wanted: Problem(STAGE[HS], "READ_ONLY_VALUE", "is read-only") if STAGE[HS] in wanted else None)
    rig.advance(60)
    with overheard(rig) as answers:
        done = rig.sync()
    sent = [record for a in _writes(rig, answers) for record in _records(rig, a)]
    if when == "seen before":
        assert sent == []
        assert [t.code for push in done.pushes for t in push.trips] == ["SC-E153"]
        assert done.exit_code == 4
    else:
        assert sent
        assert all(STAGE[rig.crm] in record for record in sent), "never without the field"
        assert {o.status for o in _outcomes(done).values()} == {"rejected"}
        assert {o.code for o in _outcomes(done).values()} == {{SF: "SC-E153", HS: "SC-E124"}[rig.crm]}
        assert done.exit_code == 3
    assert not any(_held(rig, id) for id in _open(rig))


# -- values that do not fit --------------------------------------------------------------------------------------------


@both
@pytest.mark.pitfall("59")
def test_picklist_checked_per_record_type(rig: Any) -> None:
    """An option that the field offers, but not to deals of this record type (on HubSpot: one that is hidden now): said before sending, by
    name; deals with other values are written."""
    demo, other = _open(rig)[1], _open(rig)[0]
    if rig.crm == SF:
        _restrict(rig, [*_labels(rig)])
        capital = rig.org.tables["Opportunity"].rows[demo]["RecordTypeId"]
        rig.org.granted[capital, STAGE[SF]] = frozenset(_labels(rig)) - {"Demo"}
    else:
        held = rig.portal.properties["deals"][STAGE[HS]]
        rig.portal.properties["deals"][STAGE[HS]] = replace(held, hidden_options=frozenset({"demo"}))
    _refused_before_sending(rig, demo, other, "SC-E123")


@both
@pytest.mark.pitfall("63")
def test_unknown_option_is_never_replaced_by_the_first(rig: Any) -> None:
    """An option that the field does not have at all: the deal is not sent, neither with the first option nor without the field."""
    demo, other = _open(rig)[1], _open(rig)[0]
    if rig.crm == SF:
        _restrict(rig, [label for label in _labels(rig) if label != "Demo"])
    else:
        held = rig.portal.properties["deals"][STAGE[HS]]
        options = tuple(option for option in held.options if "demo" not in option)
        assert len(options) == len(held.options) - 1
        rig.portal.properties["deals"][STAGE[HS]] = replace(held, options=options)
    _refused_before_sending(rig, demo, other, "SC-E123")


@both
@pytest.mark.pitfall("65")
def test_too_long_is_invalid_not_truncated(rig: Any) -> None:
    """A text that does not fit is ours to mend: its deal is not sent, whole or cut, and the other deals are."""
    path = rig.own_mappings() / "stages.yaml"
    text = path.read_text(encoding="utf-8")
    assert "label: VAC," in text or "label: VAC\n" in text or "label: VAC}" in text
    for end in (",", "}", "\n"):
        text = text.replace(f"key: vac,         label: VAC{end}", f"key: vac,         label: {'V' * 300}{end}").replace(
            f"key: vac, label: VAC{end}", f"key: vac, label: {'V' * 300}{end}"
        )
    assert "V" * 300 in text
    path.write_text(text, encoding="utf-8")
    rig.reopen()
    deal, other = _open(rig)[:2]
    opened_on = {SF: {"VAC_Submitted_On__c": "2026-10-20"}, HS: {"vac_submitted": "2026-10-20"}}[rig.crm]
    rig.set({SF: "Opportunity", HS: "deals"}[rig.crm], deal, **opened_on)
    _refused_before_sending(rig, deal, other, "SC-E130")


def _refused_before_sending(rig: Any, bad: str, other: str, code: str) -> None:
    rig.advance(60)
    with overheard(rig) as answers:
        done = rig.sync()
    assert not [a for a in _writes(rig, answers) if bad.encode() in a.asked], "not sent"
    assert done.made is not None
    assert {(f.code, f.path) for f in done.made.plan.invalid} == {(code, f"{NAME}:{bad}")}
    assert (bad in _outcomes(done), _outcomes(done)[other].status, done.exit_code) == (False, "written", 4)
    assert not _held(rig, bad)
    [letter] = [x for x in rig.app.store.dead_letters.find(NAME) if x.record == bad]
    assert (letter.code, letter.message.startswith("not sent: ")) == (code, True)
    rig.pull()


# -- hands -------------------------------------------------------------------------------------------------------------


def _open(rig: Any) -> list[str]:
    """Deals that a sync writes to."""
    if rig.crm == SF:
        return [id for id in rig.deals if rig.is_live(id) and not rig.org.tables["Opportunity"].rows[id]["IsClosed"]]
    return [id for id in rig.deals if rig.is_live(id) and rig.record("deals", id).values.get("hs_is_closed") != "true"]


def _inputs(rig: Any) -> list[dict[str, Any]]:
    """The deals of the state, without our own fields."""
    return [{**row, "observed": None} for row in rig.rows("opportunities")]


def _outcomes(done: Any) -> dict[str, Outcome]:
    return {outcome.update.id: outcome for push in done.pushes for outcome in push.outcomes}


def _writes(rig: Any, answers: list[Answer]) -> list[Answer]:
    return [a for a in answers if a.of(WRITE[rig.crm]) and a.method in ("PATCH", "POST")]


def _records(rig: Any, answer: Answer) -> Iterator[dict[str, Any]]:
    body = json.loads(answer.asked)
    yield from body["records"] if rig.crm == SF else (one["properties"] for one in body["inputs"])


def _held(rig: Any, deal: str) -> dict[str, Any]:
    """What the CRM itself holds of the scorecard of a deal."""
    held = rig.org.tables["Opportunity"].rows[deal] if rig.crm == SF else rig.portal.records["deals"][int(deal)].values
    return {name: value for name, value in held.items() if name.lower().startswith("kpi_") and value not in (None, "")}


def _overwrite(rig: Any, deal: str, value: str) -> None:
    rig.set({SF: "Opportunity", HS: "deals"}[rig.crm], deal, **{STAGE[rig.crm]: value})


def _rule() -> RowError:
    return RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "the close date must be in the future")


def _refuse(rig: Any, bad: str) -> None:
    """A rule of the admin's, about this one deal."""
    if rig.crm == SF:
        rig.org.rules.append(lambda object, row, values, user: _rule() if row["Id"] == bad else None)
    else:
        said = Problem(STAGE[HS], "RULE", "the close date must be in the future")
        rig.portal.rules.append(lambda record, wanted: said if str(record.id) == bad else None)


def _count(rig: Any) -> int:
    return len(rig.org.tables["Opportunity"].rows if rig.crm == SF else rig.portal.records["deals"])


def _labels(rig: Any) -> list[str]:
    return [rung.label for rung in rig.app.definitions.ladder.ladder]


def _change(rig: Any, name: str, **values: Any) -> None:
    """The admin of the org changes a field of the deal."""
    definition = rig.org.schema["Opportunity"]
    field = replace(definition.fields[name], **values)
    rig.org.schema["Opportunity"] = replace(definition, fields={**definition.fields, name: field})
    rig.advance(5)
    rig.org.schema_changed["Opportunity"] = rig.now.replace(microsecond=0)


def _close(rig: Any, name: str) -> None:
    if rig.crm == SF:
        _change(rig, name, updateable=False)
    else:
        held = rig.portal.properties["deals"][name]
        rig.portal.properties["deals"][name] = replace(held, read_only=True)


def _restrict(rig: Any, options: list[str]) -> None:
    """The stage field becomes a restricted picklist."""
    _change(rig, STAGE[SF], type="picklist", restricted=True, options=tuple(Pick(option) for option in options))
