"""The token endpoint: client credentials, JWT bearer and refresh token; errors are objects, not arrays."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.salesforce.frames import OAuthError, answer
from connector.sandbox.salesforce.org import Org

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FURTHEST_EXP = 300  # seconds ahead
LOGIN_HOSTS = ("login.", "test.")
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")


async def token(org: Org, request: Request) -> Response:
    """POST /services/oauth2/token."""
    try:
        if request.method != "POST":
            raise OAuthError("invalid_request", "must use HTTP POST")
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        body = _granted(org, request, form)
    except OAuthError as refused:
        return answer(request, org.clock.now, refused.body, refused.status)
    return answer(request, org.clock.now, body)


def _granted(org: Org, request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    grant = form.get("grant_type")
    if grant == "client_credentials":
        return _client_credentials(org, request, form)
    if grant == JWT_BEARER:
        return _jwt(org, request, form)
    if grant == "refresh_token":
        return _refresh(org, request, form)
    raise OAuthError("unsupported_grant_type", "grant type not supported")


def _client_credentials(org: Org, request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    if request.headers.get("host", "").startswith(LOGIN_HOSTS):
        raise OAuthError("invalid_grant", "request not supported on this domain")
    key, secret = _client(request, form)
    if not key:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if not secret:
        raise OAuthError("invalid_client", "invalid client credentials", 401)
    return _answer(org, request, org.run_as.get(key, org.api_user))


async def hand_out(org: Org, request: Request) -> Response:
    """POST /sandbox/salesforce/token ``{"as": login}``: what the token endpoint answers, for whomever a test wants to be."""
    try:
        asked = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError:
        asked = None
    name = asked.get("as", "integration") if isinstance(asked, dict) else None
    user = org.login(name) if isinstance(name, str) else None
    row = (org.find(user) if user is not None else None) or {}
    if user is None or not row.get("IsActive"):
        body = {"ok": False, "error": f"no active user of the org is called {name!r}", "next": "see /sandbox/salesforce/logins", "details": []}
        return answer(request, org.clock.now, body, 400)
    return answer(request, org.clock.now, {"ok": True, "username": row["Username"], "user_id": user, **_answer(org, request, user)})


def _client(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise OAuthError("invalid_client", "invalid client credentials", 401) from None
    return key, secret


def _jwt(org: Org, request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    """Audience, issuer, user and expiry are checked; the signature too, once the org has a certificate of the consumer key."""
    claims = _claims(form.get("assertion", ""))
    if not claims.get("iss"):
        raise OAuthError("invalid_client_id", "client identifier invalid")
    _verify(org, str(claims["iss"]), form["assertion"])
    audience = str(claims.get("aud", "")).rstrip("/")
    if audience not in (*AUDIENCES, str(request.base_url).rstrip("/")) and not audience.endswith(".my.salesforce.com"):
        raise OAuthError("invalid_grant", "audience is invalid")
    try:
        expires = float(claims["exp"])
    except (KeyError, TypeError, ValueError):
        raise OAuthError("invalid_grant", "invalid assertion") from None
    if org.token_now is not None and not 0 < expires - org.token_now().timestamp() <= FURTHEST_EXP:
        raise OAuthError("invalid_grant", "invalid assertion")
    subject = str(claims.get("sub", "")).lower()
    if not subject:
        raise OAuthError("invalid_grant", "invalid assertion")
    user = next((row for row in org.tables["User"].rows.values() if row["Username"].lower() == subject), None)
    if user is not None and not user["IsActive"]:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    return _answer(org, request, org.api_user if user is None else user["Id"])


def _verify(org: Org, issuer: str, assertion: str) -> None:
    """Raises OAuthError where certificates are registered and none of them made the signature."""
    if not org.certificates:
        return
    if issuer not in org.certificates:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    signed, _, signature = assertion.rpartition(".")
    key = load_pem_public_key(org.certificates[issuer])
    assert isinstance(key, RSAPublicKey)
    try:
        key.verify(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)), signed.encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error):
        raise OAuthError("invalid_grant", "invalid assertion") from None


def _claims(assertion: str) -> dict[str, Any]:
    parts = assertion.split(".")
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, binascii.Error, orjson.JSONDecodeError):
        claims = None
    if len(parts) != 3 or not parts[2] or not isinstance(claims, dict):
        raise OAuthError("invalid_grant", "invalid assertion")
    return claims


def _refresh(org: Org, request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    key, _ = _client(request, form)
    if not key:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    used = form.get("refresh_token", "")
    user = org.sessions.refreshed_by(used)
    if user is None:
        raise OAuthError("invalid_grant", "expired access/refresh token")
    successor = {"refresh_token": org.sessions.retire_refresh(used)} if org.sessions.rotate else {}
    return _answer(org, request, user) | successor


def _answer(org: Org, request: Request, user: str) -> dict[str, Any]:
    access = org.sessions.issue(user)
    return {
        "access_token": access, "signature": base64.b64encode(access[-32:].encode()).decode(), "scope": "api",
        "instance_url": str(request.base_url).rstrip("/"), "id": f"https://login.salesforce.com/id/{org.org_id}/{user}",
        "token_type": "Bearer", "issued_at": str(int(org.clock.now.timestamp() * 1000)),
    }  # fmt: skip
