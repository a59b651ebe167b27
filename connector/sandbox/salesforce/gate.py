"""What every REST call passes before and after its handler: URL length, version, session, the day's allocation, the frame of errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from connector.sandbox.salesforce.frames import ApiError, answer, http_date, not_found
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.soql import SoqlError

NEWEST = 68
OLDEST = 31
LONGEST_URL = 16_384


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a live session. ``version`` as called (``68.0``), ``user`` the session's user, ``token`` the session."""

    org: Org
    request: Request
    version: str
    user: str
    token: str

    @property
    def definition_name(self) -> str:
        return str(self.request.path_params["type"])


@dataclass(frozen=True, slots=True)
class Reply:
    """``body``: JSON, or bytes with a Content-Type among the headers."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Reply]]


class Endpoint:
    """One path: a handler for each method it allows."""

    def __init__(self, org: Org, **handlers: Handler) -> None:
        self.org = org
        self.handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        org = self.org
        if len(request.url.path) + len(request.url.query) >= LONGEST_URL:
            return HTMLResponse("<h1>URI Too Long</h1>", 414, {"Date": http_date(org.clock.now)})
        limits: dict[str, str] = {}
        try:
            version = _version(request)
            token, user = _session(org, request)
            _charge(org)
            org.settle()
            limits["Sforce-Limit-Info"] = f"api-usage={org.calls_used}/{org.calls_max}"
            reply = await self.handle(Call(org, request, version, user, token))
        except SoqlError as refused:
            reply = Reply([{"message": refused.message, "errorCode": refused.code}], 400)
        except ApiError as refused:
            reply = Reply(refused.body, refused.status, refused.headers)
        return answer(request, org.clock.now, reply.body, reply.status, {**reply.headers, **limits})

    async def handle(self, call: Call) -> Reply:
        """The handler's reply. Raises ApiError and SoqlError."""
        method = call.request.method
        handler = self.handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = ",".join(sorted(self.handlers))
            raise ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are {allowed}", headers={"Allow": allowed})
        try:
            return await handler(call)
        finally:
            if method in ("PATCH", "PUT", "DELETE") and "/jobs/" not in call.request.url.path:
                call.org.clock.advance_to(call.org.clock.now + timedelta(seconds=1))


async def missing(call: Call) -> Reply:
    """Any path that the org does not have."""
    raise not_found()


def _version(request: Request) -> str:
    version = str(request.path_params.get("version", f"{NEWEST}.0"))
    major, _, minor = version.partition(".")
    if not major.isdigit() or minor != "0" or int(major) > NEWEST or int(major) < 1:
        raise not_found()
    if int(major) < OLDEST:
        raise ApiError(410, "UNSUPPORTED_API_VERSION", f"Version {version} is retired and no longer supported")
    return version


def _session(org: Org, request: Request) -> tuple[str, str]:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    refused = {"WWW-Authenticate": "Token"}
    if kind and kind.lower() not in ("bearer", "oauth"):
        raise ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE", headers=refused)
    named = org.sessions.user_of(token.strip()) if token else None
    user = None if named is None else org.login(named)
    if user is None:
        raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid", headers=refused)
    return token.strip(), user


def _charge(org: Org) -> None:
    if org.calls_used >= org.calls_max:
        raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    org.calls_used += 1
