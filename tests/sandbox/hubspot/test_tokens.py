"""Credentials: scopes of a static token, OAuth's refresh, rotation, revocation, introspection."""

from __future__ import annotations

import pytest

from connector.sandbox.hubspot.oauth import SCOPES

DETAILS = "/account-info/2026-03/details"


@pytest.fixture
def post(client):
    def send(path="token", **form):
        return client.session.post(f"{client.base}/oauth/2026-03/{path}", data=form, timeout=20)

    return send


@pytest.fixture
def refresh(post):
    def send(token="r-1", client_id="c", client_secret="s"):
        return post(grant_type="refresh_token", client_id=client_id, client_secret=client_secret, refresh_token=token)

    return send


@pytest.fixture
def bearer(client):
    return lambda token, path=DETAILS: client.call("GET", path, headers={"Authorization": f"Bearer {token}"})


def test_a_static_token_has_the_scopes_it_was_given(client, portal, bearer):
    portal.tokens.grant("key-1", "crm.objects.deals.read")
    deals, contacts = (f"/crm/objects/2026-03/{kind}" for kind in ("deals", "contacts"))
    assert bearer("key-1", deals).status_code == 200
    refused = bearer("key-1", contacts)
    assert (refused.status_code, refused.json()["category"]) == (403, "MISSING_SCOPES")
    assert refused.json()["context"]["requiredGranularScopes"] == ["crm.objects.contacts.read"]
    assert bearer("sandbox-all", contacts).status_code == 200
    portal.tokens.revoke("key-1")
    gone = bearer("key-1", deals)
    assert (gone.status_code, gone.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_an_oauth_app_has_the_scopes_of_its_installation(portal, refresh, bearer):
    portal.denied_scopes = {"crm.objects.companies.read"}
    given = refresh().json()
    assert given["scopes"] == [scope for scope in SCOPES if scope != "crm.objects.companies.read"]
    portal.denied_scopes = set()  # a scope that is added later needs a new installation
    assert bearer(given["access_token"], "/crm/objects/2026-03/companies").status_code == 403


def test_rotation_ends_the_old_refresh_token(portal, refresh, bearer, later):
    portal.tokens.rotate = True
    first = refresh("r-1").json()
    assert first["refresh_token"] != "r-1"
    again = refresh("r-1")
    assert (again.status_code, again.json()["status"], again.json()["error"]) == (400, "BAD_REFRESH_TOKEN", "invalid_grant")
    second = refresh(first["refresh_token"]).json()
    assert len({"r-1", first["refresh_token"], second["refresh_token"]}) == 3
    assert portal.tokens.refreshes == 2
    assert bearer(first["access_token"]).status_code == 200  # an access token lives on until it expires
    later(1_800)
    assert bearer(first["access_token"]).json()["category"] == "EXPIRED_AUTHENTICATION"


def test_without_rotation_the_refresh_token_stays(refresh):
    assert [refresh("r-1").json()["refresh_token"] for _ in range(2)] == ["r-1", "r-1"]


def test_a_revoked_refresh_token_takes_its_access_tokens_with_it(portal, refresh, bearer):
    token = refresh("r-1").json()["access_token"]
    portal.tokens.revoke("r-1")
    assert refresh("r-1").json()["status"] == "BAD_REFRESH_TOKEN"
    assert (bearer(token).status_code, bearer(token).json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_the_app_must_be_the_one_that_was_registered(portal, refresh):
    portal.tokens.client = ("app", "hush")
    assert refresh(client_id="other", client_secret="hush").json()["status"] == "BAD_CLIENT_ID"
    assert refresh(client_id="app", client_secret="guess").json()["status"] == "BAD_CLIENT_SECRET"
    assert refresh(client_id="app", client_secret="hush").status_code == 200


def test_all_access_tokens_can_be_made_to_expire(portal, refresh, bearer):
    token = refresh().json()["access_token"]
    portal.tokens.expire(portal.now)
    assert bearer(token).json()["message"] == "The OAuth token used to make this call expired 0 second(s) ago."
    assert bearer(refresh().json()["access_token"]).status_code == 200


def test_introspection(portal, refresh, post, later):
    given = refresh().json()
    later(100)
    access = post("token/introspect", token=given["access_token"]).json()
    assert (access["active"], access["token_use"], access["expires_in"], access["hub_id"]) == (True, "access_token", 1700, portal.portal_id)
    assert post("token/introspect", token=given["refresh_token"]).json()["token_use"] == "refresh_token"
    later(1_700)
    assert post("token/introspect", token=given["access_token"]).json()["active"] is False
    assert post("token/introspect", token="nobody's").json() == {"active": False}
    assert post("token/introspect").status_code == 400


def test_uninstalling(refresh, post, bearer):
    given = refresh().json()
    assert post("token/revoke", token=given["refresh_token"]).status_code == 204
    assert refresh(given["refresh_token"]).status_code == 400
    assert bearer(given["access_token"]).status_code == 401


def test_usage_is_not_for_oauth_apps(refresh, bearer):
    path = "/account-info/2026-03/api-usage/daily/private-apps"
    assert bearer(refresh().json()["access_token"], path).status_code == 403
    assert bearer("sandbox-key", path).status_code == 200
