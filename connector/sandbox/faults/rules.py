"""Which requests a fault strikes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from connector.sandbox.errors import SandboxError
from connector.sandbox.faults.kinds import HUBSPOT, SALESFORCE, kind_of
from connector.sandbox.hubspot.schema import object_type

_TEXTS = ("method", "path", "object", "body")
_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
_TYPE = re.compile(r'"type"\s*:\s*"(\w+)"')


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request on its way to a CRM. ``text``: query string, unquoted, and body, in which a fault's ``body`` is looked for."""

    crm: str
    method: str
    path: str
    text: str

    def objects(self) -> frozenset[str]:
        """The objects it is about, in small letters: those of the path, of a query's FROM, of a batch's records. Empty: it does not say."""
        parts = [part for part in self.path.split("/") if part]
        if self.crm == HUBSPOT:
            kinds = (object_type(part) for part in parts[1:])
            return frozenset(kind.name for kind in kinds if kind is not None)
        found = [*_FROM.findall(self.text)[:1], *_TYPE.findall(self.text)]
        if "sobjects" in parts[:-1]:
            found.append(parts[parts.index("sobjects") + 1])
        return frozenset(name.lower() for name in found)


def crm_of(path: str) -> str:
    """The CRM that a path belongs to."""
    return SALESFORCE if path.startswith("/services/") else HUBSPOT


@dataclass
class Fault:
    """One entry of the desk. ``method``, ``path`` (a glob), ``object`` and ``body`` (a part of query or body) must all match, None matches
    anything. It spares the first ``after`` requests that match and strikes the next ``times`` (None: all). ``seen`` and ``struck`` count."""

    number: int
    crm: str
    kind: str
    method: str | None = None
    path: str | None = None
    object: str | None = None
    body: str | None = None
    after: int = 0
    times: int | None = 1
    seconds: float | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    seen: int = 0
    struck: int = 0

    def matches(self, request: Incoming) -> bool:
        """Whether the fault is about such a request at all."""
        if request.crm != self.crm or (self.method is not None and request.method != self.method.upper()):
            return False
        path = self.path or kind_of(self.kind, self.crm).paths.get(self.crm)
        if path is not None and not fnmatchcase(request.path, path):
            return False
        if self.object is not None and _name(self.crm, self.object) not in request.objects():
            return False
        return self.body is None or self.body in request.text

    def strikes(self, request: Incoming) -> bool:
        """Count the request; whether the fault strikes it."""
        if not self.matches(request):
            return False
        self.seen += 1
        if self.seen <= self.after or self.spent:
            return False
        self.struck += 1
        return True

    @property
    def spent(self) -> bool:
        """It has struck as often as it may."""
        return self.times is not None and self.struck >= self.times

    def as_dict(self) -> dict[str, Any]:
        """Its JSON form."""
        return asdict(self) | {"spent": self.spent}


def _name(crm: str, word: str) -> str:
    kind = object_type(word) if crm == HUBSPOT else None
    return kind.name if kind is not None else word.lower()


def read_fault(number: int, given: Mapping[str, Any]) -> Fault:
    """A fault from its JSON form: ``crm`` and ``kind`` are needed. Raises SandboxError naming what is wrong."""
    unknown = sorted(set(given) - set(Fault.__dataclass_fields__))
    if unknown:
        raise SandboxError(f"a fault has no {', '.join(unknown)}", f"known: {', '.join(_known())}")
    crm, name = given.get("crm"), given.get("kind")
    if not isinstance(crm, str) or not isinstance(name, str):
        raise SandboxError("a fault needs crm and kind", "connector sandbox faults add --help")
    kind = kind_of(name, crm)
    parameters = given.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise SandboxError("parameters must be an object")
    strange = sorted(set(parameters) - set(kind.parameters))
    if strange:
        takes = f"it takes {', '.join(kind.parameters)}" if kind.parameters else "it takes none"
        raise SandboxError(f"{name} has no parameter {', '.join(strange)}; {takes}", "connector sandbox faults add --help")
    for field_ in _TEXTS:
        if not (given.get(field_) is None or isinstance(given[field_], str)):
            raise SandboxError(f"{field_} must be text")
    texts: dict[str, Any] = {name: given.get(name) for name in _TEXTS}
    times = _whole(given, "times", 1) if given.get("times", 1) is not None else None
    values = {key: str(value) for key, value in parameters.items()}
    return Fault(number, crm, name, **texts, after=_whole(given, "after", 0), times=times, seconds=_seconds(given), parameters=values)


def _known() -> list[str]:
    return [name for name in Fault.__dataclass_fields__ if name not in ("number", "seen", "struck")]


def _whole(given: Mapping[str, Any], name: str, least: int) -> int:
    """A count of at least ``least``, which is also what is meant where nothing is given."""
    value = given.get(name, least)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SandboxError(f"{name} must be a whole number from {least}" + (", or null for ever" if name == "times" else ""))
    return value


def _seconds(given: Mapping[str, Any]) -> float | None:
    value = given.get("seconds")
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SandboxError("seconds must be a number")
    return float(value)
