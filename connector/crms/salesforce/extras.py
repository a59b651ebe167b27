"""What travels with the fields: permission sets, list views, reports, a compact layout, the card. As plain data; the files are made in bundle.

Nothing here touches what the company has: no page layout, no record page, no permission set but our own two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connector.crms.provisioning import FieldSpec, ObjectSpec, Wanted

INTEGRATION, READER = "KPI_Scorecard_Integration", "KPI_Scorecard_Reader"
SETS = (INTEGRATION, READER)
BYPASS = "KPI_Bypass_Automation"
FOLDER = "KPI_Scorecard"
CARD = "kpiScorecard"
REPORT_TYPE = "KPI_Opportunities"
MOST_COLUMNS = 15
PARENTS: Mapping[str, tuple[str, ...]] = {"Opportunity": ("Account",), "Contact": ("Account",)}
"""Object → those that have to be readable before it is."""


@dataclass(frozen=True, slots=True)
class Filter:
    field: str
    operation: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A list view of one object."""

    object: str
    name: str
    label: str
    columns: tuple[str, ...]
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    label: str
    about: str
    columns: tuple[str, ...]
    filters: tuple[Filter, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A compact layout that is assigned to nobody."""

    name: str
    label: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What a permission set allows on one object, beside reading."""

    name: str
    create: bool = False
    edit: bool = False
    delete: bool = False
    all: bool = False


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """``fields``: (Object.Field, may edit)."""

    name: str
    label: str
    about: str
    fields: tuple[tuple[str, bool], ...]
    objects: tuple[Access, ...]
    api: bool = False
    bypass: str | None = None


def permission_sets(wanted: Wanted, marks: Sequence[str] = ()) -> tuple[PermissionSet, PermissionSet]:
    """The integration user's set and the readers'. ``marks``: by which the components that are deployed with them are known again."""
    of_fields = [(f"{spec.name}.{field.name}", field.written) for spec in wanted.objects for field in spec.fields]
    suffix = f" Bundle {' '.join(marks)}." if marks else ""
    integration = PermissionSet(
        INTEGRATION, "KPI Scorecard Integration", f"Scorecard Connector. Write access to KPI fields for its API-only user.{suffix}",
        tuple(sorted(of_fields)), tuple(_access(wanted, writes=True)), api=True, bypass=BYPASS,
    )  # fmt: skip
    reader = PermissionSet(
        READER, "KPI Scorecard Reader", "Scorecard Connector. Read access to KPI fields, for everybody who works with deals.",
        tuple(sorted((name, False) for name, _ in of_fields)), tuple(_access(wanted, writes=False)),
    )  # fmt: skip
    return integration, reader


def _access(wanted: Wanted, *, writes: bool) -> Iterator[Access]:
    """Rows of objects that are ours are made and removed by the connector; of the company's own, deals alone are all to be seen."""
    found = {spec.name: _of(spec, writes) for spec in wanted.objects}
    for spec in wanted.objects:
        read = (*PARENTS.get(spec.name, ()), *(("Opportunity", "Account") if spec.grain == "companion" else ()))
        for parent in read:
            found.setdefault(parent, Access(parent, all=writes and parent == "Opportunity"))
    for name in sorted(found):
        yield found[name]


def _of(spec: ObjectSpec, writes: bool) -> Access:
    if not writes:
        return Access(spec.name)
    if spec.own:
        return Access(spec.name, create=True, edit=True, delete=True, all=True)
    return Access(spec.name, edit=True, all=spec.grain == "opportunity")


def relationship(field: FieldSpec) -> str:
    """The name by which the parent of a lookup reaches its rows, without the ``__r`` that queries and pages add."""
    return f"{field.name.removesuffix('__c')}_Scorecards"


def deals(wanted: Wanted) -> ObjectSpec | None:
    """Where the scorecard of a deal lies: on the deal, or on the companion."""
    return wanted.object("opportunity") or wanted.object("companion")


def views(wanted: Wanted) -> Iterator[View]:
    """Views that filter on written values, which the CRM can index; never on a formula that moves by itself."""
    spec = deals(wanted)
    if spec is None:
        return
    base = (
        ("NAME", *_shown(spec, ("deal",)))
        if spec.own
        else ("OPPORTUNITY.NAME", "ACCOUNT.NAME", "OPPORTUNITY.STAGE_NAME", "OPPORTUNITY.CLOSE_DATE", "CORE.USERS.ALIAS")
    )
    still_open = () if spec.own else (Filter("OPPORTUNITY.CLOSED", "equals", "0"),)
    if (since := spec.field("compliance_since")) is not None:
        columns = (*base, *_shown(spec, ("compliance_since", "open_gates", "gate_progress", "secq_days", "personas_missing")))
        yield View(spec.name, "KPI_Stuck_In_Compliance", "KPI: in compliance review", columns, (*still_open, Filter(since.name, "notEqual")))
    if (pace := spec.field("pace")) is not None:
        columns = (*base, *_shown(spec, ("pace", "stale_reason", "stage", "stage_entered_on", "days_in_stage", "stage_benchmark_days")))
        yield View(spec.name, "KPI_Stuck_Deals", "KPI: stuck deals", columns, (*still_open, Filter(pace.name, "equals", "Stuck")))


def _shown(spec: ObjectSpec, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(field.name for key in keys if (field := spec.field(key)) is not None)


def reports(wanted: Wanted) -> Iterator[Report]:
    """Three reports on the platform's own type of report: a report on a new type cannot be checked in the deployment that brings the type."""
    spec = wanted.object("opportunity")
    if spec is None:
        return
    base = ("OPPORTUNITY_NAME", "ACCOUNT_NAME", "AMOUNT", "CLOSE_DATE")

    def columns(*keys: str) -> tuple[str, ...]:
        return (*base, *(f"{spec.name}.{name}" for name in _shown(spec, keys)))

    if (pace := spec.field("pace")) is not None:
        stuck = (Filter(f"{spec.name}.{pace.name}", "equals", "Stuck,Slow"),)
        yield Report("KPI_Pace", "KPI: pace of open deals", "Open deals that are slow or stuck, by pace.",
                     columns("stage", "stage_entered_on", "stage_benchmark_days", "stale_reason"), stuck, f"{spec.name}.{pace.name}")  # fmt: skip
    if (since := spec.field("compliance_since")) is not None and (stage := spec.field("stage")) is not None:
        waiting = (Filter(f"{spec.name}.{since.name}", "notEqual"),)
        yield Report("KPI_Compliance", "KPI: deals in compliance review", "Open deals that wait for a compliance decision, by stage.",
                     columns("compliance_since", "open_gates", "gate_progress"), waiting, f"{spec.name}.{stage.name}")  # fmt: skip
    if (gaps := spec.field("data_gaps")) is not None:
        lacking = (Filter(f"{spec.name}.{gaps.name}", "notEqual"),)
        yield Report(
            "KPI_Data_Gaps", "KPI: missing data", "Open deals with missing data, by owner.", columns("data_gaps", "stage"), lacking, "FULL_NAME"
        )


def compact_layout(wanted: Wanted) -> Layout | None:
    """Name and what matters first; the most that a compact layout holds is ten."""
    spec = wanted.object("opportunity")
    if spec is None:
        return None
    keys = ("stage", "pace", "days_in_stage", "open_gates", "personas_missing", "stale_reason")
    return Layout("KPI_Scorecard", "KPI Scorecard", ("Name", *_shown(spec, keys)))


def card_fields(wanted: Wanted) -> tuple[FieldSpec, ...]:
    """What the card shows, in the order of the manifest, without keys and technical fields."""
    spec = deals(wanted)
    return () if spec is None else tuple(f for f in spec.fields if f.key not in ("definition", "key", "deal"))


@dataclass(frozen=True, slots=True)
class Card:
    """The card of the deal's record page. ``object``: whose fields it shows; ``page``: on whose page it may be placed; ``related``: the related list
    of that page in which the row with the fields is found, "": they are the record's own."""

    object: str
    page: str
    fields: tuple[FieldSpec, ...]
    related: str = ""


def card(wanted: Wanted) -> Card | None:
    """On the deal's page in every mode: a companion row is nothing that a rep would open."""
    spec, shown = deals(wanted), card_fields(wanted)
    if spec is None or not shown:
        return None
    deal = spec.field("deal")
    if deal is None or deal.refers_to is None:
        return Card(spec.name, spec.name, shown)
    return Card(spec.name, deal.refers_to, shown, f"{relationship(deal)}__r")
