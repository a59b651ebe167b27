"""One request on its way through the API, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.datastructures import FormData, QueryParams

from connector.sandbox.hubspot import schema
from connector.sandbox.hubspot.errors import Failure, invalid
from connector.sandbox.hubspot.oauth import Access
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import stamp
from connector.sandbox.hubspot.schema import ObjectType


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is sent as JSON; bytes are sent as they are."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """``path``: the path's parameters. ``correlation`` is the id that stands in the header and in an error body."""

    portal: Portal
    path: Mapping[str, str]
    query: QueryParams
    raw: bytes
    correlation: str
    form: FormData | None = None
    access: Access = field(default_factory=lambda: Access(""))

    @property
    def version(self) -> str:
        return self.path["v"]

    @property
    def strict(self) -> bool:
        """From 2026-09 on: the admin's rules hold for API writes, and errors in a batch have every key of the schema."""
        return self.version >= "2026-09"

    def kind(self, name: str = "type") -> ObjectType:
        """The object type in the path. An unknown one is a 400 without a category."""
        word = self.path[name]
        found = schema.object_type(word)
        if found is None:
            raise Failure(400, f"Unable to infer object type from: {word}")
        return found

    def allow(self, *scopes: str) -> None:
        """Raise 403 MISSING_SCOPES if the credential lacks any of the scopes."""
        held = self.access.scopes
        lacking = [scope for scope in dict.fromkeys(scopes) if scope in self.portal.denied_scopes or (held is not None and scope not in held)]
        if lacking:
            context = {"requiredGranularScopes": lacking, "links": ["https://developers.hubspot.com/scopes"]}
            raise Failure(403, "One or more of the following scopes are required.", context=context, category="MISSING_SCOPES")

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        try:
            body = orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise invalid("Invalid input JSON on line 1, column 1: unexpected body")
        return body

    def names(self, name: str) -> list[str] | None:
        """A list parameter, repeated or comma-joined; None where it is not given."""
        given = self.query.getlist(name)
        return list(dict.fromkeys(part for text in given for part in text.split(",") if part)) if given else None

    def flag(self, name: str) -> bool:
        return self.query.get(name, "false").lower() == "true"

    def number(self, name: str, default: int, most: int) -> int:
        """A page size. Anything but 1 … ``most`` is a 400."""
        text = self.query.get(name, str(default))
        if not text.isdigit() or not 0 < int(text) <= most:
            raise invalid(f"{name} must be between 1 and {most}, got {text}")
        return int(text)

    def rows(self, body: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
        """The inputs of a batch, which must be objects, ``most`` at most."""
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
            raise invalid("Invalid input JSON: inputs must be a list of objects")
        if not 0 < len(inputs) <= most:
            raise invalid(f"The maximum number of inputs supported in a batch request for this object is {most}, received {len(inputs)}")
        return inputs

    def inputs(self, body: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
        """The inputs of a batch, each with an ``id`` as text."""
        inputs = self.rows(body, most)
        if not all(one.get("id") not in (None, "") for one in inputs):
            raise invalid("Invalid input JSON: inputs must be a list of objects with an id")
        return [one | {"id": str(one["id"])} for one in inputs]

    def batch(self, results: list[Any], errors: list[dict[str, Any]], status: int = 200) -> Answer:
        """The frame of a batch answer: 207 as soon as there is an error."""
        now = stamp(self.portal.now)
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if not errors:
            return Answer(body, status)
        if self.strict:
            errors = [{"errors": [], "links": {}, "context": {}} | error for error in errors]
        return Answer(body | {"numErrors": len(errors), "errors": errors}, 207)
