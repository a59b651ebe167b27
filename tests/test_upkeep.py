"""What nobody should have to think of: what goes by itself, what goes with a record that is deleted, with a connection that is removed, and
the head of the audit that is told every day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector import approvals, settings, settings_file, upkeep
from connector.alerts import Announcement
from connector.app import App
from connector.cli.main import main
from connector.errors import Blocked, Finding, LeaseHeld, SettingsError, StateError
from connector.rollback import rollback
from connector.scorecard import plan as planning
from connector.scorecard.plan import FieldChange, Plan, PlannedUpdate, Scope
from tests.mailbox import Hook, Mailbox
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.rig import NAME, opened
from tests.scorecards import GAPS, OBJECT

both = pytest.mark.parametrize("crm", BOTH)
CANARY = "canary"


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with opened(crm, tmp_path) as made:
        made.own_mappings()
        made.advance(600)
        yield made


def command(rig: Any, *words: str) -> int:
    return main(["--project", str(rig.root), *words, "--json"])


def on_disk(rig: Any, word: str) -> list[str]:
    """Files of the state that hold a word, the write-ahead file and plans among them."""
    return sorted(path.name for path in (rig.root / "state").rglob("*") if path.is_file() and word.encode() in path.read_bytes())


# -- retention -------------------------------------------------------------------------------------------------------------------


@both
def test_the_worker_purges_daily_and_a_dry_run_says_what_would_go(rig: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rig.set(OBJECT[rig.crm], rig.deals[0], **{GAPS[rig.crm]: f"{CANARY} typed by a rep"})
    rig.sync()
    run = rig.app.store.runs.last(NAME, kinds=("push",)).id
    rig.advance(days=29)
    assert upkeep.daily(rig.app).purged.counts() == dict.fromkeys(("runs", "before_images", "dead_letters", "plans", "plan_files", "audit"), 0)
    rig.advance(days=2)
    with App(rig.root, environment={}, clock=rig.clock) as app:
        told = upkeep.purge(app, dry_run=True)
        assert on_disk(rig, CANARY), "a dry run takes nothing"
        assert told.plan_files == ("0001.json",)
        done = upkeep.daily(app)
        assert done.purged == told
    assert told.gone.before_images > 0
    assert on_disk(rig, CANARY) == []
    assert (rig.root / "state" / "plans" / "0001.json").exists() is False
    with pytest.raises(Blocked, match=f"run {run} can no longer be rolled back: what was there before is kept for 30 days"):
        rollback(rig.app, run)
    rig.advance(900)
    again = rig.sync()
    assert not again.pushes or again.pushes[0].healed == (), "what we wrote last is still known to be ours"
    capsys.readouterr()
    assert command(rig, "state", "purge", "--older-than", "soon") == 64


@both
def test_the_scheduler_does_it_once_a_day(rig: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rig.sync()
    assert main(["--project", str(rig.root), "run", "--once"]) == 0
    told = capsys.readouterr()
    assert "3 jobs done" in told.out
    head = rig.app.store.audit.verify().head
    assert f"upkeep: purged nothing; audit head {head}" in told.err


def test_what_is_kept_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / settings.FILE).write_text('[retention]\nbefore_images = "7d"\naudit = "800d"\n')
    kept = settings.load(tmp_path, environment={}).settings.retention
    assert (kept.before_images.days, kept.audit.days, kept.runs.days, kept.dead_letters.days) == (7, 800, 90, 14)
    (tmp_path / settings.FILE).write_text('[retention]\nruns = "a quarter"\n')
    with pytest.raises(SettingsError) as refused:
        settings.load(tmp_path, environment={})
    assert "not a time like" in refused.value.findings[0].message


# -- what is deleted in the CRM --------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("how", ["delete", "purge"])
def test_a_deleted_deal_goes_from_everywhere_within_one_run(rig: Any, how: str) -> None:
    """Canonical rows, before-images, dead letters and plans; the chain of the audit holds, and so does the plan's new hash."""
    gone = rig.open_deal(name=f"{CANARY} deal", stage="demo")
    rig.set(OBJECT[rig.crm], gone, **{GAPS[rig.crm]: f"{CANARY} gap"})
    rig.advance(600)
    setting = rig.root / "connector.toml"
    rig.sync()
    setting.write_text(setting.read_text().replace("[guards]", '[guards]\nrequire_approval = "always"'))
    rig.reopen()
    rig.move(gone, "pilot")
    rig.move(rig.deals[0], "pilot")
    rig.advance(600)
    waiting = rig.sync().made
    planned = {update.id for update in waiting.plan.updates}
    assert {gone, rig.deals[0]} <= planned
    assert on_disk(rig, CANARY)
    getattr(rig, how)(gone)
    rig.advance(days=8 if how == "purge" else 1)  # what leaves no trace is missed by the weekly count
    rig.pull()
    rig.app.store.database.checkpoint()
    assert on_disk(rig, CANARY) == []
    assert all(write.scrubbed and write.before is write.after is None for write in rig.app.store.ledger.of_record(NAME, gone))
    assert rig.app.store.audit.verify().broken is None
    rows = [row.as_dict()["detail"] for row in rig.app.store.audit.after(0) if row.action == "plan.scrubbed"]
    assert sorted(row["plan"] for row in rows) == ["0001", "0002"]
    saved = rig.app.store.plans.get(waiting.plan.id)
    assert saved.sha256 != waiting.sha256
    approvals.approve(rig.app, waiting.plan.id)
    assert {update.id for update in approvals.load_plan(rig.app, waiting.path).updates} == planned - {gone}


