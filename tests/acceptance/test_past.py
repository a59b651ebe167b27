"""What runs leave behind on the sandbox: snapshots, missed targets, alerts; and the past computed again from history."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.app import App
from connector.cli.main import main
from tests.acceptance.harness import Project
from tests.mailbox import Hook, Mailbox

CONNECTIONS = ("sf-demo", "hs-demo")
Key = tuple[str, str, str, str, str]


def targets(project: Project, *lines: str) -> None:
    """The project's targets are these and no others."""
    path = project.root / "mappings" / "kpis.yaml"
    head, _, rest = path.read_text(encoding="utf-8").partition("targets:\n")
    path.write_text(head + "targets:\n" + "".join(f"  {line}\n" for line in lines) + rest[rest.index("\n# A KPI whose input") :], encoding="utf-8")


def computed(project: Project, *words: str) -> dict[Key, dict[str, Any]]:
    rows = project.ok("kpis", "compute", *words)["result"]["measures"]
    return {(r["connection"], r["kpi"], r["variant"], r["subject"], r["window"]): r for r in rows}


# -- the past ------------------------------------------------------------------------------------------------------

GATES = "gates are date fields and flags of the deal: filled in later, a date lies in the past, and no CRM says since when it is known"
OWNERS = "Salesforce tells no history of a deal's owner to this connector"
PRESENT_ONLY: dict[str, tuple[str, str]] = {
    "data_health_score": ("", "next step, product and contact have no history: whether they were filled is known for today only"),
    "time_in_compliance_review": ("", GATES),
    "deals_stuck_in_compliance_review": ("", GATES),
    "weekly_three.in_compliance_review": ("", GATES),
}
"""KPI, or KPI and variant → subjects concerned ("": all), and why what it said on a past day cannot be computed again.

Beside these nothing differs but rows of owners on Salesforce, and deals that have been deleted or merged since, which leave no trace (R19).
"""


def excused(key: Key) -> bool:
    connection, kpi, variant, subject, _ = key
    by_owner = connection == "sf-demo" and "owner=" in subject
    return by_owner or kpi in PRESENT_ONLY or f"{kpi}.{variant}" in PRESENT_ONLY


def live(project: Project) -> set[tuple[str, str]]:
    with sqlite3.connect(project.root / "state" / "connector.db") as db:
        return set(db.execute("select connection, id from opportunities where not deleted and merged_into is null"))


def bury(root: Path, deals: set[tuple[str, str]]) -> None:
    with sqlite3.connect(root / "state" / "connector.db") as db:
        db.executemany("update opportunities set deleted = 1 where connection = ? and id = ?", sorted(deals))


def test_the_past_computed_again_is_what_was_stored_then(project: Project, tmp_path: Path) -> None:
    """Two weeks later, with deals moved, won, repriced and put off, the book of the first day says again what it said on that day."""
    first = project.ok("sync")
    instants = {p["connection"]: p["as_of"] for p in first["result"]["pulls"]}
    stored = snapshots(project)
    then, old = live(project), replace(project, root=tmp_path / "then")
    shutil.copytree(project.root, old.root)
    for days in (1, 3, 4, 6):
        project.world.tick(days)
        project.ok("sync", "--pull-only")
    lost = {deal for deal in then ^ live(project) if deal in then} | merged_since(project, instants, then)
    assert 0 < len(lost) < 8
    before = computed(old, "--all")
    moved = computed(project, "--all")
    assert sum(moved.get(key, {}).get("value") != row["value"] for key, row in before.items()) > 500, "two weeks without a change prove nothing"
    kept = {key: before[key]["value"] for key in stored}
    assert {key: float(value) if value is not None else None for key, value in kept.items()} == pytest.approx(stored)
    for root in (old.root, project.root):
        bury(root, lost)
    for connection, at in instants.items():
        was = computed(old, "--all", "--connection", connection)
        again = computed(project, "--all", "--connection", connection, "--as-of", at)
        differing = {key for key in was.keys() | again.keys() if essence(was.get(key)) != essence(again.get(key))}
        unexcused = sorted(key for key in differing if not excused(key))
        assert not unexcused, [(" ".join(key), essence(was.get(key)), essence(again.get(key))) for key in unexcused[:8]]
        assert len(was) > 1000
        assert "time_in_compliance_review" in {key[1] for key in differing}, "no longer to be excused"


