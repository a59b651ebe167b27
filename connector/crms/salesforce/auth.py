"""Signing in to an org: client credentials, JWT bearer, or a refresh token that may change with every use."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import SalesforceLogin

from connector.crms.salesforce.faults import network, refused_grant
from connector.crms.salesforce.settings import VENDOR_DOMAINS, SalesforceSettings, is_loopback
from connector.errors import AuthenticationError, LeaseHeld, SettingsError, Transient


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token and the host that takes it. ``refresh``: the refresh token that is kept since then, where the org gave a new one."""

    token: str = field(repr=False)
    host: str
    refresh: str | None = field(default=None, repr=False)


def sign_in(settings: SalesforceSettings, http: requests.Session) -> Granted:
    """One token request, by the flow of the settings.

    Raises AuthenticationError (with the setting to change as its next step) for a refusal, Transient where the endpoint stumbles,
    SettingsError for a private key that cannot be read.
    """
    if settings.flow == "given":
        return Granted(settings.access_token or "", settings.host)
    successor: str | None = None
    try:
        if settings.flow == "refresh-token":
            token, instance, successor = _refreshed(settings, http)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the library warns with the consumer key in its text
                token, instance = SalesforceLogin(session=http, sf_version=settings.api_version, **_credentials(settings))
    except SalesforceAuthenticationFailed as refused:
        raise refused_grant(refused.code, refused.auth_message, settings.flow) from None
    except requests.RequestException as error:
        raise network(error) from None
    except (AttributeError, TypeError):
        raise Transient("the token endpoint answered with something that is no token") from None
    host = urlsplit(f"//{instance}").hostname or ""
    if not _trusted(settings, host):
        raise AuthenticationError(f"the token answer names {host}, which is neither the configured host nor one of Salesforce's")
    if not token:
        raise Transient("the token endpoint answered without a token")
    return Granted(token, instance, successor)


def superseded(settings: SalesforceSettings, granted: Granted) -> bool:
    """Whether another process has refreshed since: where refresh tokens rotate, that ended our session, and nothing is wrong."""
    if settings.flow != "refresh-token" or settings.refresh_tokens is None:
        return False
    return settings.refresh_tokens.load() not in (None, granted.refresh)


def _trusted(settings: SalesforceSettings, host: str) -> bool:
    return host == settings.host or host.endswith(VENDOR_DOMAINS) or (settings.loopback and is_loopback(host))


def _refreshed(settings: SalesforceSettings, http: requests.Session) -> tuple[str, str, str | None]:
    """(access token, host, new refresh token). Under the connection's lock the newest refresh token is looked up, used, and its successor kept
    for good *before* the access token that came with it is handed out: a crash in between leaves a working token behind."""
    kept, successor = settings.refresh_tokens, None
    if kept is None:
        answer = _exchanged(settings, http, settings.refresh_token or "")
        if answer.get("refresh_token") not in (None, settings.refresh_token):
            raise SettingsError("the org rotates refresh tokens, and nothing keeps the new one: the connection needs a state", code="SC-E011")
    else:
        try:
            with kept.exclusive():
                used = kept.load() or settings.refresh_token or ""
                answer = _exchanged(settings, http, used)
                if answer.get("refresh_token") not in (None, "", used):
                    successor = str(answer["refresh_token"])
                    kept.save(successor)
        except LeaseHeld:
            raise Transient("another process is signing in with this connection's refresh token") from None
    return answer["access_token"], urlsplit(answer["instance_url"]).netloc, successor


def _exchanged(settings: SalesforceSettings, http: requests.Session, token: str) -> dict[str, Any]:
    """One request with a refresh token. Raises SalesforceAuthenticationFailed as the library does for the other flows."""
    form = {"grant_type": "refresh_token", "client_id": settings.client_id or "", "refresh_token": token}
    if settings.client_secret:
        form["client_secret"] = settings.client_secret
    response = http.post(f"https://{settings.host}/services/oauth2/token", form, headers={"Accept": "application/json"}, allow_redirects=False)
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise SalesforceAuthenticationFailed(response.status_code, "") from None
    if not isinstance(answer, dict):
        raise TypeError("no token")
    if response.status_code != 200:
        raise SalesforceAuthenticationFailed(answer.get("error"), answer.get("error_description"))
    if not isinstance(answer.get("access_token"), str) or not isinstance(answer.get("instance_url"), str):
        raise TypeError("no token")
    return answer


def _credentials(settings: SalesforceSettings) -> dict[str, Any]:
    """What SalesforceLogin needs for the flow. Raises SettingsError for a private key that cannot be read."""
    if settings.flow == "jwt":
        try:
            load_pem_private_key((settings.private_key or "").encode(), password=None)
        except (ValueError, TypeError):
            raise SettingsError("private_key is not the PEM text of a private key without a passphrase") from None
        return {
            "username": settings.username,
            "consumer_key": settings.client_id,
            "privatekey": settings.private_key,
            "domain": settings.login_domain,
            "instance_url": settings.domain,
        }
    fallback = "sandbox" if settings.flow == "sandbox" else ""
    return {
        "consumer_key": settings.client_id or fallback,
        "consumer_secret": settings.client_secret or fallback,
        "domain": settings.domain,
    }
