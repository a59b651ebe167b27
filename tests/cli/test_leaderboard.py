"""The leaderboard: off, says how to switch it on; on, never without its warning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.main import main
from connector.clock import SystemClock
from connector.kpis.leaderboard import WARNING
from tests.cli.conftest import Run
from tests.rig import NAME, Rig, opened


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(SystemClock, "sleep", lambda clock, seconds: None)
    with opened("hubspot", tmp_path) as made:
        yield made


def switch_on(rig: Rig, *inputs: str) -> None:
    """``inputs``: those of lms and coaching that are there. One record is enough to be ranked."""
    mappings = rig.own_mappings()
    settings = mappings / "kpis.yaml"
    said = settings.read_text(encoding="utf-8") + "\nprogramme: {leaderboard: true}\n"
    said = said.replace("\ninputs:\n", "\ninputs:\n" + "".join(f"  {name}: inputs/{name}.csv\n" for name in inputs))
    settings.write_text(said.replace("  rank_n: 5 ", "  rank_n: 1 "), encoding="utf-8")
    rows = {"lms": f"owner_key,date,correct,asked\n{rig.owners[0]},2026-11-01,3,4\n", "coaching": "owner_key,date,submitted\n"}
    for name in inputs:
        (mappings / "inputs" / f"{name}.csv").write_text(rows[name], encoding="utf-8")
    rig.reopen()


def test_off_it_says_so_and_how_to_switch_it_on_before_anything_is_pulled(rig: Rig, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rig.own_mappings()
    words = ["--project", str(rig.root), "kpis", "leaderboard"]
    code, document = run(*words)
    assert (code, document["summary"]) == (0, {"on": False})
    assert document["result"] == {
        "on": False, "warning": WARNING, "switch_on": "programme.leaderboard: true in mappings/kpis.yaml", "standings": [],
    }  # fmt: skip
    assert main(words) == 0
    off, warning, how = capsys.readouterr().out.splitlines()
    assert (off, warning) == ("the leaderboard is off", "counting activity is a trap (medtech CRO KPIs)")
    assert how == "programme.leaderboard: true in mappings/kpis.yaml switches it on"


def test_on_it_ranks_by_points_with_the_warning_beside_it(rig: Rig, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    switch_on(rig, "lms", "coaching")
    rig.pull()
    words = ["--project", str(rig.root), "kpis", "leaderboard"]
    code, document = run(*words)
    assert code == 0, document
    assert document["summary"] == {"on": True, "reps": len(rig.owners), "ranked": 1}
    first, *others = document["result"]["standings"]
    assert (first["connection"], first["points"], first["parts"], first["records"], first["rank"]) == (NAME, 6, {"quiz": 6}, 1, 1)
    assert first["owner"].endswith(rig.owners[0])
    assert {(row["points"], row["rank"]) for row in others} == {(0, None)}
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"1 of {len(rig.owners)} reps ranked", WARNING]
    assert any(line.split()[-3:] == ["6", "6", "1"] for line in lines)


def test_without_its_inputs_it_ranks_nobody_and_names_them(rig: Rig, run: Run) -> None:
    switch_on(rig)
    rig.pull()
    code, document = run("--project", str(rig.root), "kpis", "leaderboard")
    assert (code, document["result"]["standings"]) == (0, [])
    (finding,) = document["findings"]
    assert finding["code"] == "SC-W092"
    assert "needs inputs/lms.csv, inputs/coaching.csv" in finding["message"]
