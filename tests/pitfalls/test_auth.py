"""Signing in: refusals are remembered and named, tokens outlive crashes, what is said of a credential never reaches a log."""

from __future__ import annotations

import io
import logging
import re
import sqlite3
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from urllib3.connectionpool import HTTPConnectionPool

from connector import logs, runs
from connector.app import App
from connector.errors import AuthenticationError, LeaseHeld, Transient
from connector.sandbox.salesforce import oauth
from connector.sandbox.salesforce.frames import OAuthError
from connector.state.leases import LeaseBook
from connector.state.tokens import STREAM
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.pitfalls.requests_seen import asked, watched
from tests.rig import NAME
from tests.rig_parts import starter

both = pytest.mark.parametrize("crm", BOTH)
hubspot = pytest.mark.parametrize("crm", [HS])
salesforce = pytest.mark.parametrize("crm", [SF])
KEY = Fernet.generate_key().decode()
SECRET = "the-canary-of-a-client-secret"
VARIABLE = f"CONNECTOR_CONNECTIONS__{NAME.upper()}__"
API = "/[!o]*"  # all but HubSpot's token endpoint
LOCATOR = re.compile(r"/query(?:All)?/(0r8\w+-?\w*)")
LIFE, STEP = 1_800, 60


@both
@pytest.mark.pitfall("34")
def test_dead_refresh_token_is_latched(rig: Any) -> None:
    """The app is removed between two runs. The next asks the token endpoint once, the five after it, each a process of its own, ask nobody;
    what was pulled stays. A new consent goes on where it was."""
    token = _by_refresh_token(rig)
    rig.pull()
    before, late = rig.rows("opportunities"), rig.open_deal()
    rig.world.faults.add(rig.crm, "login-refused", times=None)
    rig.world.journal.clear()
    done = []
    for _ in range(6):
        _process(rig, token)
        done.append(runs.pull(rig.app, [NAME], trigger="schedule"))
        rig.advance(900)
    assert [(report.exit_code, report.failures[0].error.code) for report in done] == [(5, "SC-E051")] * 6
    assert 1 <= _sign_ins(rig) <= 2
    assert len(rig.world.journal) == _sign_ins(rig), "no call follows a refused sign-in"
    assert "connections check" in (done[-1].failures[0].error.next_step or "")
    assert rig.rows("opportunities") == before
    rig.world.faults.clear()
    _process(rig, _consent(rig))
    rig.pull()
    assert late in {row["id"] for row in rig.rows("opportunities")}
    rig.assert_same()


