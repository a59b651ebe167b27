"""``connector sandbox faults``: the words of the command line, against a running sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.main import main
from connector.sandbox import process
from connector.sandbox.faults.kinds import KINDS
from connector.sandbox.server import serving
from connector.sandbox.world import World


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[World, str]]:
    world = World()
    with serving(world) as url:
        yield world, url


@pytest.fixture
def world(served: tuple[World, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project whose sandbox is the one of this test module."""
    served[0].empty()
    health = process.ask(served[1], "GET", "health")
    running = process.Running(health["pid"], int(served[1].rpartition(":")[2]), served[1], health)
    monkeypatch.setattr(process, "status", lambda state_dir: running)
    monkeypatch.chdir(tmp_path)
    return served[0]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["sandbox", "faults", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_add_list_and_clear(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "list")[:2] == (0, "no faults\n")
    code, out, _ = said(capsys, "add", "hubspot", "migrating", "--object", "deals", "--after", "2", "--times", "0", "--set", "retry_after=60")
    assert (code, out) == (0, "fault 1: hubspot migrating, deals retry_after=60, for ever after 2\n")
    assert world.faults.list()[0].times is None
    code, out, _ = said(capsys, "list")
    assert code == 0
    assert re.search(r"1\s+hubspot\s+migrating\s+deals retry_after=60\s+for ever after 2\s+0\s+0", out)
    assert said(capsys, "clear", "1")[:2] == (0, "1 fault cleared\n")
    assert world.faults.list() == ()


def test_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "faults", "add", "salesforce", "reset", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["result"]["kind"] == "reset"
    assert main(["sandbox", "faults", "list", "--json"]) == 0
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)["result"]] == ["reset"]
    assert main(["sandbox", "faults", "clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"] == {"cleared": 1}


def test_help_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "faults", "add", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^\s*{re.escape(name)} ", shown, re.MULTILINE) for name in KINDS)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("add", "hubspot", "migratng"), "did you mean migrating?"),
        (("add", "hubspt", "reset"), "did you mean hubspot?"),
        (("add", "salesforce", "migrating"), "it is hubspot's"),
        (("add", "salesforce", "reset", "--set", "nonsense"), "--set wants NAME=VALUE"),
    ],
)
def test_wrong_words_are_a_usage_error(world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hint: str) -> None:
    code, _, err = said(capsys, *words)
    assert code == 64
    assert hint in err


def test_what_the_sandbox_refuses_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "clear", "7")
    assert (code != 0, "no fault has the number 7" in err) == (True, True)
    code, _, err = said(capsys, "add", "hubspot", "index-lag")
    assert "index-lag needs seconds" in err


def test_a_token_of_the_administrator(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "token", "--as", "admin"]) == 0
    held = capsys.readouterr().out.strip()
    assert world.org.sessions.user_of(held) == world.org.admin
    assert main(["sandbox", "token", "--as", "nobody"]) != 0
    assert "no active user of the org is called 'nobody'" in capsys.readouterr().err