@both
def test_a_crash_between_hash_and_file_is_mended(rig: Any) -> None:
    made = rig.sync().made
    old = made.path.read_bytes()
    rig.delete(rig.deals[0])
    rig.advance(days=1)
    rig.pull()
    new = made.path.read_bytes()
    assert new != old
    made.path.write_bytes(old)  # as if the process had died before the file
    assert upkeep.scrub(rig.app, NAME) == ["0001"]
    assert made.path.read_bytes() == new
    assert rig.app.store.plans.get("0001").sha256 == planning.digest(new)
    assert upkeep.scrub(rig.app, NAME) == []


def test_a_record_of_another_object_with_the_same_id_stays_in_the_plan() -> None:
    """HubSpot numbers deals and companies each from one."""
    scope = Scope("hs", "hubspot", "1", "abc", "2026-11-20T18:00:00+00:00", 1, 0, 0)
    change = FieldChange("arr", "kpi_arr", None, "1", "set")
    deal = PlannedUpdate("hs", "deals", "7", None, None, None, (change,))
    company = replace(deal, object="companies", grain="account")
    made = Plan("0001", "2026-11-20T18:00:00+00:00", (scope,), (deal, company), (Finding("SC-E130", path="hs:companies:7", message="long"),))
    assert upkeep._scrubbed(made, "hs", {"7"}) == replace(made, updates=(company,))
    assert upkeep._scrubbed(made, "hs", {"companies:7"}) == replace(made, updates=(deal,), invalid=())


@both
def test_a_dead_letter_loses_its_words_with_its_record(rig: Any) -> None:
    from connector.model.records import DeadLetter

    rig.pull()
    rig.app.store.dead_letters.add(NAME, [DeadLetter("push", deal, "SC-E121", f"{CANARY} said the rule") for deal in rig.deals[:2]])
    rig.delete(rig.deals[0])
    rig.advance(days=1)
    rig.pull()
    letters = {x.record: (x.status, x.message) for x in rig.app.store.dead_letters.find(status=None)}
    assert letters == {rig.deals[0]: ("resolved", "the record is gone"), rig.deals[1]: ("open", f"{CANARY} said the rule")}


@pytest.mark.parametrize("crm", [SF])
def test_what_was_said_of_a_companion_goes_with_its_deal_within_a_day(rig: Any) -> None:
    """Its dead letters carry the companion's object and the deal's id. A mapping that does not load only waits for its turn."""
    from connector.model.records import DeadLetter

    rig.pull()
    rig.delete(rig.deals[0])
    rig.advance(days=1)
    rig.pull()
    mapping = rig.root / "mappings" / "salesforce.yaml"
    whole = mapping.read_text(encoding="utf-8")
    mapping.write_text(whole.replace("  # mode: two_fields", "  mode: companion  #"), encoding="utf-8")
    rig.reopen()
    names = [f"KPI_Scorecard__c:{deal}" for deal in rig.deals[:2]]
    rig.app.store.dead_letters.add(NAME, [DeadLetter("push", name, "SC-E121", f"{CANARY} said the rule") for name in names])
    upkeep.daily(rig.app)
    letters = {x.record: (x.status, x.message) for x in rig.app.store.dead_letters.find(status=None)}
    assert letters == {names[0]: ("resolved", "the record is gone"), names[1]: ("open", f"{CANARY} said the rule")}
    mapping.write_text("crm: [", encoding="utf-8")
    rig.reopen()
    assert upkeep.daily(rig.app).verdict.broken is None


# -- a connection that is removed ------------------------------------------------------------------------------------------------


TOML = """# of the whole company
[project]
name = "revops"

[connections.one]  # the first
crm = "salesforce"

[connections.one.limits]
daily_calls = 5000

[connections.two]
crm = "hubspot"

[schedules.one]
pull = "every 5m"

[guards]
max_clears = 1
"""