def merged_since(project: Project, instants: dict[str, str], then: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Deals of a merge: they are new, but were created before the first day."""
    with sqlite3.connect(project.root / "state" / "connector.db") as db:
        rows = db.execute("select connection, id, created_at from opportunities where not deleted").fetchall()
    day = {connection: at[:10] for connection, at in instants.items()}
    return {(connection, id) for connection, id, created in rows if (connection, id) not in then and created[:10] < day[connection]}


def essence(row: dict[str, Any] | None) -> tuple[Any, ...] | None:
    return None if row is None else tuple(row[name] for name in ("value", "n", "pending", "excluded", "reason", "ci_low", "ci_high"))


def snapshots(project: Project) -> dict[Key, float | None]:
    with App(project.root) as app:
        return {
            (name, row["kpi"], row["variant"], row["subject"], row["window"] or ""): row["value"]
            for name in CONNECTIONS for row in app.store.snapshots(name)
        }  # fmt: skip


# -- what is stored ------------------------------------------------------------------------------------------------


def test_every_run_stores_the_measures_of_its_day(project: Project) -> None:
    project.ok("sync", "--pull-only")
    first = snapshots(project)
    kpis = {key[1] for key in first}
    assert kpis >= {"weighted_pipeline_coverage", "expected_arr_by_quarter_end", "weekly_three", "stale_pipeline_share", "win_rate"}
    assert {key[3].partition("=")[0] for key in first} == {"company", "owner", "segment"}
    assert not [key for key in first if key[3] != "company" and key[4].startswith("FY") and key[4] != quarter(project)]
    project.world.tick(1)
    project.ok("sync", "--pull-only")
    with App(project.root) as app:
        days = [sorted({row["date"] for row in app.store.snapshots(name)}) for name in CONNECTIONS]
    assert [len(found) for found in days] == [2, 2]
    assert project.ok("sync", "--as-of", "2026-11-01")["summary"]["targets_missed"] == 0  # neither kept nor judged: it is no day's last word
    with App(project.root) as app:
        assert date(2026, 11, 1) not in {row["date"] for row in app.store.snapshots("sf-demo")}


def quarter(project: Project) -> str:
    return next(key[4] for key in snapshots(project) if key[1] == "expected_arr_by_quarter_end")


def test_an_idle_pull_computes_nothing_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.ok("sync", "--pull-only")
    project.world.clock.advance_to(project.world.clock.now + timedelta(hours=3))  # what the bookmarks stay behind by has passed
    project.ok("sync", "--pull-only")
    kept = snapshots(project)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a book was made")

    monkeypatch.setattr("connector.sync.book", refuse)
    project.ok("sync", "--pull-only")
    assert snapshots(project) == kept


def test_a_pull_that_lost_a_stream_is_no_snapshot(project: Project) -> None:
    """Without its deals a company has no pipeline, and every target is missed: better nothing than that."""
    path = project.root / "mappings" / "salesforce.yaml"
    text = path.read_text(encoding="utf-8")
    assert "{from: Amount" in text
    path.write_text(text.replace("{from: Amount", "{from: Amount_Gone__c", 1), encoding="utf-8")
    code, document = project.run("sync", "--pull-only")
    assert code == 4
    assert document["result"]["targets_missed"]["sf-demo"] == []
    assert {key[0] for key in snapshots(project)} == {"hs-demo"}


# -- targets and alerts --------------------------------------------------------------------------------------------

FLOOR = "- {kpi: open_pipeline_value, at_least: %s}"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook().open() as made:
        yield made


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with Mailbox().open() as made:
        yield made


def listen(project: Project, hook: Hook, box: Mailbox) -> None:
    path = project.root / "connector.toml"
    path.write_text(
        path.read_text(encoding="utf-8")
        + f'''
[privacy]
deal_names = "omit"
[alerts.webhook]
url = "{hook.url}"
[alerts.smtp]
host = "127.0.0.1"
port = {box.port}
security = "none"
from = "revops@example.com"
to = ["cro@example.com"]
''',
        encoding="utf-8",
    )


def test_missed_targets_are_shown_and_told_once_and_again_when_they_change(project: Project, hook: Hook, box: Mailbox) -> None:
    listen(project, hook, box)
    targets(project, FLOOR % "1e12", "- {kpi: open_pipeline_value, subject: owner=*, at_most: 1e12}", "- {kpi: win_rate, at_least: 0}")

    first = project.ok("sync", "--pull-only")
    assert first["summary"]["targets_missed"] == 2
    assert {name: [row["kpi"] for row in rows] for name, rows in first["result"]["targets_missed"].items()} == {
        name: ["open_pipeline_value"] for name in CONNECTIONS
    }
    (body,), (mail,) = hook.bodies, box.mails
    assert body["counts"] == {"new": 2, "changed": 0, "standing": 0, "ended": 0}
    assert {(row["connection"], row["subject"]) for row in body["alerts"]} == {(name, "company") for name in CONNECTIONS}
    assert mail["Subject"] == "[project] 2 targets missed"
    assert "at least 1,000,000,000,000 wanted" in mail.get_content()

    for _ in range(2):
        assert project.ok("sync")["summary"]["targets_missed"] == 2
    assert (len(hook.bodies), len(box.mails)) == (1, 1)

    hook.answers = [503, 503, 503]
    targets(project, "- {kpi: open_pipeline_value, at_least: 1e12, no_go: {below: 1e11}}")
    failed = project.ok("sync")
    assert [(f["code"], f["severity"], f["message"]) for f in failed["findings"] if f["code"] == "SC-W099"] == [
        ("SC-W099", "warning", "webhook: 2 alerts not delivered: 127.0.0.1 answered 503")
    ]
    assert box.mails[-1]["Subject"] == "[project] 2 targets changed (2 no-go)"
    again = project.ok("sync", "--pull-only")
    assert not [f for f in again["findings"] if f["code"] == "SC-W099"]
    assert hook.bodies[-1]["counts"] == {"new": 0, "changed": 2, "standing": 0, "ended": 0}
    assert (len(hook.bodies), len(box.mails)) == (5, 2)

    status = project.ok("status")
    assert status["summary"]["targets_missed"] == 2
    for name in CONNECTIONS:
        (row,) = status["result"][name]["targets_missed"]
        assert (row["kpi"], row["no_go"], row["wanted"]) == ("open_pipeline_value", True, "at_least 1000000000000")
    main(["--project", str(project.root), "status"])
    lines = [line for line in project.say().out.splitlines() if "NO-GO" in line]
    assert [line.split(": ")[:2] for line in lines] == [[name, "NO-GO"] for name in CONNECTIONS]

    targets(project, FLOOR % "0")
    assert project.ok("sync")["summary"]["targets_missed"] == 0
    assert hook.bodies[-1]["counts"] == {"new": 0, "changed": 0, "standing": 0, "ended": 2}
    assert "no longer missed: open_pipeline_value company" in box.mails[-1].get_content()

    with sqlite3.connect(project.root / "state" / "connector.db") as db:
        names = [name for (name,) in db.execute("select distinct name from opportunities where name is not null")]
    sent = "".join(map(str, hook.bodies)) + "".join(mail.as_string() for mail in box.mails)
    assert len(names) > 100
    assert not [name for name in names if name in sent]


# -- baseline ------------------------------------------------------------------------------------------------------


def test_the_baseline_beside_day_30_and_now(project: Project) -> None:
    code, document = project.run("kpis", "baseline")
    assert (code, document["error"]["code"]) == (4, "SC-E184")  # nothing was pulled
    day = project.ok("sync", "--pull-only")["result"]["pulls"][0]["as_of"][:10]
    code, document = project.run("kpis", "baseline")
    assert code == 4
    assert "programme.baseline_on" in document["error"]["next"]
    path = project.root / "mappings" / "kpis.yaml"
    path.write_text(path.read_text(encoding="utf-8") + f'\nprogramme: {{baseline_on: "{day}"}}\n', encoding="utf-8")
    project.world.tick(30)
    project.ok("sync", "--pull-only")
    rows = {(r["connection"], r["kpi"], r["variant"], r["window"]): r for r in project.ok("kpis", "baseline")["result"]}
    rate = rows["sf-demo", "win_rate", "", "T12M"]
    assert (rate["baseline"]["on"], rate["day_60"]) == (day, None)
    assert rate["now"]["verdict"] == "no_visible_change"  # a month of closes does not part two intervals of a year
    funnel = rows["sf-demo", "weekly_three", "weighted_funnel", "asof"]
    assert funnel["now"]["verdict"] == ("up" if funnel["now"]["value"] > funnel["baseline"]["value"] else "down")
    assert funnel["day_30"]["value"] == funnel["now"]["value"]
