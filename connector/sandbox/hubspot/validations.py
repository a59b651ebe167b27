"""Rules of the portal's admin on values: those on a property's text hold in every version, the rest from 2026-09 on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from connector.sandbox.hubspot.schema import ObjectType
from connector.sandbox.hubspot.values import Problem


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """A rule on the values of one property: MIN_NUMBER, MAX_NUMBER, MIN_LENGTH, MAX_LENGTH, REGEX, ALPHANUMERIC (NUMERIC_ONLY, ALPHABETIC_ONLY)."""

    rule_type: str
    arguments: tuple[str, ...] = ()

    def wire(self) -> dict[str, object]:
        return {"ruleType": self.rule_type, "ruleArguments": list(self.arguments), "shouldApplyNormalization": False}

    def refuses(self, text: str) -> bool:
        """True if a value that is not empty breaks the rule. A rule that is not known here lets everything pass."""
        check = _CHECKS.get(self.rule_type)
        return bool(text) and check is not None and not check(text, self.arguments[0] if self.arguments else "")


@dataclass(frozen=True, slots=True)
class ConditionalRequired:
    """``required`` must hold a value while ``trigger`` has one of ``values``: closedate on a deal that is closed won, for one."""

    trigger: str
    values: tuple[str, ...]
    required: tuple[str, ...]


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


_CHECKS: dict[str, Callable[[str, str], bool]] = {
    "MIN_NUMBER": lambda text, bound: _number(text) >= _number(bound),
    "MAX_NUMBER": lambda text, bound: _number(text) <= _number(bound),
    "MIN_LENGTH": lambda text, bound: len(text) >= int(bound),
    "MAX_LENGTH": lambda text, bound: len(text) <= int(bound),
    "REGEX": lambda text, pattern: re.fullmatch(pattern, text) is not None,
    "ALPHANUMERIC": lambda text, kind: text.isdigit() if kind == "NUMERIC_ONLY" else text.isalpha(),
}


class Validations:
    """What the admin demands. ``of_property``: (object type, property) → rules; ``create_form``: object type → names a new record must have."""

    def __init__(self) -> None:
        self.of_property: dict[tuple[str, str], list[ValidationRule]] = {}
        self.conditional: dict[str, list[ConditionalRequired]] = {}
        self.create_form: dict[str, tuple[str, ...]] = {}

    def values(self, kind: ObjectType, wanted: Mapping[str, str]) -> list[Problem]:
        """Values that break a rule of their property."""
        return [
            Problem(name, "FAILED_VALIDATION_RULE", f"{name} did not pass the validation rule {rule.rule_type} ({', '.join(rule.arguments)})")
            for name, text in wanted.items()
            for rule in self.of_property.get((kind.name, name), ())
            if rule.refuses(text)
        ]

    def required(self, kind: ObjectType, before: Mapping[str, str], wanted: Mapping[str, str], *, new: bool) -> list[Problem]:
        """What lacks after the write, by the conditional rules whose trigger holds then; and by the create form for a new record."""
        after = {**before, **wanted}
        lacking = [name for name in self.create_form.get(kind.name, ()) if new and not after.get(name)]
        for rule in self.conditional.get(kind.name, ()):
            if after.get(rule.trigger, "") in rule.values:
                lacking += [name for name in rule.required if not after.get(name)]
        return [Problem(name, "REQUIRED_PROPERTY_MISSING", f'Property "{name}" is required') for name in dict.fromkeys(lacking)]
