"""Five hundred scorecards of which seven cannot be written: 493 are, seven are explained by name, and nothing is written twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connector import runs
from connector.cli import views
from connector.sandbox.hubspot.values import Problem
from connector.sandbox.salesforce.org import RowError
from tests.pitfalls.catalogue import HS, SF
from tests.pitfalls.overheard import Answer, overheard
from tests.rig import NAME, opened
from tests.scorecards import STAGE

WRITE = {SF: "/services/data/*/composite/sobjects", HS: "/crm/objects/*/deals/batch/update"}


@pytest.mark.parametrize(("crm", "bulk"), [(SF, False), (SF, True), (HS, False)])  # HubSpot has no bulk way of writing
def test_493_are_written_and_7_explained(crm: str, bulk: bool, tmp_path: Path) -> None:
    with opened(crm, tmp_path, more="[connections.crm.limits]\nbulk_write_above = 100\n" if bulk else "") as rig:
        with rig.one_instant():
            while len(_open(rig)) < 500:
                rig.open_deal(rig.accounts[len(rig.deals) % 3], "demo")
        rig.advance(600)
        done = runs.pull(rig.app, [NAME])
        made = runs.plan(rig.app, done, runs.books(rig.app, done))
        assert len(made.plan.updates) == 500
        ids = [update.id for update in made.plan.updates]
        ruled, locked, deleted, edited, overwritten = ids[10:13], ids[60], ids[120], ids[250], ids[499]
        rig.advance(60)
        _break(rig, ruled, locked)
        rig.delete(deleted)
        rig.edit(edited, amount=4711)
        rig.set({SF: "Opportunity", HS: "deals"}[crm], overwritten, **{STAGE[crm]: "lead"})
        with overheard(rig) as answers:
            pushed = runs.push(rig.app, made.plan)
        outcomes = {o.update.id: o for o in pushed.pushes[0].outcomes}
        assert Counter(o.status for o in outcomes.values()) == {"written": 493, "rejected": 4, "gone": 1, "stale": 2}
        assert pushed.exit_code == 3
        codes = {id: outcomes[id].code for id in (*ruled, locked, deleted, edited, overwritten)}
        lock = {SF: "SC-E122", HS: "SC-E129"}[crm]
        assert codes == {
            **dict.fromkeys(ruled, "SC-E121"), locked: lock, deleted: "SC-E128", edited: "SC-E108", overwritten: "SC-E108",
        }  # fmt: skip
        said = "\n".join(line for line in views.pushed(pushed.pushes, names=True) if isinstance(line, str))
        for id, code in codes.items():
            name = outcomes[id].update.name
            assert name
            assert f"{id}  {name}  {code}" in said
        assert "the close date must be in the future" in said
        accepted = Counter(id for answer in answers for id in _accepted(rig, answer))
        if not bulk:
            assert set(accepted) == set(ids) - set(codes)
            assert set(accepted.values()) == {1}, "nothing is written twice"
        assert sum(bool(_stage(rig, id)) for id in ids) == 493 + 1, "and the one that its person typed"
        assert _stage(rig, overwritten) == "lead"
        _then_only_what_is_left(rig, codes, ruled, deleted)


def _then_only_what_is_left(rig: Any, codes: dict[str, str | None], ruled: list[str], deleted: str) -> None:
    """The next run writes the two that had changed, tries the refused ones again, and leaves the 493 alone."""
    rig.advance(600)
    again = rig.sync()
    [deals] = [stream for stream in again.pulls[0].streams if stream.stream == "opportunities"]
    assert {o.update.id for o in again.pushes[0].outcomes} == set(codes) - {deleted}
    assert deals.records - deals.echoes <= len(codes), "what came back of our own writes is nothing new"
    assert len(again.pushes[0].healed) == 0, "a first fill heals nothing"
    if rig.crm == SF:
        rig.org.rules.clear()
        rig.org.locked.clear()
    else:
        rig.portal.rules.clear()
    rig.world.faults.clear()
    rig.advance(600)
    last = rig.sync()
    assert {o.update.id: o.status for o in last.pushes[0].outcomes} == dict.fromkeys([*ruled, *_locked(codes)], "written")
    rig.advance(600)
    assert rig.sync().pushes == []
    assert rig.app.store.audit.verify().broken is None


def _locked(codes: dict[str, str | None]) -> list[str]:
    return [id for id, code in codes.items() if code in ("SC-E122", "SC-E129")]


def _open(rig: Any) -> list[str]:
    if rig.crm == SF:
        return [id for id in rig.deals if not rig.org.tables["Opportunity"].rows[id]["IsClosed"]]
    return [id for id in rig.deals if rig.record("deals", id).values.get("hs_is_closed") != "true"]


def _break(rig: Any, ruled: list[str], locked: str) -> None:
    """Three deals violate a rule of the admin; one is held by another process (HubSpot: a conflict inside a 207)."""
    said = "the close date must be in the future"
    if rig.crm == SF:
        rig.org.rules.append(lambda object, row, values, user: RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", said) if row["Id"] in ruled else None)
        rig.org.locked.add(locked)
    else:
        rig.portal.rules.append(lambda record, wanted: Problem(STAGE[HS], "RULE", said) if str(record.id) in ruled else None)
        rig.world.faults.add(HS, "row-conflict", times=None, parameters={"ids": locked})


def _accepted(rig: Any, answer: Answer) -> list[str]:
    """The records of one write call that the CRM took."""
    if not answer.of(WRITE[rig.crm]) or answer.method not in ("PATCH", "POST") or answer.status not in (200, 207):
        return []
    if rig.crm == SF:
        sent = [record["id"] for record in json.loads(answer.asked)["records"]]
        return [id for id, row in zip(sent, answer.json, strict=True) if row["success"]]
    return [str(row["id"]) for row in answer.json["results"]]


def _stage(rig: Any, id: str) -> str | None:
    held = rig.org.tables["Opportunity"].rows[id] if rig.crm == SF else rig.portal.records["deals"][int(id)].values
    return held.get(STAGE[rig.crm]) or None
