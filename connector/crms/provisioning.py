"""What a CRM is to be provisioned with, as plain data, and the protocol of what brings it there. Nothing here knows one CRM's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from connector.crms.base import Grain, Meter, Option

SpecType = Literal["text", "number", "percent", "money", "date", "datetime", "picklist", "boolean", "lookup"]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field as the CRM should have it.

    ``precision``: digits in all, ``scale``: those after the point; ``length``: characters of a text. ``formula``: the CRM computes the value by
    it and nobody writes; None: the connector writes. ``help``: what a rep reads beside the field; ``about``: what an administrator reads.
    ``key_field``: an external id, unique, by which rows are found again. ``refers_to``: object of a lookup.
    """

    key: str
    name: str
    label: str
    type: SpecType
    length: int = 0
    precision: int = 0
    scale: int = 0
    options: tuple[Option, ...] = ()
    formula: str | None = None
    help: str = ""
    about: str = ""
    key_field: bool = False
    refers_to: str | None = None

    @property
    def digits(self) -> int:
        """Those before the point."""
        return self.precision - self.scale

    @property
    def written(self) -> bool:
        return self.formula is None


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """The scorecard fields of one object. ``own``: the object itself is ours and is made with them, under ``label``, ``plural`` and ``about``."""

    grain: Grain
    name: str
    fields: tuple[FieldSpec, ...]
    own: bool = False
    label: str = ""
    plural: str = ""
    about: str = ""

    @property
    def by_name(self) -> Mapping[str, FieldSpec]:
        return {spec.name: spec for spec in self.fields}

    def field(self, key: str) -> FieldSpec | None:
        return next((spec for spec in self.fields if spec.key == key), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that one connection should have. ``left_out``: key → why a field of the manifest is not among them; ``reads``: the company's own
    fields that formulas may read.
    """

    objects: tuple[ObjectSpec, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    reads: frozenset[str] = frozenset()

    def object(self, grain: Grain) -> ObjectSpec | None:
        return next((spec for spec in self.objects if spec.grain == grain), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.objects)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose credential it is, and where. ``production``: what the CRM itself says of the account, None where it does not say."""

    user_id: str
    user: str
    org_id: str
    org: str
    production: bool | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A field as one credential sees it. ``type`` is the CRM's own word where it is none of ours.

    ``restricted``: it refuses values outside its options, and need not; ``closed``: so does every field of its type.
    """

    name: str
    type: str
    editable: bool
    calculated: bool = False
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    options: tuple[str, ...] = ()
    restricted: bool = False
    closed: bool = False
    formula: str | None = None
    help: str | None = None
    differs: tuple[str, ...] = ()
    """What else of it is not as wanted, in words: what only this CRM has."""

    @property
    def digits(self) -> int:
        """Those before the point."""
        return self.precision - self.scale


@dataclass(frozen=True, slots=True)
class Observed:
    """One object as one credential sees it; where anything is None, the credential may not know.

    ``fields``: those it sees. ``there``: names of every field there is, seen or not. ``placed``: names that some page shows; ``pages``: pages
    that could not be looked into. ``quota``: fields that may still be made.
    """

    exists: bool
    fields: Mapping[str, Seen]
    there: frozenset[str] | None = None
    placed: frozenset[str] | None = None
    pages: tuple[str, ...] = ()
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing beside the fields: a permission set, a view, a card. ``action`` says what a deployment would do with it; None: not known."""

    kind: str
    name: str
    action: Literal["create", "change", "ok"] | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the CRM refuses one component, in its words and in ours."""

    name: str
    kind: str
    problem: str
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True)
class ProvisionResult:
    """What became of a deployment. ``ok`` only where every component went through. ``done`` of ``total`` are in place now (or would be): 0 where
    the CRM took back what had passed, more where it keeps it, as HubSpot does."""

    ok: bool
    status: str
    done: int
    total: int
    refusals: tuple[Refusal, ...] = ()
    id: str | None = None
    said: str = ""
    """What the check was, where the CRM has none that compiles every formula."""


class Provisioner(Protocol):
    """Provisioning through one credential: an administrator's, or the connection's own (which may look and not touch)."""

    meter: Meter
    by_hand: str
    """What an administrator does afterwards, in a sentence."""

    def whoami(self) -> Identity:
        """Whose credential it is. Raises AuthenticationError."""
        ...

    def fitting(self, wanted: Wanted) -> Wanted:
        """What of it this account's plan and quotas allow; the rest is in ``left_out`` with the reason."""
        ...

    def observe(self, wanted: Wanted) -> Mapping[str, Observed]:
        """Each wanted object as this credential sees it now."""
        ...

    def pieces(self, wanted: Wanted, user_id: str) -> Sequence[Piece]:
        """What belongs to the provisioning beside fields, as far as this credential may know. ``user_id``: the connection's user."""
        ...

    def provision(self, wanted: Wanted, *, check_only: bool) -> ProvisionResult:
        """Bring all of it there, or nothing. ``check_only``: the CRM says whether it would. Raises MissingScope where the credential may not."""
        ...

    def admit(self, user_id: str) -> bool:
        """Give the connection's user what lets it write the fields; whether that was still to be done."""
        ...

    def close(self) -> None: ...
