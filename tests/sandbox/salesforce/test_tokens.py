"""The token endpoint, sessions and what every call passes."""

import base64
import json
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def assertion(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part({'iss': 'key', 'sub': 'kpi.connector@beacon-surgical.example'} | claims)}.c2ln"


def test_client_credentials_give_a_session_of_the_api_user(client, org):
    answer = client.grant(grant_type="client_credentials", client_id="key", client_secret="secret")
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"}
    assert body["instance_url"] == client.base
    assert body["id"].split("/")[-2:] == [org.org_id, org.api_user]
    assert body["issued_at"] == "1795197600000"
    client.token = body["access_token"]
    who = client.get("/services/oauth2/userinfo").json()
    assert (who["user_id"], who["organization_id"], who["name"]) == (org.api_user, org.org_id, "KPI Connector")


def test_the_secret_may_travel_as_basic_authorization(client):
    url = client.base + "/services/oauth2/token"
    assert client.session.post(url, data={"grant_type": "client_credentials"}, auth=("key", "secret"), timeout=10).status_code == 200
    refused = client.session.post(url, data={"grant_type": "client_credentials"}, auth=("key", ""), timeout=10)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "headers", "status", "error", "words"),
    [
        ({"grant_type": "client_credentials"}, {}, 400, "invalid_client_id", "client identifier invalid"),
        ({"grant_type": "client_credentials", "client_id": "k", "client_secret": "s"}, {"Host": "login.salesforce.com"}, 400, "invalid_grant",
         "request not supported on this domain"),
        ({"grant_type": "password"}, {}, 400, "unsupported_grant_type", "grant type not supported"),
        ({"grant_type": JWT, "assertion": "nonsense"}, {}, 400, "invalid_grant", "invalid assertion"),
        ({"grant_type": JWT, "assertion": assertion(aud="https://elsewhere.example", exp=1)}, {}, 400, "invalid_grant", "audience is invalid"),
        ({"grant_type": JWT, "assertion": assertion(aud="https://login.salesforce.com")}, {}, 400, "invalid_grant", "invalid assertion"),
        ({"grant_type": "refresh_token", "client_id": "k", "refresh_token": "unknown"}, {}, 400, "invalid_grant", "expired access/refresh token"),
    ],
)  # fmt: skip
def test_refused_grants_are_objects(client, form, headers, status, error, words):
    answer = client.session.post(client.base + "/services/oauth2/token", data=form, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()) == (status, {"error": error, "error_description": words})


def test_jwt_bearer(client, org, clock):
    good = assertion(aud="https://login.salesforce.com", exp=str(clock.now.timestamp() + 180))
    org.token_now = lambda: clock.now
    token = client.grant(grant_type=JWT, assertion=good).json()["access_token"]
    assert org.sessions.user_of(token) == org.api_user
    for seconds in (-1, 3600):
        late = assertion(aud="https://test.salesforce.com", exp=clock.now.timestamp() + seconds)
        assert client.grant(grant_type=JWT, assertion=late).json()["error"] == "invalid_grant"


def test_jwt_of_a_user_who_left(client, org):
    user = org.insert("User", {"LastName": "Gone", "Username": "gone@example.com", "IsActive": False})
    claims = {"aud": "https://login.salesforce.com", "exp": 1, "sub": "gone@example.com"}
    assert client.grant(grant_type=JWT, assertion=assertion(**claims)).json()["error_description"] == "user hasn't approved this consumer"
    org.update("User", user, {"IsActive": True})
    assert org.sessions.user_of(client.grant(grant_type=JWT, assertion=assertion(**claims)).json()["access_token"]) == user


def test_refresh_token_rotation_ends_the_old_one(client, org):
    org.sessions.rotate = True
    first = org.sessions.issue_refresh(org.api_user)
    form = {"grant_type": "refresh_token", "client_id": "key", "refresh_token": first}
    old_session = client.grant(**form).json()
    assert old_session["refresh_token"] != first
    assert client.grant(**form).json()["error_description"] == "expired access/refresh token"
    client.grant(**form | {"refresh_token": old_session["refresh_token"]})
    client.token = old_session["access_token"]
    assert client.get("limits").status_code == 401


@pytest.mark.parametrize("token", ["", "nobody", "sandbox-as-005000000000000AAA"])
def test_unknown_tokens(client, token):
    client.token = token
    answer = client.get("limits")
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert "Sforce-Limit-Info" not in answer.headers


def test_a_basic_header_is_no_session(client):
    answer = client.get("limits", headers={"Authorization": "Basic abc"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, "INVALID_AUTH_HEADER")


def test_expired_sessions_stay_out_and_a_new_one_gets_in(client, org):
    client.log_in()
    assert client.get("limits").status_code == 200
    org.expire_sessions()
    assert client.get("limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"
    client.log_in()
    assert client.get("limits").status_code == 200


def test_versions_need_no_session(client):
    client.token = ""
    answer = client.get("/services/data")
    assert answer.json()[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    assert answer.json()[-2]["label"] == "Summer '26"
    assert "Sforce-Limit-Info" not in answer.headers


@pytest.mark.parametrize(
    ("version", "status", "code"), [("30.0", 410, "UNSUPPORTED_API_VERSION"), ("69.0", 404, "NOT_FOUND"), ("x", 404, "NOT_FOUND")]
)
def test_other_versions(client, version, status, code):
    answer = client.get(f"/services/data/v{version}/limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)


def test_limits_count_calls(client, org):
    first = client.get("limits").json()["DailyApiRequests"]
    answer = client.get("limits/")
    assert answer.json()["DailyApiRequests"] == {"Max": 100000, "Remaining": first["Remaining"] - 1}
    assert answer.headers["Sforce-Limit-Info"] == f"api-usage={org.calls_used}/100000"
    org.calls_used = org.calls_max
    answer = client.get("limits")
    assert (answer.status_code, answer.json()) == (403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}])


def test_answers_are_dated_by_the_virtual_clock(client, clock):
    clock.advance_to(clock.now + timedelta(days=3))
    answer = client.get("limits")
    assert parsedate_to_datetime(answer.headers["Date"]) == clock.now
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"


def test_gzip_only_where_it_is_taken(client):
    assert client.get("sobjects/Opportunity/describe").headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in client.get("sobjects/Opportunity/describe", headers={"Accept-Encoding": "identity"}).headers


@pytest.mark.parametrize("path", ["nothing", "sobjects/Nothing/describe", "sobjects/Opportunity/006000000000001AAA", "composite/nothing/a/b"])
def test_what_does_not_exist(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])


def test_a_method_that_is_not_allowed(client):
    answer = client.post("query", {})
    assert (answer.status_code, answer.json()[0]["errorCode"], answer.headers["Allow"]) == (405, "METHOD_NOT_ALLOWED", "GET")


def test_a_url_beyond_sixteen_kilobytes(client):
    assert client.query("SELECT Id FROM Account WHERE Name = '" + "x" * 3000 + "'").status_code == 200
    answer = client.query("SELECT Id FROM Opportunity WHERE Id IN (" + ",".join(["'006000000000001AAA'"] * 800) + ")")
    assert (answer.status_code, answer.headers["Content-Type"]) == (414, "text/html; charset=utf-8")
