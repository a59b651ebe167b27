"""What every call passes before its endpoint: credential, limits, version, length of the URL."""

from __future__ import annotations

from starlette.requests import Request

from connector.sandbox.hubspot.errors import Failure, NotFound
from connector.sandbox.hubspot.limits import Exceeded
from connector.sandbox.hubspot.oauth import Access
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import stamp

VERSIONS = ("2026-03", "2026-09")
URL_MAX = 8_192


def admit(portal: Portal, request: Request, *, search: bool, known: bool) -> tuple[Access, dict[str, str]]:
    """The credential, and the limit headers of the answer. ``known``: the call needs a credential. Raises Failure and NotFound."""
    access = credential(portal, request) if known else Access("")
    limited: dict[str, str] = {}
    if portal.limits_on and known:
        exceeded = portal.limits.take(search=search, oauth=access.oauth, now=portal.clock.now, app=access.app)
        if exceeded:
            raise _too_many(portal, exceeded, search=search, access=access)
        limited = portal.limits.headers(search=search, oauth=access.oauth, app=access.app)
    if request.path_params["v"] not in VERSIONS:
        raise NotFound
    if len(request.url.path) + len(request.url.query) > URL_MAX:
        raise Failure(414, "URI Too Long", headers=limited)
    return access, limited


def credential(portal: Portal, request: Request) -> Access:
    """What the bearer token stands for. Raises Failure (401): expired, or unknown and revoked alike."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    access = portal.tokens.access(given.strip()) if scheme.lower() == "bearer" else None
    if access is None:
        message = (
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at "
            "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
        )
        raise Failure(401, message, headers={"X-HubSpot-Auth-Failure": "401 Unauthorized"}, category="INVALID_AUTHENTICATION")
    if access.expires is not None and access.expires <= portal.now:
        message = f"The OAuth token used to make this call expired {(portal.now - access.expires) // 1000} second(s) ago."
        raise Failure(401, message, category="EXPIRED_AUTHENTICATION", context={"expire time": [stamp(access.expires)]})
    return access


def _too_many(portal: Portal, exceeded: Exceeded, *, search: bool, access: Access) -> Failure:
    limits = portal.limits
    wait = {"Retry-After": str(exceeded.wait)} if limits.retry_after else {}
    # Search's own refusal has no limit header at all.
    headers = wait | ({} if search else limits.headers(search=False, oauth=access.oauth, app=access.app))
    words = {"SECONDLY": "secondly limit", "DAILY": "daily limit"}.get(exceeded.policy, "ten_secondly_rolling limit")
    message = f"You have reached your {words}."
    if exceeded.policy == "SECONDLY" and not limits.gateway:
        return Failure(429, message, headers=headers, category="RATE_LIMITS")
    request_id = f"{next(portal.correlations):08x}"
    group = {} if exceeded.policy == "SECONDLY" else {"groupName": "publicapi:private-apps:api-calls"}
    return Failure(429, message, headers=headers, errorType="RATE_LIMIT", policyName=exceeded.policy, requestId=request_id, **group)
