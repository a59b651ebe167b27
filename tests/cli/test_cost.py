"""What the command line says of calls, budgets and latches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.main import main
from connector.clock import SystemClock
from tests.cli.conftest import Run
from tests.rig import NAME, Rig, opened


@pytest.fixture(params=["salesforce", "hubspot"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(SystemClock, "sleep", lambda clock, seconds: None)
    with opened(request.param, tmp_path) as made:
        made.own_mappings()
        yield made


def words(rig: Rig, *verb: str) -> list[str]:
    return ["--project", str(rig.root), *verb]


def test_sync_says_the_cost_before_and_after(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(rig, "sync", "--dry-run")) == 0
    seen = capsys.readouterr()
    assert f"{NAME}: at least" in seen.err
    assert "calls expected" in seen.err
    assert "kept for write-back" in seen.err
    rows = [line.split() for line in seen.out.splitlines() if line.startswith(NAME)]
    together = next(row for row in rows if row[1] == "together")
    assert int(together[together.index("least") + 2]) > 10  # "at least N  calls"
    assert any(row[1] == "opportunities" and row[2].isdigit() and row[3].isdigit() for row in rows)


def test_sync_in_json_holds_forecast_and_cost(rig: Rig, run: Run) -> None:
    for before in (False, True):
        code, document = run(*words(rig, "sync", "--pull-only"))
        assert code == 0, document
        (forecast,) = document["result"]["forecast"]
        assert forecast["connection"] == NAME
        assert forecast["whole"] is all(part["expected"] is not None for part in forecast["parts"])
        assert before or not forecast["whole"]
        assert forecast["calls"] == document["summary"]["calls"] == sum(part["calls"] for part in forecast["parts"])
        assert forecast["expected"] == document["summary"]["expected_calls"] == sum(part["expected"] or 0 for part in forecast["parts"])
        assert forecast["budget"]["left"] > 0


def test_status_says_what_the_last_pull_cost_and_what_the_budget_stands_at(rig: Rig, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    _, document = run(*words(rig, "sync", "--pull-only"))
    spent = document["summary"]["calls"]
    assert main(words(rig, "status")) == 0
    text = capsys.readouterr().out
    assert f"the last pull took {spent} calls, at least" in text
    assert f"{spent} of 20,000 (0%)" in text
    assert "opportunities" in text
    _, document = run(*words(rig, "status"))
    state = document["result"][NAME]
    assert (state["calls_today"], state["daily_calls"], state["reserve"]) == (spent, 20_000, 4_000)
    assert {s["stream"] for s in state["last_pull"]["streams"]} >= {"owners", "accounts", "opportunities"}


def test_a_day_that_is_spent_is_refused_with_its_figures(rig: Rig, run: Run) -> None:
    run(*words(rig, "sync", "--pull-only"))
    place = rig.root / "connector.toml"
    place.write_text(place.read_text() + f"\n[connections.{NAME}.limits]\ndaily_calls = 40\n")
    code, document = run(*words(rig, "sync"))
    assert code == 4
    (finding,) = [f for f in document["findings"] if f["code"] == "SC-E078"]
    assert "of the 40" in finding["message"]
    assert "8 are kept for write-back" in finding["message"]
    code, document = run(*words(rig, "check"))
    assert "SC-E078" in {f["code"] for f in document["findings"]}


def test_connections_check_lifts_a_latch(rig: Rig, run: Run) -> None:
    rig.app.store.connections.latch(NAME, "SC-E051", "invalid_grant", credential=rig.app.credential(NAME))
    rig.world.journal.clear()
    code, document = run(*words(rig, "sync"))
    assert code == 5
    assert not rig.world.journal
    (finding,) = [f for f in document["findings"] if f["code"] == "SC-E051"]
    assert f"connector connections check {NAME}" in finding["next"]
    _, document = run(*words(rig, "status"))
    assert document["result"][NAME]["latched"].startswith("SC-E051 since 2026-11-02")
    code, document = run(*words(rig, "connections", "check", NAME))
    assert code == 0
    assert document["result"]["unlatched"] is True
    assert run(*words(rig, "sync", "--pull-only"))[0] == 0
