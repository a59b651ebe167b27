"""What the client does when the wire, the session or the org misbehaves. Served by hand-written answers on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.transport import Client
from connector.errors import (
    AuthenticationError,
    BudgetReached,
    ConnectorError,
    CrmConfigError,
    CursorExpired,
    MissingScope,
    SettingsError,
    TooLarge,
    Transient,
)
from tests.crms.scripted import Answer, Asked, Server, serving

START = datetime(2026, 11, 20, 17, tzinfo=UTC)
TOKEN = "/services/oauth2/token"
HTML = Answer("<html><body>Down for maintenance</body></html>", 503, {"Content-Type": "text/html"})
EXPIRED = Answer([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)


def token(asked: Asked, number: int = 1) -> Answer:
    host = asked.headers["host"]
    return Answer({"access_token": f"token-{number}", "instance_url": f"https://{host}", "token_type": "Bearer"})


class Script:
    """Good tokens, and for everything else the answers given, in order; the last one for ever."""

    def __init__(self, *answers: Answer, tokens: Callable[[Asked, int], Answer] = token) -> None:
        self.answers, self.tokens, self.issued = list(answers), tokens, 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == TOKEN:
            self.issued += 1
            return self.tokens(asked, self.issued)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def client_of(server: Server, clock: FixedClock | None = None, **settings: object) -> Client:
    found = SalesforceSettings(base_url=server.url, flow="sandbox", **settings)  # type: ignore[arg-type]
    return Client(found, clock or FixedClock(START), Meter())


def error(code: str, message: str = "", status: int = 400) -> Answer:
    return Answer([{"errorCode": code, "message": message}], status)


def test_one_call_is_one_request_with_the_headers_agreed() -> None:
    with serving(Script(Answer({"ok": True}))) as server:
        client = client_of(server)
        assert client.get("limits") == {"ok": True}
        client.close()
    sent = server.asked[1]
    assert (len(server.asked), sent.path) == (2, "/services/data/v68.0/limits")
    assert sent.headers["authorization"] == "Bearer token-1"
    assert sent.headers["x-prettyprint"] == "0"
    assert "gzip" in sent.headers["accept-encoding"]


def test_an_ended_session_is_renewed_once_and_the_call_replayed_with_its_headers() -> None:
    with serving(Script(EXPIRED, Answer({"ok": True}))) as server:
        client = client_of(server)
        assert client.get("queryAll", params={"q": "SELECT Id FROM User"}, headers={"Sforce-Query-Options": "batchSize=200"}) == {"ok": True}
    assert [asked.path.rsplit("/", 1)[1] for asked in server.asked] == ["token", "queryAll", "token", "queryAll"]
    assert server.asked[3].headers["authorization"] == "Bearer token-2"
    assert server.asked[3].headers["sforce-query-options"] == "batchSize=200"


def test_an_org_that_refuses_every_token_gets_two_sign_ins_and_no_more() -> None:
    with serving(Script(EXPIRED)) as server:
        client = client_of(server)
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                client.get("limits")
    assert server.count(TOKEN) == 2
    assert len(server.asked) == 4


def test_a_refused_grant_is_latched_and_names_the_next_step() -> None:
    def refused(_: Asked, __: int) -> Answer:
        return Answer({"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}, 400)

    with serving(Script(Answer({}), tokens=refused)) as server:
        client = client_of(server)
        for _ in range(3):
            with pytest.raises(AuthenticationError) as caught:
                client.get("limits")
    assert len(server.asked) == 1
    assert caught.value.next_step == "pre-authorise the permission set in the External Client App"


@pytest.mark.parametrize(
    "bad",
    [HTML, Answer([{"errorCode": "SERVER_UNAVAILABLE", "message": "busy"}], 503), Answer({"token_type": "Bearer"}), Answer("[]"), Answer("", 502)],
    ids=["html", "array", "no token", "empty array", "empty"],
)
def test_a_token_endpoint_that_stumbles_is_no_refusal(bad: Answer) -> None:
    def stumble(asked: Asked, number: int) -> Answer:
        return bad if number == 1 else token(asked, number)

    with serving(Script(Answer({"ok": True}), tokens=stumble)) as server:
        assert client_of(server).get("limits") == {"ok": True}
    assert server.count(TOKEN) == 2


@pytest.mark.parametrize(
    "fault",
    [
        HTML,
        Answer("<html>moved in</html>", 200, {"Content-Type": "text/html"}),
        Answer({"half": "of it"}, fault="cut"),
        Answer(fault="reset"),
        Answer({}, fault="slow"),
        error("SERVER_UNAVAILABLE", status=503),
        error("UNKNOWN_EXCEPTION", status=500),
        error("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", 403),
        Answer("", 502),
        Answer("", 420),
    ],
    ids=["html 503", "html 200", "cut", "reset", "slow", "503", "500", "concurrent", "502", "420"],
)
@pytest.mark.fault
def test_faults_of_the_moment_are_tried_again(fault: Answer) -> None:
    with serving(Script(fault, fault, Answer({"ok": True}))) as server:
        clock = FixedClock(START)
        client = client_of(server, clock, read_timeout=0.3)
        assert client.get("limits") == {"ok": True}
    assert server.count("limits") == 3
    assert 3 <= (clock.now() - START).total_seconds() <= 5  # 1 + 2 s and their jitter


@pytest.mark.fault
def test_a_fault_that_stays_is_given_up_after_five_tries() -> None:
    with serving(Script(HTML)) as server, pytest.raises(Transient):
        client_of(server).get("limits")
    assert server.count("limits") == 5


@pytest.mark.fault
def test_an_org_that_cannot_be_reached_says_so() -> None:
    with serving(Script(HTML)) as server:
        url = server.url
    with pytest.raises(Transient) as caught:
        Client(SalesforceSettings(base_url=url, flow="sandbox"), FixedClock(START), Meter()).get("limits")
    assert caught.value.code == "SC-E050"


@pytest.mark.parametrize(
    ("answer", "expected", "code"),
    [
        (error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403), BudgetReached, "SC-E078"),
        (error("QUERY_TIMEOUT"), TooLarge, "SC-E073"),
        (error("QUERY_TOO_COMPLICATED"), TooLarge, "SC-E073"),
        (error("EXCEEDED_ID_LIMIT"), TooLarge, "SC-E073"),
        (Answer("<html>URI too long</html>", 414), TooLarge, "SC-E073"),
        (error("INVALID_QUERY_LOCATOR"), CursorExpired, "SC-E075"),
        (error("INVALID_FIELD", "\nSELECT x\n ^\nERROR at Row:1:Column:7\nNo such column 'x' on entity 'Opportunity'."), CrmConfigError, "SC-E021"),
        (error("INVALID_TYPE", "sObject type 'Nope' is not supported."), CrmConfigError, "SC-E021"),
        (error("NOT_FOUND", "The requested resource does not exist", 404), CrmConfigError, "SC-E021"),
        (error("INSUFFICIENT_ACCESS", "", 403), MissingScope, "SC-E052"),
        (error("API_DISABLED_FOR_ORG", "", 403), CrmConfigError, "SC-E053"),
        (error("UNSUPPORTED_API_VERSION", "", 400), CrmConfigError, "SC-E055"),
        (Answer("", 410), CrmConfigError, "SC-E055"),
        (error("SOMETHING_NEW", "of next year"), CrmConfigError, "SC-E021"),
        (Answer({"error": "odd", "error_description": "an object"}, 400), CrmConfigError, "SC-E021"),
        (Answer("", 302, {"Location": "https://elsewhere.example.com/"}), CrmConfigError, "SC-E050"),
    ],
)
def test_an_error_is_classified_by_its_code_and_not_tried_again(answer: Answer, expected: type[ConnectorError], code: str) -> None:
    with serving(Script(answer)) as server, pytest.raises(expected) as caught:
        client_of(server).get("query", params={"q": "SELECT Id FROM Opportunity WHERE Name = 'Canary Clinic'"})
    assert caught.value.code == code
    assert len(server.asked) == 2


def test_an_error_carries_neither_query_nor_body() -> None:
    drawn = "\nSELECT Id FROM Opportunity WHERE Name = 'Canary Clinic'\n   ^\nERROR at Row:1:Column:40\nunexpected token: 'FROM'"
    with serving(Script(error("MALFORMED_QUERY", drawn))) as server, pytest.raises(CrmConfigError) as caught:
        client_of(server).get("query", params={"q": "SELECT Id FROM Opportunity WHERE Name = 'Canary Clinic'"})
    assert caught.value.message == "MALFORMED_QUERY: unexpected token: 'FROM'"
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "Canary" not in str(chain) or chain.__suppress_context__
        assert chain.__cause__ is None
        chain = None if chain.__suppress_context__ else chain.__context__


def test_a_locator_is_never_followed_in_another_session() -> None:
    with serving(Script(Answer({"ok": 1}), EXPIRED, Answer({"ok": 2}))) as server:
        client = client_of(server)
        client.get("queryAll")
        opened = client.session
        with pytest.raises(CursorExpired):
            client.get("/services/data/v68.0/query/0r8-2000", session=opened)
        with pytest.raises(CursorExpired):
            client.get("/services/data/v68.0/query/0r8-2000", session=opened)
    assert server.count("0r8-2000") == 1
    assert server.count(TOKEN) == 2


def test_one_thread_signs_in_and_the_others_use_its_token() -> None:
    with serving(Script(Answer({"ok": True}))) as server:
        client = client_of(server)
        threads = [threading.Thread(target=client.get, args=("limits",)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.count(TOKEN) == 1
    assert server.count("limits") == 6


def test_the_gauge_is_the_highest_of_the_last_minute_in_any_order_of_the_header() -> None:
    headers = [
        {"Sforce-Limit-Info": "api-bursts=1/750; api-usage=4147/100000; per-app-api-usage=17/250(appName=x)"},
        {"Sforce-Limit-Info": "per-app-api-usage=9999/10000(appName=x); api-usage=4141/100000"},
        {},
        {"Sforce-Limit-Info": "api-usage=4120/100000"},
    ]
    clock = FixedClock(START)
    with serving(Script(*(Answer({}, headers=h) for h in headers))) as server:
        meter = Meter()
        client = Client(SalesforceSettings(base_url=server.url, flow="sandbox"), clock, meter)
        seen = []
        for _ in range(3):
            client.get("limits")
            seen.append(meter.allocation_used)
        clock.sleep(61)
        client.get("limits")
    assert seen == [4147, 4147, 4147]
    assert (meter.allocation_used, meter.allocation_max, meter.calls) == (4120, 100000, 5)


def test_reads_stop_at_the_share_of_the_allocation_before_the_next_call() -> None:
    with serving(Script(Answer({}, headers={"Sforce-Limit-Info": "api-usage=80/100"}))) as server:
        client = client_of(server)
        client.get("limits")
        with pytest.raises(BudgetReached):
            client.get("limits")
        client.json("PATCH", "composite/sobjects", writing=True, data=b"{}")
    assert len(server.asked) == 3


def test_the_own_cap_stops_before_the_call() -> None:
    with serving(Script(Answer({}))) as server:
        client = client_of(server, daily_calls=10, used_today=8, stop_at_share=1.0)
        client.get("limits")
        with pytest.raises(BudgetReached):
            client.get("limits")
    assert len(server.asked) == 2


def test_the_orgs_clock_is_its_date_header_asked_afresh() -> None:
    dates = [Answer([], headers={"Date": f"Fri, 20 Nov 2026 18:00:0{n} GMT"}) for n in (1, 2)]
    with serving(Script(*dates)) as server:
        client = client_of(server)
        assert client.now() == datetime(2026, 11, 20, 18, 0, 1, tzinfo=UTC)
        assert client.now() == datetime(2026, 11, 20, 18, 0, 2, tzinfo=UTC)
    assert [asked.path for asked in server.asked] == [TOKEN, "/services/data", "/services/data"]


def test_an_instance_elsewhere_is_not_called() -> None:
    with serving(Script(Answer({}), tokens=lambda *_: Answer({"access_token": "t", "instance_url": "https://evil.example.com"}))) as server:
        with pytest.raises(AuthenticationError, match=r"evil\.example\.com"):
            client_of(server).get("limits")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "named", ["https://evilsalesforce.com", "https://salesforce.com.example.com", "https://x.my.salesforce.com@evil.example.com"]
)
def test_a_host_that_only_looks_like_the_vendors_is_refused(named: str) -> None:
    with serving(Script(Answer({}), tokens=lambda *_: Answer({"access_token": "t", "instance_url": named}))) as server:
        with pytest.raises(AuthenticationError):
            client_of(server).get("limits")
        assert len(server.asked) == 1


def test_a_netrc_entry_does_not_replace_the_token(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"  # type: ignore[operator]
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(Script(Answer({}))) as server:
        client_of(server).get("limits")
    assert server.asked[0].headers["authorization"].startswith("Basic c2FuZGJveDpzYW5kYm94")
    assert server.asked[1].headers["authorization"] == "Bearer token-1"


def test_a_proxy_of_the_environment_never_sees_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(Script(Answer({"ok": True}))) as server:
        assert client_of(server).get("limits") == {"ok": True}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"base_url": "http://example.my.salesforce.com", "client_id": "a", "client_secret": "b"}, "SC-E014"),
        ({"base_url": "https://example.my.salesforce.com"}, "SC-E011"),
        ({"base_url": "https://example.my.salesforce.com", "flow": "jwt", "client_id": "a"}, "SC-E011"),
        ({"base_url": "https://example.my.salesforce.com", "flow": "sandbox"}, "SC-E010"),
        ({"base_url": "example.my.salesforce.com"}, "SC-E010"),
        ({"base_url": "http://127.0.0.1:1", "flow": "password"}, "SC-E010"),
        ({"base_url": "http://127.0.0.1:1", "flow": "sandbox", "api_version": "31.0"}, "SC-E055"),
        ({"base_url": "http://127.0.0.1:1", "flow": "sandbox", "write_batch": 201}, "SC-E010"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(settings: dict[str, object], code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SalesforceSettings(**settings)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_secrets_do_not_show_in_the_settings() -> None:
    shown = repr(SalesforceSettings(base_url="https://example.my.salesforce.com", client_id="a", client_secret="hush-hush"))
    assert "hush" not in shown


def test_the_clock_is_asked_again_where_an_answer_has_no_date() -> None:
    def undated(asked: Asked, number: int) -> Answer:
        return Answer(token(asked).body, headers={"Date": ""})

    silent, told = Answer({}, headers={"Date": ""}), Answer({}, headers={"Date": "Fri, 20 Nov 2026 17:00:05 GMT"})
    for answers in ((silent, told), (told, silent, told)):  # what an older answer said does not count as the time now
        with serving(Script(*answers, tokens=undated)) as server:
            client = client_of(server)
            for _ in answers[1:]:
                assert client.now() == datetime(2026, 11, 20, 17, 0, 5, tzinfo=UTC)
            assert client.heard == datetime(2026, 11, 20, 17, 0, 5, tzinfo=UTC)
            client.close()
        assert server.count("/services/data") == len(answers)


def test_answers_that_never_carry_a_date_are_given_up_on() -> None:
    with serving(Script(Answer({}, headers={"Date": ""}), tokens=lambda asked, _: Answer(token(asked).body, headers={"Date": ""}))) as server:
        client = client_of(server)
        with pytest.raises(Transient, match="no Date"):
            client.now()
        client.close()
    assert server.count("/services/data") == 5
