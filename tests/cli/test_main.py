"""The contract of every command: help, usage errors, one JSON document, exit codes, nothing of a CRM's that a terminal would obey."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import connector
from connector.cli.commands import COMMANDS, GROUPS
from connector.cli.docs import _find
from connector.cli.main import main
from tests.cli.conftest import Run, process, terminal

ENVELOPE = ["command", "ok", "exit_code", "summary", "result", "findings", "error"]
FINDING = {"code", "severity", "file", "line", "column", "path", "message", "suggestion", "next", "score"}
ESCAPE = "\x1b"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: connector {name} ")
    for parameter in _find(name).params:
        words = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]
        assert all(word in said for word in words), (name, words)
    assert "--project DIR" in said
    assert "exit codes" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_a_usage_error(name: str, run: Run) -> None:
    code, document = run(*name.split(), "--bogus")
    assert (code, document["exit_code"], document["ok"], document["command"]) == (64, 64, False, name)
    assert document["error"]["code"] == "SC-E002"
    assert "--bogus" in document["error"]["message"]
    assert document["error"]["next"] == f"connector {name} --help"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bogus"], "no command 'bogus'"),
        (["statsu"], "did you mean status?"),
        (["plans", "lst"], "did you mean list?"),
        ([], "a command is missing"),
        (["plans"], "a command is missing"),
        (["plans", "show"], "PLAN"),
        (["apply"], "PLAN"),
        (["explain"], "ID"),
        (["dead-letters", "ignore", "1"], "--until"),
        (["dead-letters", "show", "one"], "'ID'"),
        (["connections", "pause", "sf-demo"], "--reason"),
        (["kpis", "compute", "--kpi", "win_rat"], "did you mean win_rate?"),
        (["kpis", "show", "win_rat"], "did you mean win_rate?"),
        (["explain", "006", "--kpi", "bogus"], "no scorecard key"),
        (["apply", "1", "--on-stale", "bogus"], "--on-stale"),
        (["dead-letters", "retry"], "--all"),
    ],
)
def test_usage_errors_end_with_64_and_a_finding(words: list[str], said: str, run: Run, project: Path) -> None:
    code, document = run("--project", str(project), *words)
    assert code == document["exit_code"] == 64
    assert document["error"]["code"] == "SC-E002"
    assert said in document["error"]["message"]
    assert document["error"]["next"]
    assert (document["ok"], document["result"]) == (False, None)


@pytest.mark.parametrize("words", [["status", "--project="], ["--env-file=", "status"], ["status", "--json", "--project"]])
def test_a_global_flag_without_its_value(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 64
    said = capsys.readouterr()
    assert "needs a value" in (said.out if "--json" in words else said.err)


def test_a_stream_that_does_not_exist_is_never_an_empty_pull(run: Run, project: Path) -> None:
    code, document = run("--project", str(project), "sync", "--stream", "bogus")
    assert (code, document["error"]["code"]) == (64, "SC-E002")
    assert "opportunities" in document["error"]["message"]


def test_json_is_one_document_with_the_same_keys_whatever_happens(run: Run, project: Path, production: Path, tmp_path: Path) -> None:
    stages = project / "mappings" / "stages.yaml"
    at = ("--project", str(project))
    answers = {"success": run(*at, "mapping", "check"), "usage": run(*at, "mapping", "check", "--bogus")}
    answers["settings"] = run("--project", str(tmp_path / "nowhere"), "status")
    answers["secret"] = run("--project", str(production), "connections", "check", "hs-prod")
    stages.write_text(stages.read_text(encoding="utf-8").replace("kind: gate", "kind: gaet", 1), encoding="utf-8")
    answers["mapping"] = run(*at, "mapping", "check")
    for what, (code, document) in answers.items():
        assert list(document) == ENVELOPE, what
        assert document["exit_code"] == code
        assert document["ok"] == (code == 0)
        assert all(set(f) == FINDING for f in document["findings"])
        assert document["error"] is None or set(document["error"]) == FINDING
    assert {what: code for what, (code, _) in answers.items()} == {"success": 0, "usage": 64, "settings": 4, "secret": 4, "mapping": 4}
    assert {what: (d["error"] or {}).get("code") for what, (_, d) in answers.items()} == {
        "success": None, "usage": "SC-E002", "settings": "SC-E010", "secret": "SC-E011", "mapping": "SC-E020",
    }  # fmt: skip
    found = answers["mapping"][1]["findings"][0]
    assert found["file"].endswith("stages.yaml")
    assert found["line"] > 1
    assert found["column"] > 1


@pytest.mark.parametrize("before", [True, False])
def test_global_flags_stand_before_or_after_the_words(before: bool, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--json", "--no-color", "-v", f"--project={project}"]
    words = ["mapping", "check"]
    assert main([*flags, *words] if before else [*words, *flags]) == 0
    assert '"command":"mapping check","ok":true' in capsys.readouterr().out


def test_the_env_file_is_read_when_it_is_named(run: Run, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("CONNECTOR_PROJECT__NAME=from-a-file\n", encoding="utf-8")
    _, document = run("--project", str(project), "check", "--offline", "--origins", "--env-file", str(file))
    assert document["result"]["origins"]["project.name"] == "CONNECTOR_PROJECT__NAME"
    assert run("--project", str(project), "status", "--env-file", str(tmp_path / "none"))[0] == 4


def test_quiet_says_nothing_unless_something_needs_a_person(project: Path, production: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", str(project), "mapping", "check", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["--project", str(production), "check", "-q"]) == 4
    said = capsys.readouterr().out.splitlines()
    assert "1 check failed" in said[0]
    assert said[1].startswith("SC-E011")
    assert main(["--project", str(production), "connections", "check", "hs-prod", "-q"]) == 4
    assert "SC-E011" in capsys.readouterr().err


def test_the_first_line_of_check_is_the_verdict_and_failures_come_last(production: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", str(production), "check"]) == 4
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == f"connector {connector.__version__} · project production · 1 check failed, 0 warnings"
    assert lines[-2].startswith("SC-E011")
    assert lines[-1].strip().startswith("→ ")
    assert said.err == "exit 4\n"
    assert main(["--project", str(production), "check", "--offline"]) == 0
    assert "every check passed" in capsys.readouterr().out.splitlines()[0]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"connector {connector.__version__}\n"


def test_help_lists_every_command_and_group() -> None:
    said = process("--help").stdout
    listed = set(re.findall(r"^  ([a-z][a-z-]*)  ", said, re.M))
    assert listed == {name.split()[0] for name in COMMANDS}
    for group in GROUPS:
        said, depth = process(*group.split(), "--help").stdout, len(group.split())
        assert set(re.findall(r"^  ([a-z][a-z-]*)  ", said, re.M)) == {n.split()[depth] for n in COMMANDS if n.startswith(f"{group} ")}


def test_a_bug_is_said_without_a_traceback_or_a_value(verbs: Path) -> None:
    done = process("boom", verbs=verbs)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "SC-E001  IndexError (a bug of ours)", "         → run again with -v and report what it prints", "exit 1",
    ]  # fmt: skip
    told = process("boom", "-v", verbs=verbs).stderr
    assert "fake_verbs:" in told
    assert "Traceback" not in told
    assert "4711" not in told


def test_control_characters_of_a_crm_reach_no_terminal(verbs: Path) -> None:
    plain, code_and_screen = process("crm", verbs=verbs), terminal("crm", verbs=verbs, environment={"NO_COLOR": "1"})
    for said in (plain.stdout, code_and_screen[1].replace("\r\n", "\n")):
        assert not [c for c in said if c != "\n" and not c.isprintable()]
        assert said.count("Ward") == 3
    refused = process("refused", verbs=verbs)
    assert refused.returncode == 1
    assert not [c for c in refused.stderr if c != "\n" and not c.isprintable()]


@pytest.mark.parametrize("flags", [["--no-color"], []])
def test_no_colour_means_no_escape_code_even_on_a_terminal(flags: list[str], verbs: Path, project: Path) -> None:
    environment = {} if flags else {"NO_COLOR": "1"}
    for words in (["connections", "list"], ["check", "--offline"], ["status", "--bogus"]):
        _, screen = terminal("--project", str(project), *words, *flags, environment=environment)
        assert screen.strip()
        assert ESCAPE not in screen, words


def test_a_terminal_gets_colours_and_a_file_does_not(project: Path) -> None:
    words = ("--project", str(project), "connections", "list")
    assert ESCAPE in terminal(*words)[1]
    assert ESCAPE not in process(*words).stdout
    assert ESCAPE in process(*words, environment={"FORCE_COLOR": "1"}).stdout
    assert ESCAPE not in process(*words, environment={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


def test_json_under_a_terminal_is_the_document_alone(project: Path) -> None:
    code, screen = terminal("--project", str(project), "connections", "list", "--json")
    assert code == 0
    assert screen.startswith('{"command":"connections list"')
    assert screen.endswith("}\r\n")
    assert ESCAPE not in screen


def test_a_table_that_is_too_wide_keeps_ids_and_numbers_whole(tmp_path: Path, verbs: Path) -> None:
    (verbs / "fake_verbs.py").write_text(
        "from connector.cli.output import Answer, Table\n"
        "def crm() -> Answer:\n"
        "    '''A wide table.'''\n"
        "    rows = [('006Sb0000000007IAA', 'words ' * 30, '1,234,567', 'more words ' * 10)]\n"
        "    return Answer(text=[Table(('deal', 'why', '>amount', 'also'), rows)])\n",
        encoding="utf-8",
    )
    _, screen = terminal("crm", verbs=verbs, environment={"NO_COLOR": "1"})
    lines = screen.replace("\r\n", "\n").splitlines()
    assert max(map(len, lines)) <= 120
    assert "006Sb0000000007IAA" in screen
    assert "1,234,567" in screen
    assert sum("words" in line for line in lines) > 1
