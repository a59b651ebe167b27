"""Log lines: what they say, and what they never hold, whichever library wrote them and at every level."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector import logs, runs
from connector.cli.main import main
from connector.errors import AuthenticationError
from tests.rig import NAME, Rig, opened

SECRETS = (
    "Bearer canary.canary.canary",
    "00Dxx0000001gER!AQcanarycanary",
    "pat-na1-canarycanary",
    "eyJcanary.eyJcanary.canary",
    "dana.canary@hospital-canary.com",
    "-----BEGIN RSA PRIVATE KEY----- canary -----END RSA PRIVATE KEY-----",
    "refresh_token=canarycanary",
    "client_secret: 'canary canary'",
    "123-45-6789",
)


@pytest.fixture
def said() -> Iterator[Callable[[], str]]:
    """Everything logged so far, at debug, as JSON."""
    stream = io.StringIO()
    with logs.to(stream, "debug", "json"):
        yield stream.getvalue


def test_no_logger_shows_a_secret(said: Callable[[], str]) -> None:
    for name in (*logs.ROUTED, "connector.runs", "urllib3.connectionpool", "hubspot.crm.deals.rest", "apscheduler.executors.default"):
        for secret in SECRETS:
            logging.getLogger(name).debug("sent %s", secret)
            logging.getLogger(name).debug("sent", extra={"detail": {"deep": [secret]}})
            logging.getLogger(name).debug("sent %(what)s", {"what": secret})
    lines = said().splitlines()
    assert len(lines) == len(SECRETS) * 3 * (len(logs.ROUTED) + 4)
    assert not re.search("canary|6789", said())


@pytest.mark.parametrize("format", logs.FORMATS)
def test_denied_keys_are_masked_in_every_format(format: str) -> None:
    stream = io.StringIO()
    with logs.to(stream, "debug", format):
        for key in ("authorization", "Cookie", "Set-Cookie", "access_token", "token", "password", "dealname", "subject", "hs_call_title"):
            logging.getLogger("connector").info("seen", extra={"values": {key: "canary"}})
            logging.getLogger("hubspot").info("%s", "seen", extra={key: "canary"})
            logging.getLogger("hubspot").info(f"seen %({key})s", {key: "canary"})
    assert "canary" not in stream.getvalue()
    assert stream.getvalue().count("seen") == 27


def test_a_librarys_body_is_withheld(said: Callable[[], str]) -> None:
    logging.getLogger("hubspot.crm.deals.rest").debug("response body: %s", '{"dealname": "canary"}')
    logging.getLogger("simple_salesforce.api").warning("Response Headers %s", {"x": "canary"})
    assert "canary" not in said()
    assert [json.loads(line)["event"] for line in said().splitlines()] == ["(a request or an answer: withheld)"] * 2


def test_an_exception_is_its_class_and_place(said: Callable[[], str]) -> None:
    try:
        raise ValueError("canary: Hospital A, infusion")
    except ValueError:
        logging.getLogger("apscheduler.executors.default").exception("Job raised an exception")
    line = json.loads(said())
    assert line["exception"].startswith("ValueError in test_an_exception_is_its_class_and_place:")
    assert "canary" not in said()


def test_rows_that_the_database_sees_are_not_logged(said: Callable[[], str], tmp_path: Path) -> None:
    with opened("hubspot", tmp_path) as rig:
        rig.pull(stream="owners")
    assert "sqlalchemy" not in said()
    assert "INSERT" not in said()


def test_a_warning_of_any_library_is_redacted_too(said: Callable[[], str]) -> None:
    logging.getLogger("some.library").warning("token=%s", "pat-na1-canarycanary")
    assert json.loads(said())["level"] == "warning"
    assert "canary" not in said()


def test_levels_are_put_back() -> None:
    before = [(logging.getLogger(name).level, len(logging.getLogger().handlers)) for name in logs.ROUTED]
    with logs.to(io.StringIO(), "debug", "json"):
        assert logging.getLogger("urllib3").level == logging.DEBUG
    assert [(logging.getLogger(name).level, len(logging.getLogger().handlers)) for name in logs.ROUTED] == before


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
@pytest.mark.parametrize("format", logs.FORMATS)
def test_secrets_and_bodies_never_logged(crm: str, format: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A whole sync at debug level, and one that is refused: names, mails, subjects and tokens of the world are canaries."""
    stream = io.StringIO()
    with opened(crm, tmp_path, cast=False) as rig, logs.to(stream, "debug", format):
        owner, account = rig.hire("Ada Canary"), rig.open_account("Canary Hospital")
        contact = rig.meet(account)
        deal = rig.open_deal(account, "discovery", owner=owner, name="Canary deal")
        rig.add_role(deal, contact)
        for kind in ("call", "task", "meeting", "email"):
            rig.log(deal, contact, kind, subject="Canary subject")
        done = rig.sync()
        assert done.pushes[0].counts["written"] == 1
        _refused(rig)
    text = stream.getvalue()
    for event in ("run started", "calls expected", "page saved", "stream read", "run ended"):
        assert event in text
    assert "urllib3" in text
    assert "SC-E051" in text
    printed = capfd.readouterr()
    for place in (text, printed.out, printed.err):
        assert not re.search("canary", place, re.I), [line for line in place.splitlines() if re.search("canary", line, re.I)][:3]
        assert "sandbox-token" not in place
        assert not re.search(r"00D\w{12,15}!|Bearer (?!\*\*\*)", place)


def _refused(rig: Rig) -> None:
    """The CRM refuses the credential; its message quotes what was sent."""
    with rig.app.connected(NAME) as connected:
        failing = AuthenticationError("refused: access_token=canarycanary")

        def refuse() -> None:
            raise failing

        crm = type(connected.crm)
        check, crm.check = crm.check, lambda self: refuse()  # type: ignore[method-assign, assignment, return-value]
    try:
        assert runs.pull(rig.app, [NAME]).exit_code == 5
    finally:
        crm.check = check  # type: ignore[method-assign]


def test_the_flags_reach_the_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened("hubspot", tmp_path) as rig:
        root = str(rig.root)
        rig.own_mappings()
        assert main(["--project", root, "--log-level", "info", "--log-format", "json", "--json", "sync", "--pull-only", "--stream", "owners"]) == 0
        seen = capsys.readouterr()
        json.loads(seen.out)
        events = [json.loads(line)["event"] for line in seen.err.splitlines()]
        assert {"run started", "calls expected", "stream read", "run ended"} <= set(events)
        assert "page saved" not in events
        assert main(["--project", root, "--json", "sync", "--pull-only", "--stream", "owners"]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("flag", "known"), [("--log-level", "debug, info"), ("--log-format", "pretty, json")])
def test_an_unknown_level_or_format_is_a_usage_error(flag: str, known: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag, "loud", "status"]) == 64
    assert known in capsys.readouterr().err
