"""SOQL text: names are checked, values are quoted by the library's one function."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from simple_salesforce.format import quote_soql_value

from connector.errors import CrmConfigError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
IN_LIST = 300
LONGEST_QUERY = 12_000  # characters once encoded; the server's limit for the whole address is about 16 KB


def name(text: str) -> str:
    """The same text, if it can be nothing but the name of a field or object. Raises CrmConfigError."""
    if not NAME.fullmatch(text):
        raise CrmConfigError(f"{text!r} is not the name of a field or object")
    return text


def names(fields: Iterable[str]) -> str:
    return ", ".join(name(field) for field in fields)


def literal(value: str | datetime | Sequence[str]) -> str:
    """A quoted value, list of values, or an instant to the second in UTC, as SOQL spells it."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a naive instant has no place in a query")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(quote_soql_value(value if isinstance(value, str) else list(value)))


def select(fields: Sequence[str], object_: str, where: str = "", order: str = "") -> str:
    text = f"SELECT {names(fields)} FROM {name(object_)}"
    if where:
        text += f" WHERE {where}"
    return f"{text} ORDER BY {order}" if order else text


def too_long(query: str) -> bool:
    return len(urlencode({"q": query})) > LONGEST_QUERY


def to18(identity: str) -> str:
    """The 18-character spelling of an id; other texts are left as they are."""
    if len(identity) != 15:
        return identity
    checks = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    return identity + "".join(checks[sum(1 << bit for bit, char in enumerate(identity[k : k + 5]) if char.isupper())] for k in (0, 5, 10))