def test_only_its_tables_leave_the_settings(tmp_path: Path) -> None:
    place = tmp_path / settings.FILE
    place.write_text(TOML)
    place.chmod(0o640)
    settings_file.without_connection(tmp_path, "one")
    assert (
        place.read_text() == '# of the whole company\n[project]\nname = "revops"\n\n[connections.two]\ncrm = "hubspot"\n\n[guards]\nmax_clears = 1\n'
    )
    assert place.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('[connections]\none = {crm = "hubspot"}\ntwo = {crm = "hubspot"}  # ours\n', '[connections]\ntwo = {crm = "hubspot"}  # ours\n'),
        ('connections.one.crm = "hubspot"\nconnections.two.crm = "hubspot"\n', 'connections.two.crm = "hubspot"\n'),
        ('[connections.one]\ncrm = "hubspot"\n[guards]\n[connections.two]\n[connections.one.limits]\n', "[guards]\n[connections.two]\n"),
        ('[project]\nname = """\n[connections.one]\n"""\n[connections.one]\n', '[project]\nname = """\n[connections.one]\n"""\n'),
        ('[connections.one]\ncrm = "hubspot"\n', ""),
    ],
    ids=["inline", "dotted", "in two places", "named in a text", "the last"],
)
def test_a_connection_leaves_the_settings_however_it_is_spelled(tmp_path: Path, text: str, left: str) -> None:
    place = tmp_path / settings.FILE
    place.write_text(text)
    settings_file.without_connection(tmp_path, "one")
    assert place.read_text() == left


def test_settings_that_would_lose_more_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / settings.FILE
    place.write_text(TOML)
    monkeypatch.setattr("tomlkit.dumps", lambda document: "")
    with pytest.raises(SettingsError, match="by itself"):
        settings_file.without_connection(tmp_path, "one")
    assert place.read_text() == TOML


@both
def test_nothing_of_a_removed_connection_is_left_but_its_audit(rig: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rig.open_deal(name=f"{CANARY} deal", stage="demo")
    rig.advance(600)
    rig.sync()
    rows = len(rig.app.store.audit.after(0))
    with rig.app.store.leases.take(NAME, "push", owner="somebody"), pytest.raises(LeaseHeld):
        upkeep.forget(rig.app, NAME)
    assert command(rig, "connections", "remove", NAME) == 0
    assert on_disk(rig, CANARY), "without --purge the data stays"
    assert f"[connections.{NAME}]" not in (rig.root / "connector.toml").read_text()
    assert command(rig, "connections", "remove", NAME, "--purge") == 0
    capsys.readouterr()
    assert on_disk(rig, CANARY) == []
    with rig.app.store.database.read() as db:
        tables = [name for (name,) in db.exec_driver_sql("select name from sqlite_master where type = 'table'")]
        holding = [t for t in tables if any(f"'{NAME}'" in repr(tuple(row)) for row in db.exec_driver_sql(f'select * from "{t}"'))]
    assert sorted(holding) == ["audit", "leases"], "lease numbers must not come twice"
    assert [row.action for row in rig.app.store.audit.after(rows)] == ["connection.removed", "connection.purged"]
    assert rig.app.store.audit.verify().broken is None
    assert command(rig, "connections", "remove", NAME, "--purge") == 4, "there is no such connection any more"


# -- the head of the audit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crm", [HS])
def test_the_head_goes_to_every_channel_and_proves_a_cut_tail(rig: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rig.sync()
    with Hook().open() as hook, Mailbox().open() as box:
        place = rig.root / "connector.toml"
        mail = f'[alerts.smtp]\nhost = "127.0.0.1"\nport = {box.port}\nsecurity = "none"\nfrom = "a@example.com"\nto = ["b@example.com"]\n'
        place.write_text(place.read_text() + f'\n[alerts.webhook]\nurl = "{hook.url}"\n\n{mail}')
        rig.reopen()
        done = upkeep.daily(rig.app)
        assert done.findings == ()
        [body] = hook.bodies
        assert (body["kind"], body["head"], body["rows"]) == ("audit_head", done.verdict.head, done.verdict.rows)
        [sent] = box.mails
        assert done.verdict.head in str(sent["Subject"])
        assert command(rig, "audit", "verify", "--head", done.verdict.head) == 0
        with rig.app.store.database.write() as db:
            db.exec_driver_sql("delete from audit where seq = (select max(seq) from audit)")
        capsys.readouterr()
        assert command(rig, "audit", "verify") == 0, "a chain cannot tell by itself"
        assert command(rig, "audit", "verify", "--head", body["head"]) == 1
        with rig.app.store.database.write() as db:
            db.exec_driver_sql("update audit set subject = 'x' where seq = 2")
        with pytest.raises(StateError) as broken:
            upkeep.daily(rig.app)
        assert broken.value.code == "SC-E185"
        assert hook.bodies[-1]["kind"] == "audit_broken"
    undelivered = upkeep._announce(rig.app, Announcement("audit_head", "x", {}))
    assert [f.code for f in undelivered] == ["SC-W099", "SC-W099"], "nobody listens any more"
