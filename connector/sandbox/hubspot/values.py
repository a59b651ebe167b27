"""What HubSpot accepts as a property's value, and how it keeps it. Every value is text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from connector.sandbox.hubspot.records import parse_stamp, stamp
from connector.sandbox.hubspot.schema import Property

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that was refused: HubSpot's code, its words, the property."""

    name: str
    code: str
    message: str

    def inner(self) -> dict[str, object]:
        """The form that stands as text inside the message of a 400."""
        return {"isValid": False, "message": self.message, "error": self.code, "name": self.name}

    def error(self) -> dict[str, object]:
        """The form of a row of ``errors``."""
        return {"message": self.message, "code": self.code, "context": {"propertyName": [self.name]}}


class Refused(Exception):
    """A value does not fit its property."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def text_of(raw: object) -> str:
    """The text of a JSON value: clients send numbers and booleans too. None clears like the empty string."""
    if raw is None:
        return ""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw)


def kept(prop: Property, raw: object, portal_id: int, type_id: str) -> str:
    """The text that is stored for ``raw``. Raises :class:`Refused`."""
    text = text_of(raw).strip() if prop.type != "string" else text_of(raw)
    if prop.native and prop.name == "email" and text and "@" not in text:
        raise Refused(Problem(prop.name, "INVALID_EMAIL", f"Email address {text} is invalid"))
    if text == "" or prop.type == "string":
        return text
    try:
        if prop.type == "number":
            return _number(text)
        if prop.type == "date":
            return _date(prop, text)
        if prop.type == "datetime":
            return stamp(parse_stamp(text))
    except (ValueError, InvalidOperation, OverflowError):
        message = f"{text} was not a valid long. Portal {portal_id}, object type {type_id}"
        raise Refused(Problem(prop.name, "INVALID_LONG", message)) from None
    if prop.options:
        _options(prop, text)
    return text


def _number(text: str) -> str:
    if not Decimal(text).is_finite():
        raise ValueError(text)
    return text


def _date(prop: Property, text: str) -> str:
    if not text.removeprefix("-").isdigit():
        return date.fromisoformat(text[:10] if text.endswith("T00:00:00Z") else text).isoformat()
    at = int(text)
    day = datetime.fromtimestamp(at / 1000, UTC)
    if at % DAY_MS:
        message = f"{text} is at {day.hour}:{day.minute}:{day.second}.{at % 1000} UTC, not midnight!"
        raise Refused(Problem(prop.name, "INVALID_DATE", message))
    return day.date().isoformat()


def _options(prop: Property, text: str) -> None:
    allowed = [value for value, _ in prop.options]
    given = text.split(";") if prop.field_type == "checkbox" else [text]
    for value in given:
        if value not in allowed:
            message = f"{value} was not one of the allowed options: [{', '.join(allowed)}]"
            raise Refused(Problem(prop.name, "INVALID_OPTION", message))


def same(prop: Property | None, old: str | None, new: str) -> bool:
    """True if writing ``new`` over ``old`` changes nothing: equal text, both empty, or one number spelt twice."""
    if (old or "") == new:
        return True
    if not old or not new or prop is None or prop.type != "number":
        return False
    return Decimal(old) == Decimal(new)
