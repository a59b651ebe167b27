"""Does a value fit the CRM's own field? Asked before anything is sent, so that what is ours to mend never becomes a refusal of the CRM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from connector.crms.base import Field, Pipeline, Value
from connector.errors import Finding
from connector.scorecard.plan import FieldChange, Target

NO_RIGHT = "SC-E153"


@dataclass(frozen=True, slots=True)
class Shape:
    """The object as the connection's user sees it. ``offered``: pipeline → field → options that its records may hold, where they differ by
    pipeline (record type). Empty: nothing is known, and nothing refused."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    offered: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, Field], pipelines: Iterator[Pipeline] | tuple[Pipeline, ...]) -> Shape:
        return cls(fields, {pipeline.id: pipeline.options for pipeline in pipelines})

    def misfit(self, change: FieldChange, pipeline: str | None) -> tuple[str, str] | None:
        """(code, why) of a value that the field would not hold: too long, too large, or an option that is not offered (for this record type)."""
        known, value = self.fields.get(change.field), change.after
        if known is None or value is None or value == "":
            return None
        if known.length is not None and isinstance(value, str) and len(value) > known.length and known.type in ("text", "long_text"):
            return "SC-E130", f"{change.field} holds {known.length} characters, the value has {len(value)}: it is not cut"
        if (digits := known.digits) is not None and _larger(value, digits):
            return "SC-E130", f"{change.field} holds numbers below {Decimal(10) ** digits:,f}, the value is {value}"
        if not known.restricted:
            return None
        everywhere = frozenset(option.value for option in known.options if option.active)
        offered = self.offered.get(pipeline or "", {}).get(change.field, everywhere) & everywhere
        if str(value) in offered:
            return None
        where = f" for {pipeline}" if str(value) in everywhere else ""
        return "SC-E123", f"{change.field} does not offer {value!r}{where}"


def _larger(value: Value, digits: int) -> bool:
    """Whether a number, in wire form, has more digits before the point."""
    try:
        return abs(Decimal(str(value))) >= Decimal(10) ** digits
    except InvalidOperation:
        return False


def without_right(target: Target, shape: Shape) -> list[Finding]:
    """Scorecard fields that the connection's user may not edit: every record would be refused, so nothing is sent."""
    names = [name for name in target.field_names.values() if name in shape.fields and not shape.fields[name].writable]
    return [Finding(NO_RIGHT, f"{target.object}.{name} may not be edited by the connection's user", path=name) for name in names]
