"""One test for each thing that the audit records: who, from where, of what, and never a value. See tests/state/test_audit.py for the chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import approvals, audit_file, runs, upkeep, witness
from connector.app import App
from connector.cli.main import main
from connector.errors import AuthenticationError, InputError, StateError
from connector.rollback import rollback
from tests.pitfalls.catalogue import HS
from tests.rig import NAME, opened


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Any]:
    with opened(HS, tmp_path) as made:
        made.own_mappings()
        made.advance(600)
        yield made


def said(rig: Any, action: str) -> list[dict[str, Any]]:
    rows = [row.as_dict() for row in rig.app.store.audit.after(0) if row.action == action]
    assert rig.app.store.audit.verify().broken is None
    return rows


def details(rig: Any, action: str) -> list[dict[str, Any]]:
    return [row["detail"] for row in said(rig, action)]


def command(rig: Any, *words: str) -> int:
    return main(["--project", str(rig.root), *words, "--json"])


def setting(rig: Any, old: str, new: str) -> None:
    place = rig.root / "connector.toml"
    assert old in place.read_text()
    place.write_text(place.read_text().replace(old, new))
    rig.reopen()


def parked(rig: Any) -> str:
    """A plan that awaits approval; its number."""
    setting(rig, "[guards]", '[guards]\nrequire_approval = "always"')
    made = rig.sync().made
    return str(made.plan.id)


# -- what people change outside -------------------------------------------------------------------------------------------------


def test_settings(rig: Any) -> None:
    rig.pull()
    rig.advance(900)
    rig.pull()
    [first] = details(rig, "settings.changed")
    assert first["before"] is None
    setting(rig, "max_clears = 100000", "max_clears = 7")
    rig.pull()
    [_, second] = said(rig, "settings.changed")
    assert second["detail"]["before"] == first["after"] != second["detail"]["after"]
    assert second["actor"].startswith("cli")
    (rig.root / "connector.toml").write_text((rig.root / "connector.toml").read_text() + "\n# a remark is no change\n")
    rig.reopen()
    rig.pull()
    assert len(said(rig, "settings.changed")) == 2


def test_mapping(rig: Any) -> None:
    rig.pull()
    kpis = rig.root / "mappings" / "kpis.yaml"
    kpis.write_text("# a remark\n" + kpis.read_text())
    rig.reopen()
    rig.pull()
    assert len(said(rig, "mapping.changed")) == 1, "a remark is no change"
    before = rig.app.definitions.version
    kpis.write_text(kpis.read_text().replace("stuck: 2.0", "stuck: 2.5"))
    rig.reopen()
    rig.pull()
    assert details(rig, "mapping.changed")[-1] == {"before": before, "after": rig.app.definitions.version}


def test_secrets_by_name_only(rig: Any) -> None:
    """Set, changed, gone. Neither the secret nor anything that it could be guessed from quickly is in the audit; the same value is no change."""
    place = rig.root / "connector.toml"
    place.write_text(place.read_text().replace('flow = "sandbox"', 'flow = "token"'))
    variable = f"CONNECTOR_CONNECTIONS__{NAME.upper()}__TOKEN"
    for environment in ({variable: "canary-one"}, {variable: "canary-one"}, {variable: "canary-two"}, {}):
        with App(rig.root, environment=environment, clock=rig.clock) as app:
            witness.look(app)
    name = f"connections.{NAME}.token"
    assert [(row.action, row.subject, row.detail) for row in rig.app.store.audit.after(0) if row.action.startswith("secret.")] == [
        ("secret.set", name, "{}"), ("secret.changed", name, "{}"), ("secret.removed", name, "{}"),
    ]  # fmt: skip
    assert name not in rig.app.store.witness.known()


def test_two_processes_that_see_the_same_change_record_it_once(rig: Any) -> None:
    book = rig.app.store.witness
    assert book.note("settings", None, "a", "settings.changed", with_hashes=True)
    assert not book.note("settings", None, "a", "settings.changed", with_hashes=True)
    assert len(said(rig, "settings.changed")) == 1


def test_the_key_of_the_state_s_secrets(rig: Any, tmp_path: Path) -> None:
    assert command(rig, "secrets", "init", "--out", str(tmp_path / "key")) == 0
    assert details(rig, "secret.key_made") == [{"file": str(tmp_path / "key")}]
    assert (tmp_path / "key").read_text().strip() not in json.dumps(said(rig, "secret.key_made"))


# -- plans -----------------------------------------------------------------------------------------------------------------


def test_an_approval_and_what_it_answered_for(rig: Any) -> None:
    id = parked(rig)
    approvals.approve(rig.app, id)
    approvals.apply_approved(rig.app, NAME, trigger="schedule")
    [plan] = details(rig, "plan.saved")
    [approved] = said(rig, "plan.approved")
    assert (approved["subject"], approved["detail"]["sha256"]) == (f"plan {id}", plan["sha256"])
    [lifted] = details(rig, "guard.overridden")
    assert (lifted["plan"], lifted["sha256"], lifted["by"]) == (id, plan["sha256"], "approved")
    assert lifted["guards"] == ["SC-E107 require_approval = 'always': a person applies this plan"]
    assert [row["detail"]["plan"] for row in said(rig, "plan.applied")] == [id]
    [batch] = details(rig, "batch.written")
    assert (batch["plan"], batch["sha256"], batch["mapping"]) == (id, plan["sha256"], rig.app.definitions.version)
    assert [row["written"] for row in details(rig, "push.ended")] == [len(batch["records"]["written"])]


def test_a_rejection(rig: Any) -> None:
    id = parked(rig)
    approvals.reject(rig.app, id, "not today")
    assert [(row["subject"], row["detail"]["reason"]) for row in said(rig, "plan.rejected")] == [(f"plan {id}", "not today")]


def test_a_large_plan_let_through(rig: Any) -> None:
    rig.sync()
    setting(rig, "max_records_share = 1.0", "max_records_share = 0.0")
    rig.advance(3600)
    rig.move(rig.deals[0], "pilot")
    rig.advance(60)
    made = rig.sync().made
    assert [f.code for f in approvals.check_guards(rig.app, made.plan, NAME, allow_large=False)] == ["SC-E102"]
    assert said(rig, "guard.overridden") == []
    assert command(rig, "apply", made.plan.id, "--allow-large", "--yes") == 0
    [lifted] = details(rig, "guard.overridden")
    assert (lifted["by"], lifted["guards"]) == ("who applies", ["SC-E102 1 of 2 open deals (50%) would change; the limit is 0%"])


def test_a_rollback(rig: Any) -> None:
    rig.sync()
    run = rig.app.store.runs.last(NAME, kinds=("push",)).id
    undone = rollback(rig.app, run)
    [began] = details(rig, "rollback.began")
    assert (began["of_run"], began["run"], began["plan"]) == (run, undone.run, undone.plan.id)


def test_pause_and_resume(rig: Any) -> None:
    assert command(rig, "connections", "pause", NAME, "--reason", "audit season") == 0
    assert command(rig, "connections", "resume", NAME) == 0
    assert [(row["subject"], row["detail"]) for a in ("connection.paused", "connection.resumed") for row in said(rig, a)] == [
        (NAME, {"reason": "audit season"}), (NAME, {}),
    ]  # fmt: skip


def test_a_credential_refused_and_one_that_works_again(rig: Any) -> None:
    with pytest.raises(AuthenticationError), rig.app.connected(NAME):
        raise AuthenticationError("no such key")
    with pytest.raises(AuthenticationError), rig.app.connected(NAME, despite_latch=True):
        raise AuthenticationError("no such key")
    assert command(rig, "connections", "check", NAME) == 0
    assert details(rig, "connection.latched") == details(rig, "connection.unlatched") == [{"code": "SC-E051"}]
    rig.app.store.remember_org(NAME, "another portal")
    [moved] = details(rig, "connection.other_org")
    assert moved["after"] == "another portal"


def test_a_dead_letter_set_aside(rig: Any) -> None:
    from connector.model.records import DeadLetter

    rig.app.store.dead_letters.add(NAME, [DeadLetter("push", rig.deals[0], "SC-E121", "no")])
    [letter] = rig.app.store.dead_letters.find()
    assert command(rig, "dead-letters", "ignore", str(letter.id), "--until", "2027-01-01", "--reason", "waits for legal") == 0
    assert command(rig, "dead-letters", "retry", str(letter.id)) == 0
    assert details(rig, "dead_letter.ignored")[0]["reason"] == "waits for legal"
    assert details(rig, "dead_letter.resolved")[0]["record"] == rig.deals[0]


def test_a_schema_accepted(rig: Any) -> None:
    assert command(rig, "discover") == 0
    assert details(rig, "schema.accepted")[0]["differences"] == 0


# -- exports, purges ----------------------------------------------------------------------------------------------------------


def test_the_weekly_review_written(rig: Any, tmp_path: Path) -> None:
    rig.pull()
    assert command(rig, "report", "--out", str(tmp_path / "r"), "--format", "json") == 0
    [row] = said(rig, "report.exported")
    assert (row["subject"], row["detail"]["format"], row["detail"]["to"]) == (NAME, "json", str(tmp_path / "r"))


def test_a_project_written(rig: Any, tmp_path: Path) -> None:
    assert command(rig, "provision", "export", "--target", "hubspot", "--out", str(tmp_path / "p")) == 0
    [detail] = details(rig, "provision.exported")
    assert (detail["target"], detail["files"] > 0) == ("hubspot", True)


def test_a_purge(rig: Any) -> None:
    rig.sync()
    rig.advance(days=40)
    upkeep.purge(rig.app)
    [detail] = details(rig, "state.purged")
    assert detail["before_images"] > 0
    [files] = details(rig, "plans.purged")
    assert files["files"] == ["0001.json"]


def test_the_audit_itself_leaves(rig: Any, tmp_path: Path) -> None:
    """Exported twice, gone on with in between and after a torn line: no gap, no row twice, and each export stands in the next one."""
    place = tmp_path / "audit.jsonl"
    rig.sync()
    assert command(rig, "audit", "export", "--out", str(place), "--resume") == 0
    place.write_bytes(place.read_bytes() + b'{"seq": 99, "torn')
    rig.app.store.connections.pause(NAME, "x")
    assert command(rig, "audit", "export", "--out", str(place), "--resume") == 0
    assert command(rig, "audit", "export", "--out", str(place), "--resume") == 0
    rows = [json.loads(line) for line in place.read_text().splitlines()]
    live = [row.as_dict() for row in rig.app.store.audit.after(0)]
    assert rows == live[:-1], "all but the row about the last export"
    assert [row["action"] for row in rows].count("audit.exported") == 2
    assert place.stat().st_mode & 0o077 == 0
    assert command(rig, "audit", "export", "--resume") == 64
    with pytest.raises(InputError):
        audit_file.resumable(rig.root / "connector.toml", rig.app.store.audit)
    place.write_text(json.dumps(rows[-1] | {"hash": "0" * 64}) + "\n")
    with pytest.raises(StateError) as refused:
        audit_file.resumable(place, rig.app.store.audit)
    assert refused.value.code == "SC-E185"


def test_no_value_of_a_record_is_in_it(rig: Any) -> None:
    rig.open_deal(name="canary name of a deal")
    rig.advance(60)
    rig.sync()
    runs.pull(rig.app, [NAME])
    assert "canary" not in json.dumps([row.as_dict() for row in rig.app.store.audit.after(0)])
