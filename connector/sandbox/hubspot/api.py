"""The portal over HTTP: what every call passes (credential, limits, version, scopes), and the routes."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.hubspot import api_records, api_settings
from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import NOT_FOUND_HTML, Failure, NotFound
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import stamp

VERSIONS = ("2026-03", "2026-09")
URL_MAX = 8_192
GZIP_FROM = 1_000

Handler = Callable[[Call], Answer]


def routes(portal: Portal) -> list[Route]:
    """Every endpoint. The server must not add a Date header of its own: answers carry the virtual now."""
    records, settings = api_records, api_settings
    objects, account, currencies = "/crm/objects/{v}/{type}", "/account-info/{v}", "/settings/currencies/{v}"
    table: list[tuple[str, str, Handler]] = [
        ("GET", f"{account}/details", settings.account),
        ("GET", f"{account}/api-usage/daily/private-apps", settings.usage),
        ("POST", "/oauth/{v}/token", settings.token),
        ("GET", "/crm/properties/{v}/{type}", settings.properties),
        ("GET", "/crm/pipelines/{v}/{type}", settings.pipelines),
        ("GET", "/crm/associations/{v}/{from}/{to}/labels", settings.labels),
        ("POST", "/crm/associations/{v}/{from}/{to}/batch/read", records.associations),
        ("GET", "/crm/owners/{v}", settings.owners),
        ("GET", "/crm/owners/{v}/{id}", settings.owner),
        ("GET", "/crm/limits/{v}/calculated-properties", settings.calculated_limits),
        ("GET", "/crm/limits/{v}/custom-properties", settings.custom_limits),
        ("GET", f"{currencies}/company-currency", settings.company_currency),
        ("GET", f"{currencies}/exchange-rates/current", settings.exchange_rates),
        ("GET", objects, records.list_records),
        ("POST", f"{objects}/search", records.search_records),
        ("POST", f"{objects}/batch/read", records.batch_read),
        ("POST", f"{objects}/batch/update", records.batch_update),
        ("GET", f"{objects}/{{id}}", records.get_record),
        ("PATCH", f"{objects}/{{id}}", records.patch_record),
    ]
    return [Route(path, _endpoint(portal, handler), methods=[verb]) for verb, path, handler in table]


def _endpoint(portal: Portal, handler: Handler) -> Callable[[Request], Any]:
    search = handler is api_records.search_records
    writes = handler in (api_records.patch_record, api_records.batch_update)

    async def endpoint(request: Request) -> Response:
        correlation = str(uuid.UUID(int=next(portal.correlations), version=4))
        headers = {"X-HubSpot-Correlation-Id": correlation, "Vary": "Accept-Encoding"}
        form = await request.form() if handler is api_settings.token else None
        raw = b"" if form is not None else await request.body()
        call = Call(portal, request.path_params, request.query_params, raw, correlation, form)
        try:
            headers |= _admit(portal, request, search=search, known=handler is not api_settings.token)
            answer = handler(call)
            if writes:
                portal.clock.advance_to(portal.clock.now + timedelta(seconds=1))
        except Failure as failure:
            answer = Answer(failure.body(correlation), failure.status, failure.headers)
        except NotFound:
            headers |= {"X-HubSpot-NotFound": "true", "Cache-Control": "must-revalidate,no-cache,no-store"}
            answer = Answer(NOT_FOUND_HTML, 404, {"Content-Type": "text/html;charset=iso-8859-1"})
        return _response(portal, request, answer, headers)

    return endpoint


def _admit(portal: Portal, request: Request, *, search: bool, known: bool) -> dict[str, str]:
    """Credential, then limits, then version; the limit headers of the answer. ``known``: the call needs a credential."""
    oauth = _credential(portal, request) if known else False
    limited: dict[str, str] = {}
    if portal.limits_on and known:
        exceeded = portal.limits.take(search=search, oauth=oauth, now=portal.clock.now)
        if exceeded:
            raise _too_many(exceeded.policy, {} if search else portal.limits.headers(search=False, oauth=oauth))
        limited = portal.limits.headers(search=search, oauth=oauth)
    if request.path_params["v"] not in VERSIONS:
        raise NotFound
    if len(request.url.path) + len(request.url.query) > URL_MAX:
        raise Failure(414, "URI Too Long", headers=limited)
    return limited


def _credential(portal: Portal, request: Request) -> bool:
    """True for a token that the portal issued itself (an OAuth app's). Raises 401."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer" and given in portal.tokens:
        expired = portal.now - portal.tokens[given]
        if expired < 0:
            return True
        message = f"The OAuth token used to make this call expired {expired // 1000} second(s) ago."
        raise Failure(401, message, category="EXPIRED_AUTHENTICATION", context={"expire time": [stamp(portal.tokens[given])]})
    if scheme.lower() == "bearer" and given.startswith("sandbox-"):
        return False
    message = (
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at "
        "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
    )
    raise Failure(401, message, headers={"X-HubSpot-Auth-Failure": "401 Unauthorized"}, category="INVALID_AUTHENTICATION")


def _too_many(policy: str, headers: dict[str, str]) -> Failure:
    if policy == "SECONDLY":  # search: no header at all, and no Retry-After anywhere
        return Failure(429, "You have reached your secondly limit.", category="RATE_LIMITS")
    words = "daily limit" if policy == "DAILY" else "ten_secondly_rolling limit"
    message = f"You have reached your {words}."
    return Failure(429, message, headers=headers, errorType="RATE_LIMIT", policyName=policy, groupName="publicapi:private-apps:api-calls")


def _response(portal: Portal, request: Request, answer: Answer, headers: dict[str, str]) -> Response:
    content = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
    headers = {"Content-Type": "application/json;charset=utf-8", "Date": format_datetime(portal.clock.now, usegmt=True)} | headers | answer.headers
    if len(content) >= GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = gzip.compress(content, compresslevel=1), "gzip"
    return Response(content, answer.status, headers)
