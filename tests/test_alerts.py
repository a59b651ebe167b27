"""Alerts: what is news, what a message says, and how it goes out, to a web server and a mail server of our own."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector import logs, settings
from connector.alerts import Notice, news, payload, subject_line, text
from connector.alerts import channels as channels_of
from connector.errors import SettingsError, Undelivered
from connector.model.standing import Standing, Told
from connector.settings import Alerts
from tests.mailbox import Hook, Mailbox, certificate

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
WEEK = timedelta(days=7)


def standing(kpi: str = "win_rate", **more: Any) -> Standing:
    plain = {
        "connection": "sf", "target": f"{kpi} company - at_least", "subject": "company", "kpi": kpi, "variant": "", "window": "T12M", "unit": "ratio",
        "value": 0.25, "wanted": "at_least 0.3", "since": date(2026, 11, 1), "no_go": False, "certain": False, "low_n": False,
        "on": date(2026, 11, 20), "words": f"{kpi} company is 25.0 %, at least 30.0 % wanted, since 2026-11-01",
    }  # fmt: skip
    return Standing(**plain | more)


def told(*known: Standing, over: bool = False, ago: timedelta = timedelta(hours=1)) -> dict[Any, Told]:
    return {s.id: Told(s, over, NOW - ago) for s in known}


def kinds(missed: list[Standing], known: dict[Any, Told], **more: Any) -> list[tuple[str, str]]:
    return [(n.kind, n.standing.kpi) for n in news(missed, known, NOW, **{"repeat_after": WEEK} | more)]


# -- what is news --------------------------------------------------------------------------------------------------


def test_only_changes_are_news() -> None:
    one, other = standing(), standing("churn")
    assert kinds([one], {}) == [("new", "win_rate")]
    assert kinds([one], told(one)) == []
    assert kinds([standing(value=0.2, words="worse")], told(one)) == []  # values move every day
    assert kinds([standing(no_go=True)], told(one)) == [("changed", "win_rate")]
    assert kinds([one], told(standing(no_go=True))) == [("changed", "win_rate")]
    assert kinds([standing(wanted="at_least 0.4")], told(one)) == [("changed", "win_rate")]
    assert kinds([other], told(one)) == [("new", "churn"), ("ended", "win_rate")]
    assert kinds([], told(one, over=True)) == []
    assert kinds([one], told(one, over=True)) == [("new", "win_rate")]


def test_what_stands_is_told_again_after_a_while_or_never() -> None:
    one = standing()
    assert kinds([one], told(one, ago=WEEK)) == [("standing", "win_rate")]
    assert kinds([one], told(one, ago=WEEK - timedelta(seconds=1))) == []
    assert kinds([one], told(one, ago=WEEK * 99), repeat_after=None) == []


def test_a_value_that_goes_to_and_fro_is_told_of_once_an_interval_unless_it_is_a_no_go() -> None:
    one, hour = standing(), timedelta(hours=1)
    assert kinds([], told(one, ago=hour / 2), min_interval=hour) == []
    assert kinds([], told(one, ago=hour), min_interval=hour) == [("ended", "win_rate")]
    assert kinds([one], told(one, over=True, ago=hour / 2), min_interval=hour) == []
    assert kinds([standing(no_go=True)], told(one, ago=hour / 2), min_interval=hour) == [("changed", "win_rate")]
    assert kinds([standing("churn")], told(one, ago=hour / 2), min_interval=hour) == [("new", "churn")]  # nobody was told of this one


# -- what is said --------------------------------------------------------------------------------------------------


NOTICES = [
    Notice("new", standing(no_go=True)), Notice("new", standing("churn")), Notice("changed", standing("nrr", connection="hs")),
    Notice("ended", standing("grr", variant="logo")),
]  # fmt: skip


def test_the_subject_counts_and_the_text_says_each() -> None:
    assert subject_line("revops", NOTICES) == "[revops] 2 targets missed, 1 changed, 1 no longer missed (1 no-go)"
    assert subject_line("revops", NOTICES[:1]) == "[revops] 1 target missed (1 no-go)"
    assert text(NOTICES).split("\n") == [
        "sf",
        "  missed: win_rate company is 25.0 %, at least 30.0 % wanted, since 2026-11-01",
        "  missed: churn company is 25.0 %, at least 30.0 % wanted, since 2026-11-01",
        "  no longer missed: grr.logo company (missed since 2026-11-01)",
        "",
        "hs",
        "  changed: nrr company is 25.0 %, at least 30.0 % wanted, since 2026-11-01",
    ]


def test_a_webhook_is_told_no_values_unless_asked() -> None:
    counted = payload("revops", NOTICES, values=False)
    assert counted["counts"] == {"new": 2, "changed": 1, "standing": 0, "ended": 1}
    (first, *_) = counted["alerts"]  # type: ignore[misc]
    assert first == {
        "change": "new", "connection": "sf", "kpi": "win_rate", "variant": "", "subject": "company", "window": "T12M", "no_go": True,
        "since": "2026-11-01", "certain": False, "low_n": False,
    }  # fmt: skip
    assert "25" not in str(counted)
    (first, *_) = payload("revops", NOTICES, values=True)["alerts"]  # type: ignore[misc]
    assert (first["value"], first["unit"], first["wanted"], first["on"]) == (0.25, "ratio", "at_least 0.3", "2026-11-20")


def test_what_came_from_the_crm_starts_no_line_and_no_header() -> None:
    evil = Notice("new", standing(words="owner=R1\r\nBcc: all@example.com\x1b[31m", connection="sf"))
    assert text([evil]).split("\n")[1:] == ["  missed: owner=R1��Bcc: all@example.com�[31m"]
    assert "\n" not in subject_line("rev\nops", [evil])


# -- webhook -------------------------------------------------------------------------------------------------------


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook().open() as made:
        yield made


def webhook(hook: Hook, slept: list[float], **more: Any) -> Any:
    (channel,) = channels_of(Alerts.model_validate({"webhook": {"url": hook.url, **more}}), lambda: None, slept.append)
    return channel


def test_a_webhook_gets_one_json_document(hook: Hook, slept: list[float]) -> None:
    assert webhook(hook, slept, values="show").send("revops", NOTICES) is None
    assert hook.bodies == [payload("revops", NOTICES, values=True)]
    assert (hook.paths, slept) == (["/hooks/T0SECRET"], [])


def test_a_busy_webhook_is_asked_again_a_refusing_one_is_not(hook: Hook, slept: list[float]) -> None:
    hook.answers = [503, 429]
    webhook(hook, slept).send("revops", NOTICES)
    assert (len(hook.bodies), len(slept)) == (3, 2)
    hook.answers = [500, 502, 503]
    with pytest.raises(Undelivered, match=r"^127.0.0.1 answered 503$"):
        webhook(hook, slept).send("revops", NOTICES)
    assert len(hook.bodies) == 6
    hook.answers = [404]
    with pytest.raises(Undelivered, match="answered 404"):
        webhook(hook, slept).send("revops", NOTICES)
    assert len(hook.bodies) == 7


def test_a_redirect_is_not_followed(hook: Hook, slept: list[float]) -> None:
    hook.answers = [307]
    with pytest.raises(Undelivered, match="answered 307"):
        webhook(hook, slept).send("revops", NOTICES)
    assert hook.paths == ["/hooks/T0SECRET"]


def test_nobody_there(hook: Hook, slept: list[float]) -> None:
    channel = channels_of(Alerts.model_validate({"webhook": {"url": "http://127.0.0.1:9/T0SECRET"}}), lambda: None, slept.append)[0]
    with pytest.raises(Undelivered, match=r"^127.0.0.1 cannot be reached \(ConnectionError\)$") as caught:
        channel.send("revops", NOTICES)
    assert len(slept) == 2
    assert "T0SECRET" not in str(caught.value)


def test_no_line_of_the_log_holds_the_address(hook: Hook, slept: list[float]) -> None:
    said = io.StringIO()
    hook.answers = [503]
    with logs.to(said, "debug", "json"):
        webhook(hook, slept).send("revops", NOTICES)
        logging.getLogger("urllib3.connectionpool").debug("still speaks")
    assert "T0SECRET" not in said.getvalue()
    assert "still speaks" in said.getvalue()


# -- mail ----------------------------------------------------------------------------------------------------------


PASSWORD = "hunter-2-of-mail"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A server with STARTTLS, whose certificate this process trusts."""
    trusted, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with Mailbox(tls=context).open() as made:
        yield made