@both
@pytest.mark.pitfall("35")
def test_rotated_refresh_token_saved_before_use(rig: Any) -> None:
    """When the first call with a new access token arrives, the refresh token that came with it is on the disk, encrypted; while it was
    fetched nobody else could refresh. A process that dies at that very moment leaves a connection that works."""
    token = _by_refresh_token(rig)
    saved: list[str | None] = []
    turns: list[bool] = []

    def look(request: Any) -> None:
        if _is_sign_in(request):
            turns.append(_is_free(rig))
            saved.append(None)  # until the next call shows what is kept by then
        elif saved and saved[-1] is None:
            saved[-1] = _kept(rig)

    with watched(rig, look) as journal:
        rig.pull(stream="owners")
        rig.world.faults.add(rig.crm, "server-error", path="/services/data/*" if rig.crm == SF else API, times=None)
        _process(rig, token)  # whose every call fails as soon as it has signed in
        with pytest.raises(Transient):
            rig.pull(stream="owners")
        rig.world.faults.clear()
        _process(rig, token)
        rig.pull(stream="owners")
        used = [parse_qs(request.body.decode())["refresh_token"][0] for request in journal if _is_sign_in(request)]
    assert used[0] == token
    assert used[1:] == saved[: len(used) - 1], "each sign-in trades in what was kept before the first call of the one before"
    assert len(set(used)) == len(used) == 3
    assert turns == [False] * 3
    assert _is_free(rig)
    secret = [part for part in (rig.root / "state").iterdir() if part.is_file()]
    assert not [part for part in secret for text in (*used, str(saved[-1])) if text.encode() in part.read_bytes()]
    rig.pull()
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("36")
def test_locator_is_not_used_in_another_session(rig: Any) -> None:
    """The session ends between two pages: the next page is asked from the last record on, in the new session, by a query of its own."""
    for _ in range(120):
        rig.open_deal()
    rig.org.page_size = 50
    rig.world.faults.add(SF, "session-ended", object="Opportunity", path="/services/data/v*/query*/0r8*", after=1)
    rig.world.journal.clear()
    rig.pull()
    requests = asked(rig)
    renewed = [place for place, request in enumerate(requests) if "/oauth2/token" in request]
    assert len(renewed) == 2
    before, after = ({match[1] for request in part if (match := LOCATOR.search(request))} for part in _halves(requests, renewed[1]))
    assert before
    assert not {name.partition("-")[0] for name in before} & {name.partition("-")[0] for name in after}
    assert re.search(r"FROM Opportunity WHERE \(\(SystemModstamp > .+ AND Id > ", requests[renewed[1] + 1]), requests[renewed[1] + 1]
    assert len(rig.rows("opportunities")) == 123
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("37")
def test_hubspot_token_refreshed_by_clock(rig: Any) -> None:
    """A pull that lasts longer than a token lives: each is replaced minutes before its end, and no call ever meets an expired one. A token
    that was revoked is no sign to refresh: the run ends, and the latch keeps the next ones from asking."""
    token = _by_refresh_token(rig)
    left: list[float] = []
    plain = rig.portal.tokens.access

    def noted(given: str) -> Any:
        found = plain(given)
        if found is not None and found.expires is not None:
            left.append((found.expires - rig.portal.now) / 1000)
        return found

    rig.portal.tokens.access = noted
    began = rig.now
    with watched(rig, lambda _: rig.advance(STEP)):
        rig.pull()
        lasted = (rig.now - began).total_seconds()
        assert lasted > LIFE
        assert 1 + lasted // LIFE <= _sign_ins(rig) <= 2 + lasted // (LIFE - 300 - STEP)
        assert min(left) >= 300 - 4 * STEP  # a few calls are on their way at once
    rig.settle()
    rig.assert_same()

    with watched(rig, lambda _: None):
        _process(rig, token)
        rig.portal.tokens.access = lambda _: None
        assert [runs.pull(rig.app, [NAME]).exit_code for _ in range(3)] == [5] * 3
        assert (_sign_ins(rig), len(rig.world.journal)) == (1, 2)


GRANTS = [
    ("client-credentials", "invalid_client_id", "client identifier invalid", 400, "client_id", "SC-E051"),
    ("client-credentials", "invalid_client", "invalid client credentials", 401, "client_secret", "SC-E051"),
    ("client-credentials", "invalid_grant", "request not supported on this domain", 400, "base_url", "SC-E051"),
    ("client-credentials", "invalid_grant", "no client credentials user enabled", 400, "user", "SC-E051"),
    ("client-credentials", "unsupported_grant_type", "grant type not supported", 400, "flow", "SC-E051"),
    ("jwt", "invalid_grant", "user hasn't approved this consumer", 400, "pre-authorise", "SC-E051"),
    ("jwt", "invalid_grant", "audience is invalid", 400, "audience", "SC-E051"),
    ("jwt", "invalid_grant", "invalid assertion", 400, "private_key", "SC-E051"),
    ("jwt", "invalid_app_access", "user is not admin approved to access this app", 400, "user", "SC-E053"),
    ("refresh-token", "invalid_grant", "expired access/refresh token", 400, "refresh_token", "SC-E051"),
]
"""Flow, what the org answers, the setting that the next step must name, and the code."""


