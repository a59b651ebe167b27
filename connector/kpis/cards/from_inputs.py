"""Which values of the cards rest on files, and which of those are not known while a file, or a row of it, cannot be read.

An input that is named and cannot be read says nothing at all, not even that there is nothing: what rests on it is unknown, and a value that is
empty for that reason alone is no answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from connector.errors import CODES, Finding
from connector.kpis.book.book import Book
from connector.kpis.book.keys import account_index, contact_index, found, owner_index

MONEY = "fx"
"""The input that is of no record, and that an amount in the reporting currency does without."""
RESTS_ON: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "account": {
        "arr": ("arr_ledger", MONEY), "nrr_12m": ("arr_ledger", MONEY), "renewal_on": ("renewals",),
        "health_tier": ("adoption", "sentiment"), "health_reason": ("adoption", "sentiment"), "adoption": ("adoption",),
        "milestones_on_time": ("milestones",), "pull_through_per_unit": ("installed_base", "consumables", MONEY), "open_pipeline": (MONEY,),
        "active_kols": ("kol",), "expansion_triggers": ("expansion_events", "adoption"),
    },
    "contact": {"kol_score": ("kol",), "kol_last_touch": ("kol",), "kol_referred_deals": ("kol",)},
    "rep": {
        "quota": ("quotas", MONEY), "won": (MONEY,), "attainment": ("quotas", MONEY), "coverage": ("quotas", MONEY),
        "weighted_coverage": ("quotas", MONEY), "pipeline_created": (MONEY,), "first_order_days": ("people",), "capacity": ("time_log",),
    },
}  # fmt: skip
"""Grain → key → the inputs it is made from. What the CRM alone tells is not here."""
INDEXES = {"account": account_index, "contact": contact_index, "rep": owner_index}


@dataclass(frozen=True, slots=True)
class Unknown:
    """Keys whose emptiness says nothing: ``everywhere``, and beside these ``of`` single records, by id."""

    everywhere: frozenset[str] = frozenset()
    of: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def keys(self, id: str) -> frozenset[str]:
        return self.everywhere | self.of.get(id, frozenset())


def unknown(book: Book, grain: str) -> Unknown:
    """What of a grain cannot be known: everywhere where an input could not be read, none of its inputs is given, or a row does not say whose it
    is; of one record where a row about it was refused."""
    everywhere: set[str] = set()
    of: dict[str, set[str]] = {}
    inputs, index = book.inputs, INDEXES[grain](book)
    for key, names in RESTS_ON[grain].items():
        own = [name for name in names if name != MONEY]
        if any(name in inputs.unread for name in names) or (own and all(inputs.rows(name) is None for name in own)):
            everywhere.add(key)
        for named in {row for name in own for row in inputs.refused.get(name, ())}:
            if named is None:
                everywhere.add(key)
            else:
                of.setdefault(found(index, named), set()).add(key)
    return Unknown(frozenset(everywhere), {id: frozenset(keys) for id, keys in of.items()})


def troubles(book: Book, grain: str, shown: Mapping[str, str], then: str) -> Iterator[Finding]:
    """One warning for each input with errors that feeds what a grain shows: the file, what is wrong, and what it means. No cell of it is quoted.

    ``shown``: key → name of its field; ``then``: what becomes of these fields.
    """
    resting = {key: names for key, names in RESTS_ON[grain].items() if key in shown}
    for name in sorted({name for names in resting.values() for name in names} & book.inputs.problems.keys()):
        problems = book.inputs.problems[name]
        fields = ", ".join(shown[key] for key, names in resting.items() if name in names)
        said = _whole(problems[0]) if name in book.inputs.unread else _rows(problems)
        yield Finding(problems[0].code, f"{said}; {fields}: {then}", "warning", next=CODES[problems[0].code].next_step)


def _whole(problem: Finding) -> str:
    return f"{problem.file} {problem.message}"


def _rows(problems: Collection[Finding]) -> str:
    lines = sorted({(problem.file or "", problem.line or 0) for problem in problems})
    file, line = lines[0]
    return f"{file}: {len(lines)} {'row is' if len(lines) == 1 else 'rows are'} left out, the first on line {line}"
