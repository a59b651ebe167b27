"""Error answers: the frame, and the ways in which a call fails."""

from __future__ import annotations

from typing import Any

import orjson

from connector.sandbox.hubspot.values import Problem

NOT_FOUND_HTML = b"""<html>
<head>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>
<title>Error 404 Not Found</title>
</head>
<body><h2>HTTP ERROR 404</h2>
<p>Resource not found</p>
</body>
</html>
"""


class Failure(Exception):
    """A call that ends in an error frame. ``extra``: category, context, errors … as they stand in the body; ``word``: its ``status``."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None, word: str = "error", **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.word = word
        self.headers = headers or {}
        self.extra = extra

    def body(self, correlation: str) -> dict[str, Any]:
        return {"status": self.word, "message": str(self), "correlationId": correlation} | self.extra


class NotFound(Exception):
    """A by-id read or a path that is not there: answered in HTML."""


def invalid(message: str, *, code: str | None = None) -> Failure:
    """400 VALIDATION_ERROR."""
    if code is None:
        return Failure(400, message, category="VALIDATION_ERROR")
    return Failure(400, message, category="VALIDATION_ERROR", errors=[{"message": message, "code": code}])


def not_valid(problems: list[Problem], *, single: bool = False) -> Failure:
    """400 for a whole write: the message repeats every problem as JSON inside text; a batch has ``errors`` with each distinct one besides."""
    inner = orjson.dumps([problem.inner() for problem in problems]).decode()
    if single:
        return Failure(400, f"Property values were not valid: {inner}", category="VALIDATION_ERROR")
    rows = [problem.error() for problem in dict.fromkeys(problems)]
    return Failure(400, f"Property values were not valid: {inner}", category="VALIDATION_ERROR", errors=rows)


def missing(singular: str, ids: list[str]) -> dict[str, Any]:
    """The row of a 207 that lists ids which are not there; it says "get" of a write too."""
    message = f"Could not get some {singular.upper()} objects, they may be deleted or not exist. Check that ids are valid."
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": ids}}
