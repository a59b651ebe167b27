"""Several requests in one: composite, batch and graph. The parts run one after another with the session of the whole."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Message

from connector.sandbox.salesforce.frames import ApiError, not_found, read_json
from connector.sandbox.salesforce.gate import Call, Endpoint, Handler, Reply
from connector.sandbox.salesforce.soql import SoqlError

MOST_PARTS = 25
MOST_QUERIES = 5
MOST_GRAPHS = 75
MOST_NODES = 500
REFERENCE = re.compile(r"@\{(\w+)\.([\w.\[\]]+)\}")
Run = Callable[[Call, Mapping[str, Any]], Awaitable[Reply]]


def handlers(data: str, routes: Sequence[Route]) -> dict[str, dict[str, Handler]]:
    """Paths below ``data`` and what serves them. ``routes``: where the parts go to."""

    async def composite(call: Call) -> Reply:
        body = await read_json(call.request)
        parts = body.get("compositeRequest") if isinstance(body, dict) else None
        return Reply({"compositeResponse": await _parts(call, routes, parts, MOST_PARTS, body)})

    async def batch(call: Call) -> Reply:
        body = await read_json(call.request)
        parts = body.get("batchRequests") if isinstance(body, dict) else None
        if not isinstance(parts, list) or len(parts) > MOST_PARTS:
            raise ApiError(400, "LIMIT_EXCEEDED", f"The request can't contain more than {MOST_PARTS} operations.")
        results = []
        for part in parts:
            path = str(part.get("url", "")).lstrip("/")
            path = path if path.startswith("services/") else f"services/data/{path}"
            reply = await _run(call, routes, {"method": part.get("method"), "url": "/" + path, "body": part.get("richInput")})
            results.append({"statusCode": reply.status, "result": reply.body})
        return Reply({"hasErrors": any(result["statusCode"] >= 400 for result in results), "results": results})

    async def graph(call: Call) -> Reply:
        body = await read_json(call.request)
        graphs = body.get("graphs") if isinstance(body, dict) else None
        if not isinstance(graphs, list) or len(graphs) > MOST_GRAPHS:
            raise ApiError(400, "LIMIT_EXCEEDED", f"The request can't contain more than {MOST_GRAPHS} graphs.")
        found = []
        for one in graphs:
            answers = await _parts(call, routes, one.get("compositeRequest"), MOST_NODES, {})
            good = all(answer["httpStatusCode"] < 400 for answer in answers)
            found.append({"graphId": one.get("graphId"), "graphResponse": {"compositeResponse": answers}, "isSuccessful": good})
        return Reply({"graphs": found})

    return {f"{data}/composite": {"POST": composite}, f"{data}/composite/batch": {"POST": batch}, f"{data}/composite/graph": {"POST": graph}}


async def _parts(call: Call, routes: Sequence[Route], parts: Any, most: int, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not isinstance(parts, list) or len(parts) > most:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The request can't contain more than {most} operations.")
    if sum("/query" in str(part.get("url")) for part in parts) > MOST_QUERIES:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The request can't contain more than {MOST_QUERIES} query operations.")
    known: dict[str, Any] = {}
    answers = []
    for part in parts:
        filled = orjson.loads(REFERENCE.sub(lambda match: _referred(known, match), orjson.dumps(part).decode()))
        reply = await _run(call, routes, filled)
        known[str(part.get("referenceId"))] = reply.body
        answers.append({
            "body": reply.body, "httpHeaders": dict(reply.headers), "httpStatusCode": reply.status, "referenceId": part.get("referenceId"),
        })  # fmt: skip
    return answers


def _referred(known: Mapping[str, Any], match: re.Match[str]) -> str:
    """The value behind ``@{reference.field}``; an unknown one stays as it is."""
    at = known.get(match[1])
    for step in re.findall(r"\w+", match[2]):
        at = at[int(step)] if isinstance(at, list) and step.isdigit() and int(step) < len(at) else at.get(step) if isinstance(at, dict) else None
    return match[0] if at is None else str(at)


async def _run(call: Call, routes: Sequence[Route], part: Mapping[str, Any]) -> Reply:
    """One part as a call of its own; its refusal is its answer."""
    path, _, query = str(part.get("url", "")).partition("?")
    scope: dict[str, Any] = {
        "type": "http", "method": str(part.get("method", "GET")), "path": unquote(path), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), str(value).encode()) for name, value in (part.get("httpHeaders") or {}).items()],
    }  # fmt: skip
    body = orjson.dumps(part.get("body"))

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        for route in routes:
            match, child = route.matches(scope)
            if match is Match.NONE or not isinstance(route.app, Endpoint):
                continue
            request = Request({**scope, **child}, receive)
            version = str(request.path_params.get("version", call.version))
            return await route.app.handle(Call(call.org, request, version, call.user, call.token))
        raise not_found()
    except SoqlError as refused:
        return Reply([{"message": refused.message, "errorCode": refused.code}], 400)
    except ApiError as refused:
        return Reply(refused.body, refused.status, refused.headers)
