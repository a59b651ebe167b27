"""The HTTP frame of the org's answers: JSON bodies, error arrays, the Date and limit headers, compression."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json;charset=UTF-8"
SMALLEST_GZIP = 1024


class ApiError(Exception):
    """An answer in the error frame: an array with one object."""

    def __init__(self, status: int, code: str, message: str, fields: tuple[str, ...] | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body: list[dict[str, Any]] = [{"message": message, "errorCode": code}]
        if fields is not None:
            self.body[0]["fields"] = list(fields)


class OAuthError(Exception):
    """An answer of the token endpoint: an object."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


def not_found() -> ApiError:
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def answer(request: Request, now: datetime, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer dated with the virtual clock: bytes as they are, anything else as JSON, None is no body. Compressed where the client takes gzip."""
    sent = {"Date": http_date(now), "Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private", **(headers or {})}
    if body is None:
        return Response(status_code=status, headers=sent)
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    if request.method in ("GET", "POST") and status < 400:
        sent["Vary"] = "Accept-Encoding"
    if len(content) >= SMALLEST_GZIP and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, compresslevel=1, mtime=0)
        sent["Content-Encoding"] = "gzip"
    return Response(content, status_code=status, headers={"Content-Type": JSON, **sent})


def http_date(at: datetime) -> str:
    """``Fri, 20 Nov 2026 18:00:00 GMT``."""
    return format_datetime(at, usegmt=True)


def read_http_date(text: str | None) -> datetime | None:
    """The instant of a header, or None if it is missing or unreadable."""
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


async def read_json(request: Request) -> Any:
    """The request's body. Raises ApiError JSON_PARSER_ERROR."""
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as problem:
        raise ApiError(400, "JSON_PARSER_ERROR", f"Unexpected character at [line:{problem.lineno}, column:{problem.colno}]") from None
