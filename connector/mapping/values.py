"""A CRM's JSON scalars as canonical values. Every failure is a RecordError that names the field and never shows the value."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connector.clock import Calendar, parse_instant
from connector.crms.base import Value
from connector.errors import RecordError
from connector.mapping.schema import Source

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TAG = re.compile(r"<[^<>]*>")
_NOT_WORD = re.compile(r"[\W_]+")
_ID_CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_MILLIS = 11  # digits of epoch milliseconds from 1970-04 on
_ID15 = re.compile(r"[A-Za-z0-9]{15}")
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


def blank(value: Value) -> bool:
    """Null and the empty text are one: unknown."""
    return value is None or value == ""


def text(value: Value) -> str | None:
    """Text of any scalar: booleans in lower case, numbers as the shortest decimal; None for blank.

    >>> text(True), text(29.0), text(""), text("a")
    ('true', '29', None, 'a')
    """
    if blank(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return shortest(Decimal(repr(value)))
    return str(value)


def shortest(number: Decimal) -> str:
    """A decimal without trailing zeros and without an exponent.

    >>> shortest(Decimal("950000000.0")), shortest(Decimal("-0.50"))
    ('950000000', '-0.5')
    """
    if not number.is_finite():
        return str(number)
    plain = format(number, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain


def wire_text(value: Value, *, numeric: bool) -> str | None:
    """A scorecard field as the CRM holds it: None for blank, numbers shortest, booleans lower case.

    >>> wire_text("29.0", numeric=True), wire_text(29, numeric=True), wire_text("007", numeric=False)
    ('29', '29', '007')
    """
    plain = text(value)
    if plain is None or not numeric:
        return plain
    try:
        return shortest(Decimal(plain))
    except InvalidOperation:
        return plain


def number(value: Value, field: str) -> Decimal | None:
    """Raises RecordError for anything that is not a finite decimal number."""
    if blank(value):
        return None
    if isinstance(value, bool):
        raise RecordError("a number is wanted", field=field)
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        raise RecordError("a number is wanted", field=field) from None
    if not amount.is_finite():
        raise RecordError("a finite number is wanted", field=field)
    return amount


def probability(value: Value, field: str, scale: str | None) -> Decimal | None:
    """0–1. Raises RecordError outside of it."""
    odds = number(value, field)
    if odds is None:
        return None
    odds = odds / 100 if scale == "percent" else odds
    if not 0 <= odds <= 1:
        raise RecordError("a probability is out of its range", field=field)
    return odds


def boolean(value: Value, field: str) -> bool | None:
    """JSON booleans, ``"true"`` and ``"false"`` in any case, 0 and 1, yes and no. Raises RecordError for other text."""
    if blank(value):
        return None
    word = str(value).strip().casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise RecordError("true or false is wanted", field=field)


def instant(value: Value, field: str) -> datetime | None:
    """Aware UTC from any spelling. Raises RecordError for a naive or unreadable one."""
    if blank(value):
        return None
    try:
        return _parsed(str(value))
    except (ValueError, OverflowError, OSError):
        raise RecordError("an instant with its time zone is wanted", field=field) from None


def _parsed(plain: str) -> datetime:
    """As parse_instant, but a short run of digits (``20261231``) is no number of milliseconds."""
    if plain.isdigit() and len(plain) < _MILLIS:
        raise ValueError("too few digits for epoch milliseconds")
    return parse_instant(plain)


def local_date(value: Value, field: str, calendar: Calendar) -> date | None:
    """A date as it stands, an instant by the org's calendar. Raises RecordError for anything else."""
    if blank(value):
        return None
    plain = str(value)
    if _DATE.fullmatch(plain):
        try:
            return date.fromisoformat(plain)
        except ValueError:
            raise RecordError("a date is wanted", field=field) from None
    try:
        return calendar.day(_parsed(plain))
    except (ValueError, OverflowError, OSError):
        raise RecordError("a date is wanted", field=field) from None


def translated(value: Value, source: Source) -> str | None:
    """The canonical word of a value by the source's ``values``; without them its text. A value that nobody listed is unknown."""
    plain = text(value)
    if plain is None:
        return None if source.when_null is None else str(source.when_null)
    if source.values is None:
        return plain
    if plain in source.values:
        return source.values[plain]
    return {key.casefold(): word for key, word in source.values.items()}.get(plain.casefold())


def typed(raw: Value, source: Source, kind: str, calendar: Calendar) -> Any:
    """A value in the canonical type that ``kind`` (names.Kind) asks for. Raises RecordError naming the CRM field."""
    field = source.field
    if source.presence:
        return bool(raw) if raw is None or isinstance(raw, bool) else raw != ""
    if blank(raw) and source.when_null is not None:
        raw = source.when_null
    if source.values is not None:
        raw = translated(raw, source)
    if kind in ("money", "number"):
        return number(raw, field)
    if kind == "probability":
        return probability(raw, field, source.scale)
    if kind == "boolean":
        return boolean(raw, field)
    if kind == "date":
        return local_date(raw, field, calendar)
    if kind == "instant":
        return instant(raw, field)
    return text(raw)


def id18(identity: str) -> str:
    """A Salesforce id of 15 characters in its spelling of 18; anything else as it stands.

    >>> id18("001000000000004"), id18("001000000000004AAA")
    ('001000000000004AAA', '001000000000004AAA')
    """
    if not _ID15.fullmatch(identity):
        return identity
    blocks = (identity[start : start + 5] for start in (0, 5, 10))
    return identity + "".join(_ID_CHECKS[sum(1 << bit for bit, char in enumerate(block) if char.isupper())] for block in blocks)


def words(plain: str) -> str:
    """Lower-case words between single spaces, with a space at either end; markup and entities undone.

    >>> words("<p>P&amp;T: SOC-2</p>")
    ' p t soc 2 '
    """
    return " " + _NOT_WORD.sub(" ", _TAG.sub(" ", html.unescape(plain)).casefold()).strip() + " "


def holds(haystack: str, phrase: str) -> bool:
    """Whether a text already in :func:`words` form holds a phrase on whole words."""
    needle = words(phrase)
    return needle.strip() != "" and needle in haystack


def longest_phrase(plain: str | None, phrases: Mapping[str, Collection[str]]) -> str | None:
    """The key whose phrase matches on whole words; the longest phrase wins, of equals the first.

    >>> longest_phrase("Chief Medical Information Officer", {"clinical_leader": ["chief medical"], "cmio": ["chief medical information officer"]})
    'cmio'
    """
    if plain is None:
        return None
    haystack = words(plain)
    best: tuple[int, str] | None = None
    for key, candidates in phrases.items():
        for phrase in candidates:
            if holds(haystack, phrase) and (best is None or len(words(phrase)) > best[0]):
                best = (len(words(phrase)), key)
    return best[1] if best else None