def mail(box: Mailbox, slept: list[float], **more: Any) -> Any:
    declared = {"host": "127.0.0.1", "port": box.port, "user": "robot", "from": "revops@example.com", "to": ["cro@example.com", "ops@example.com"]}
    (channel,) = channels_of(Alerts.model_validate({"smtp": declared | more}), lambda: PASSWORD, slept.append)
    return channel


def test_one_mail_over_tls_with_the_password_inside_it(box: Mailbox, slept: list[float]) -> None:
    assert mail(box, slept).send("revops", NOTICES) is None
    (sent,) = box.mails
    assert (sent["Subject"], sent["From"], sent["To"]) == (
        "[revops] 2 targets missed, 1 changed, 1 no longer missed (1 no-go)", "revops@example.com", "cro@example.com, ops@example.com",
    )  # fmt: skip
    assert sent.get_content().replace("\r\n", "\n").startswith(text(NOTICES))
    assert box.recipients == [["cro@example.com", "ops@example.com"]]
    assert box.logins == [("robot", PASSWORD)]
    assert [line.split()[0] for line in box.plain] == [b"ehlo", b"STARTTLS"]


def test_a_certificate_that_does_not_hold_ends_it_before_the_password(box: Mailbox, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Undelivered, match="no TLS"):
        mail(box, slept).send("revops", NOTICES)
    assert (box.logins, box.mails, slept) == ([], [], [])