@salesforce
@pytest.mark.pitfall("38")
def test_jwt_and_client_credentials_errors_name_the_setting(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refusal of the token endpoint is one call, exit 5, and says which setting to change. An endpoint that stumbles is none."""
    key = _private_key()
    for number, (flow, error, description, status, setting, code) in enumerate(GRANTS):

        def refuse(*_: Any, given: tuple[str, str, int] = (error, description, status)) -> Any:
            raise OAuthError(*given)

        monkeypatch.setattr(oauth, "_granted", refuse)
        _declare(rig, flow, client_id=f"app-{number}")
        _process(rig, "consent", PRIVATE_KEY=key)
        rig.world.journal.clear()
        done = runs.pull(rig.app, [NAME])
        failed = done.failures[0].error
        assert isinstance(failed, AuthenticationError), (flow, description, failed)
        assert (done.exit_code, failed.code) == (5, code), (flow, description)
        assert setting in str(failed.next_step), (flow, description, failed.next_step)
        assert error in failed.message
        assert len(rig.world.journal) == 1, (flow, description)
    monkeypatch.undo()
    _process(rig, "consent", CLIENT_SECRET="another")
    _declare(rig, "client-credentials", client_id="an-app")
    _process(rig, "consent", CLIENT_SECRET="another")
    stumbling = rig.world.faults.add(SF, "login-down", times=2)
    rig.pull()
    assert stumbling.struck == 2
    rig.assert_same()


@both
@pytest.mark.pitfall("39")
def test_missing_scope_fails_the_stream(rig: Any) -> None:
    """The right to read deals is taken away: that stream fails with exit 5 and names what is missing, its rows stay as they were, the other
    streams go on, and nothing is written to the CRM. Given back, nothing was lost."""
    rig.sync()
    rig.advance(600)
    before = rig.rows("opportunities")
    rig.edit(rig.deals[0], amount=None)
    late, met = rig.open_deal(), rig.meet(rig.accounts[1])
    if rig.crm == HS:
        rig.world.faults.add(HS, "denied-scope", parameters={"scope": "crm.objects.deals.read"})
    else:
        rig.world.faults.add(SF, "missing-scopes", object="Opportunity", times=None)
    rig.world.journal.clear()
    done = runs.sync_all(rig.app, [NAME])
    failed = {failure.stream: failure.error for failure in done.pulls[0].failures} if done.pulls else {}
    assert done.exit_code == 5
    assert (failed["opportunities"].code, failed["opportunities"].exit_code) == ("SC-E052", 5)
    assert ("crm.objects.deals.read" if rig.crm == HS else "INSUFFICIENT_ACCESS") in failed["opportunities"].message
    assert rig.rows("opportunities") == before
    assert rig.tombstones("opportunities") == {}
    assert met in {row["id"] for row in rig.rows("contacts")}
    assert not [request for request in asked(rig) if request.startswith("PATCH") or "/batch/update" in request]
    rig.world.faults.clear()
    rig.pull()
    assert late in {row["id"] for row in rig.rows("opportunities")}
    rig.assert_same()


@both
@pytest.mark.pitfall("66")
def test_secrets_and_bodies_never_logged(rig: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that is refused in every way, at debug level, over a library that logs its whole requests: no token, no secret, no mail address
    and no value of a record in any line, on any screen, or in what is remembered of the runs; and no token readable in any file of the
    state."""
    sent = _talkative(monkeypatch)
    token = _by_refresh_token(rig)
    account = rig.open_account("Canary Hospital")
    contact = rig.meet(account)
    deal = rig.open_deal(account, "discovery", name="Canary-deal")
    rig.log(deal, contact, "email", subject="Canary subject")
    if rig.crm == SF:
        rig.set("Contact", contact, Email="canary@hospital.example")
    add, streams, struck = rig.world.faults.add, [io.StringIO() for _ in logs.FORMATS], []
    with ExitStack() as open_, watched(rig, lambda _: None) as journal:
        for stream, format in zip(streams, logs.FORMATS, strict=True):
            open_.enter_context(logs.to(stream, "debug", format))
        add(rig.crm, "validation-rule", parameters={"message": "Canary deal of canary@hospital.example is locked", "ids": deal})
        done = rig.sync()
        assert done.pushes[0].counts["rejected"] == 1
        for refusal in ("garbage-body", "bad-gateway", "session-ended", "server-error"):
            rig.advance(600)
            rig.edit(deal, amount=None)
            times = 1 if refusal == "session-ended" else 2
            struck.append(add(rig.crm, refusal, path="/services/data/v*/*" if rig.crm == SF else "/crm/*", times=times))
            _process(rig, token)
            runs.pull(rig.app, [NAME])
        add(rig.crm, "login-refused", times=None)
        _process(rig, token)
        assert runs.pull(rig.app, [NAME]).exit_code == 5
        secrets = {parse_qs(request.body.decode()).get("refresh_token", [""])[0] for request in journal if _is_sign_in(request)} - {""}
    assert len(secrets) >= 3
    assert SECRET in str(sent), "the library had something to tell"
    assert all(fault.spent for fault in struck)
    printed = capfd.readouterr()
    remembered = " ".join(str((run.error_code, run.error_message, run.summary)) for run in rig.app.store.runs.recent(NAME))
    said = [stream.getvalue() for stream in streams]
    assert all(text.count("run ended") >= 6 and "SC-E051" in text and "withheld" in text for text in said)
    for place in (*said, printed.out, printed.err, remembered):
        assert not re.search("canary", place, re.IGNORECASE), [line for line in place.splitlines() if "canary" in line.lower()][:3]
        assert not [secret for secret in (*secrets, *_access_tokens(rig), SECRET) if secret in place]
        assert not re.search(r"00D\w{12,15}!|Bearer (?!\*\*\*)", place)
    raw = b"".join(part.read_bytes() for part in (rig.root / "state").iterdir() if part.is_file())
    assert not [secret for secret in (*secrets, *_access_tokens(rig), SECRET) if secret.encode() in raw]


# -- hands on both CRMs ------------------------------------------------------------------------------------------------


def _declare(rig: Any, flow: str, client_id: str = "an-app") -> None:
    """The connection signs in by this flow."""
    place = rig.root / "connector.toml"
    text = re.sub(r"^(flow|client_id|username) = .*\n", "", place.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = f'flow = "{flow}"\nclient_id = "{client_id}"\n' + ('username = "kpi@example.com"\n' if flow == "jwt" else "")
    place.write_text(text.replace("\n\n[guards]", f"\n{lines}\n[guards]"), encoding="utf-8")


def _by_refresh_token(rig: Any) -> str:
    """From now on the rig signs in with a refresh token that changes with each use. Returns the one of the consent."""
    _declare(rig, {SF: "refresh-token", HS: "oauth"}[rig.crm])
    rig.world.faults.add(rig.crm, "rotating-tokens")
    token = _consent(rig)
    _process(rig, token)
    rig.world.journal.clear()
    return token


def _consent(rig: Any) -> str:
    """A new refresh token, as an admin's consent gives it."""
    if rig.crm == SF:
        return str(rig.org.sessions.issue_refresh(rig.org.api_user))
    return f"consent-number-{len(rig.world.journal)}-{rig.now:%H%M%S}"


def _process(rig: Any, token: str, **more: str) -> None:
    """Another process of the same project, in whose environment the first token stands for ever."""
    rig.app.close()
    secrets = {"CLIENT_SECRET": SECRET, "REFRESH_TOKEN": token, **more}
    environment = {"CONNECTOR_SECRETS_KEY": KEY, **{VARIABLE + name: value for name, value in secrets.items()}}
    rig.app = App(rig.root, environment=environment, clock=rig.clock)
    rig.app.__dict__["mappings"] = starter(rig.crm)


def _is_sign_in(request: Any) -> bool:
    return str(request.path).endswith("/token")


def _sign_ins(rig: Any) -> int:
    return sum(map(_is_sign_in, rig.world.journal))


def _kept(rig: Any) -> str | None:
    """The refresh token on the disk, seen by a connection of its own."""
    with sqlite3.connect(rig.root / "state" / "connector.db") as db:
        row = db.execute("SELECT token FROM refresh_tokens WHERE connection = ?", (NAME,)).fetchone()
    return None if row is None else Fernet(KEY.encode()).decrypt(row[0].encode()).decode()


def _is_free(rig: Any) -> bool:
    """Whether another process might refresh now."""
    try:
        with LeaseBook(rig.app.store.database, rig.clock).take(NAME, STREAM, "another-host:1", heartbeat=None):
            return True
    except LeaseHeld:
        return False


def _access_tokens(rig: Any) -> list[str]:
    """Every access token that the CRM gave out."""
    held = rig.org.sessions if rig.crm == SF else rig.portal.tokens
    return [*held._live, *held._ended] if rig.crm == SF else list(held._issued)


def _talkative(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """Every request is logged with its headers and its body, by the library that sends it and by a careless hand of ours. Returns them."""
    plain, sent = HTTPConnectionPool.urlopen, []

    def urlopen(self: HTTPConnectionPool, method: str, url: str, body: Any = None, headers: Any = None, **more: Any) -> Any:
        sent.append((dict(headers or {}), body))
        logging.getLogger("urllib3.connectionpool").debug("request headers %s, body %s", headers, body)
        logging.getLogger("connector.crms").debug("sent", extra={"method": method, "headers": dict(headers or {})})
        return plain(self, method, url, body, headers, **more)

    monkeypatch.setattr(HTTPConnectionPool, "urlopen", urlopen)
    return sent


def _halves(requests: list[str], at: int) -> tuple[list[str], list[str]]:
    return requests[:at], requests[at:]


def _private_key() -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*form).decode()
