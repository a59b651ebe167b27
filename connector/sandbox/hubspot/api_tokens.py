"""Endpoints of OAuth: refresh, introspect, revoke."""

from __future__ import annotations

from starlette.datastructures import FormData

from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import Failure
from connector.sandbox.hubspot.oauth import Refusal

USER, APP = 1_000_001, 8_425_001


def token(call: Call) -> Answer:
    """POST /oauth/{v}/token: grant refresh_token, a form. Which tokens and clients will do: ``portal.tokens``."""
    form = call.form if call.form is not None else FormData()
    if form.get("grant_type") != "refresh_token":
        raise _refused("unsupported_grant_type", "unsupported grant_type", "unsupported_grant_type")
    lacking = [name for name in ("client_id", "client_secret", "refresh_token") if not form.get(name)]
    if lacking:
        raise _refused(f"BAD_{lacking[0].upper()}", f"missing or invalid {lacking[0].replace('_', ' ')}", "invalid_request")
    portal = call.portal
    given = [str(form[name]) for name in ("client_id", "client_secret", "refresh_token")]
    try:
        issued, kept, scopes = portal.tokens.refresh(given[0], given[1], given[2], portal.now, portal.denied_scopes)
    except Refusal as refusal:
        raise _refused(refusal.status, str(refusal), refusal.error) from None
    return Answer({
        "access_token": issued, "refresh_token": kept, "expires_in": portal.tokens.seconds, "token_type": "bearer",
        "token_use": "access_token", "hub_id": portal.portal_id, "scopes": list(scopes), "user_id": USER,
    })  # fmt: skip


def _refused(status: str, message: str, error: str) -> Failure:
    return Failure(400, message, word=status, error=error, error_description=message)


def introspect(call: Call) -> Answer:
    """POST /oauth/{v}/token/introspect: what an access or refresh token is, or that it is nothing any more."""
    given, portal = _given(call), call.portal
    access, client = portal.tokens.access(given), (portal.tokens.client or ("",))[0]
    common = {"token": given, "token_type": "bearer", "hub_id": portal.portal_id, "user_id": USER, "client_id": client, "app_id": APP}
    if access is not None and access.oauth and access.expires is not None:
        left = (access.expires - portal.now) // 1000
        return Answer(common | {
            "active": left > 0, "token_use": "access_token", "scopes": sorted(access.scopes or ()), "expires_in": max(left, 0),
            "is_private_distribution": True,
        })  # fmt: skip
    if portal.tokens.is_refresh_token(given):
        return Answer(common | {"active": True, "token_use": "refresh_token", "scopes": list(portal.tokens.scopes)})
    return Answer({"active": False})


def revoke(call: Call) -> Answer:
    """POST /oauth/{v}/token/revoke: the app is uninstalled, or one access token ended. 204, known or not."""
    call.portal.tokens.revoke(_given(call))
    return Answer(b"", 204)


def _given(call: Call) -> str:
    given = str((call.form or FormData()).get("token") or "")
    if not given:
        raise _refused("BAD_TOKEN", "missing token", "invalid_request")
    return given