def test_a_server_without_tls_is_not_given_the_password(slept: list[float]) -> None:
    with Mailbox().open() as box:
        with pytest.raises(Undelivered, match="offers no STARTTLS"):
            mail(box, slept).send("revops", NOTICES)
        assert (box.logins, box.mails) == ([], [])
        mail(box, slept, security="none", user=None).send("revops", NOTICES)
        assert len(box.mails) == 1


def test_a_passing_refusal_is_tried_again_a_final_one_is_not(box: Mailbox, slept: list[float]) -> None:
    box.refuse = [("MAIL", "451 busy"), ("RCPT", "451 busy"), ("RCPT", "451 busy")]
    mail(box, slept).send("revops", NOTICES)
    assert (len(box.mails), len(slept)) == (1, 2)
    box.refuse = [("AUTH", "535 no")]
    with pytest.raises(Undelivered, match=r"^127.0.0.1 answered 535$"):
        mail(box, slept).send("revops", NOTICES)
    box.refuse = [("RCPT", "550 no such"), ("RCPT", "550 no such")]
    with pytest.raises(Undelivered, match=r"refused every recipient \(550\)"):
        mail(box, slept).send("revops", NOTICES)
    assert (len(box.mails), len(slept)) == (1, 2)


def test_a_mail_that_reaches_some_is_not_sent_again_but_said(box: Mailbox, slept: list[float]) -> None:
    box.refuse = [("RCPT", "550 no such")]
    assert mail(box, slept).send("revops", NOTICES) == "127.0.0.1 refused 1 of 2 recipients"
    assert box.recipients == [["ops@example.com"]]


# -- settings ------------------------------------------------------------------------------------------------------


def load(tmp_path: Path, toml: str, **environment: str) -> settings.Resolved:
    (tmp_path / settings.FILE).write_text(toml)
    return settings.load(tmp_path, environment=environment)


SMTP = '[alerts.smtp]\nhost = "mail.example.com"\nuser = "robot"\nfrom = "revops@example.com"\nto = ["cro@example.com"]\n'


def test_settings_and_their_defaults(tmp_path: Path) -> None:
    resolved = load(
        tmp_path, SMTP + '[alerts]\nrepeat_after = "never"\nmin_interval = "2h"\n', CONNECTOR_ALERTS__WEBHOOK__URL="https://hooks.example.com/T0"
    )
    found = resolved.settings.alerts
    assert found.webhook is not None
    assert (found.webhook.url, found.webhook.values) == ("https://hooks.example.com/T0", "omit")
    assert found.smtp is not None
    assert (found.smtp.at, found.smtp.sender) == (("mail.example.com", 587), "revops@example.com")
    assert (found.repeat_after, found.min_interval) == (None, timedelta(hours=2))
    plain = load(tmp_path, "").settings.alerts
    assert (plain.webhook, plain.smtp, plain.repeat_after, plain.min_interval) == (None, None, WEEK, timedelta(0))
    assert channels_of(plain, lambda: None, lambda seconds: None) == []


@pytest.mark.parametrize(
    ("toml", "said", "code"),
    [
        ('[alerts.webhook]\nurl = "http://hooks.example.com/x"\n', "plain http", "SC-E014"),
        ('[alerts.webhook]\nurl = "file:///etc/passwd"\n', "no address", "SC-E010"),
        ('[alerts.webhook]\nurl = "https://me:pw@hooks.example.com/x"\n', "user or password", "SC-E010"),
        (SMTP + 'security = "none"\n', "loopback only", "SC-E010"),
        (SMTP.replace("cro@", "cro"), "no mail address", "SC-E010"),
        (SMTP.replace('["cro@example.com"]', "[]"), "at least 1 item", "SC-E010"),
        (SMTP + '[alerts]\nrepeat_after = "weekly"\n', "not a time like", "SC-E010"),
        (SMTP.replace("host", "hst"), "unknown setting 'hst'", "SC-E015"),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, toml: str, said: str, code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, toml)
    assert any(said in f.message and f.code == code for f in caught.value.findings), caught.value.findings


def test_the_password_comes_from_the_environment_only(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds a secret"):
        load(tmp_path, SMTP + 'password = "x"\n')
    assert load(tmp_path, SMTP, CONNECTOR_ALERTS__SMTP__PASSWORD=PASSWORD).smtp_password() == PASSWORD
    (tmp_path / "pw").write_text(PASSWORD + "\n")
    assert load(tmp_path, SMTP, CONNECTOR_ALERTS__SMTP__PASSWORD_FILE=str(tmp_path / "pw")).smtp_password() == PASSWORD
    with pytest.raises(SettingsError, match="CONNECTOR_ALERTS__SMTP__PASSWORD, CONNECTOR_ALERTS__SMTP__PASSWORD_FILE"):
        load(tmp_path, SMTP).smtp_password()
    assert load(tmp_path, SMTP.replace('user = "robot"\n', "")).smtp_password() is None
