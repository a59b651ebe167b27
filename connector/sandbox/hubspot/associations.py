"""Who is linked with whom. Links have no date and move no stamp."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Label:
    """One association type of one direction. ``name`` is None on the unlabelled default."""

    type_id: int
    name: str | None = None
    category: str = "HUBSPOT_DEFINED"

    def wire(self) -> dict[str, object]:
        return {"category": self.category, "typeId": self.type_id, "label": self.name}


PRIMARY = "Primary"
ROLE_LABELS = ("Clinical champion", "Economic buyer", "IT / security", "VAC chair", "Executive sponsor", "Blocker")
"""What the portal's admin defined between deals and contacts."""

_DEFAULTS: tuple[tuple[str, str, int, int], ...] = (
    ("deals", "contacts", 3, 4), ("deals", "companies", 341, 342), ("contacts", "companies", 279, 280),
    ("calls", "deals", 206, 205), ("emails", "deals", 210, 209), ("meetings", "deals", 212, 211), ("tasks", "deals", 216, 215),
    ("calls", "contacts", 194, 193), ("emails", "contacts", 198, 197), ("meetings", "contacts", 200, 199), ("tasks", "contacts", 204, 203),
    ("calls", "companies", 182, 181), ("emails", "companies", 186, 185), ("meetings", "companies", 188, 187), ("tasks", "companies", 192, 191),
)  # fmt: skip
_DEFAULTS += (
    ("notes", "deals", 214, 213), ("notes", "contacts", 202, 201), ("notes", "companies", 190, 189),
    ("communications", "deals", 85, 86), ("communications", "contacts", 81, 82), ("communications", "companies", 87, 88),
    ("tickets", "contacts", 16, 15), ("tickets", "companies", 339, 340), ("tickets", "deals", 28, 27), ("tasks", "tickets", 230, 229),
    ("leads", "contacts", 608, 607), ("leads", "companies", 610, 609), ("leads", "deals", 584, 585),
    ("calls", "tickets", 220, 219), ("emails", "tickets", 224, 223), ("meetings", "tickets", 226, 225), ("notes", "tickets", 228, 227),
)  # fmt: skip
_PRIMARIES = (("deals", "companies", 5, 6), ("contacts", "companies", 1, 2))

Pair = tuple[str, str]


class Associations:
    """``labels``: (from, to) → types offered. Links are kept in both directions."""

    def __init__(self) -> None:
        self.labels: dict[Pair, list[Label]] = {}
        self._links: dict[Pair, dict[int, dict[int, list[Label]]]] = {}
        for one, two, there, back in _DEFAULTS:
            self._offer(one, two, Label(there), Label(back))
        for one, two, there, back in _PRIMARIES:
            self._offer(one, two, Label(there, PRIMARY), Label(back, PRIMARY))
        for n, name in enumerate(ROLE_LABELS):
            self._offer("deals", "contacts", Label(11 + 2 * n, name, "USER_DEFINED"), Label(12 + 2 * n, name, "USER_DEFINED"))

    def _offer(self, one: str, two: str, there: Label, back: Label) -> None:
        self.labels.setdefault((one, two), []).append(there)
        self.labels.setdefault((two, one), []).append(back)

    def define(self, one: str, two: str, name: str, category: str = "USER_DEFINED") -> None:
        """A label of the admin's own, under type ids of its own in both directions."""
        highest = max(label.type_id for labels in self.labels.values() for label in labels if label.category != "HUBSPOT_DEFINED")
        self._offer(one, two, Label(highest + 1, name, category), Label(highest + 2, name, category))

    def rename(self, one: str, two: str, name: str, to: str) -> None:
        """Another name for a label in both directions, on what is linked already too. Raises KeyError."""
        for pair in ((one, two), (two, one)):
            old = self.label(*pair, name)
            new = replace(old, name=to)
            self.labels[pair][self.labels[pair].index(old)] = new
            for linked in self._links.get(pair, {}).values():
                for held in linked.values():
                    held[:] = [new if label == old else label for label in held]

    def of_type(self, one: str, two: str, type_id: int) -> Label:
        """The type of that id. Raises KeyError."""
        for label in self.labels.get((one, two), ()):
            if label.type_id == type_id:
                return label
        raise KeyError(f"no association type {type_id} from {one} to {two}")

    def label(self, one: str, two: str, name: str | None) -> Label:
        """The type of that name (None: the default). Raises KeyError."""
        for label in self.labels.get((one, two), ()):
            if label.name == name:
                return label
        raise KeyError(f"no association {name!r} from {one} to {two}")

    def link(self, one: str, first: int, two: str, second: int, name: str | None = None) -> None:
        """Link two records: the default type, and the label of that name besides. A new primary takes the place of the old."""
        if name == PRIMARY:
            self._drop_primary(one, first, two)
        self._join(one, first, two, second, name)

    def _drop_primary(self, one: str, first: int, two: str) -> None:
        for second in self.of(one, first, two):
            for from_, a, to, b in ((one, first, two, second), (two, second, one, first)):
                held = self._links[from_, to][a][b]
                held[:] = [label for label in held if label.name != PRIMARY]

    def of(self, one: str, first: int, two: str) -> dict[int, list[Label]]:
        """Linked id → its types."""
        return self._links.get((one, two), {}).get(first, {})

    def unlink(self, one: str, first: int, two: str, second: int, name: str | None = None) -> None:
        """Take a link away with all its types, or only the label of that name."""
        if name is not None:
            for from_, a, to, b in ((one, first, two, second), (two, second, one, first)):
                held = self._links.get((from_, to), {}).get(a, {}).get(b, [])
                held[:] = [label for label in held if label.name != name]
            return
        self._links.get((one, two), {}).get(first, {}).pop(second, None)
        self._links.get((two, one), {}).get(second, {}).pop(first, None)

    def take_over(self, one: str, loser: int, heir: int) -> None:
        """Move every link of ``loser`` to ``heir``, who keeps a primary of its own if it has one."""
        for from_, to in [pair for pair in self.labels if pair[0] == one]:
            held = any(label.name == PRIMARY for labels in self.of(one, heir, to).values() for label in labels)
            for second, labels in list(self.of(one, loser, to).items()):
                for label in labels:
                    # A company is the primary one of many deals: only the other direction has to be unique.
                    keep = label.name is None or (label.name == PRIMARY and one != "companies" and held)
                    self._join(from_, heir, to, second, None if keep else label.name)
                self.unlink(one, loser, to, second)

    def _join(self, one: str, first: int, two: str, second: int, name: str | None) -> None:
        for from_, a, to, b in ((one, first, two, second), (two, second, one, first)):
            held = self._links.setdefault((from_, to), {}).setdefault(a, {}).setdefault(b, [])
            for label in ([self.label(from_, to, name)] if name else []) + [self.label(from_, to, None)]:
                if label not in held:
                    held.append(label)
