"""What an org holds before any business: itself, its first users, currencies, stages and record types."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from connector.sandbox.salesforce.derive import STANDARD_USER
from connector.sandbox.salesforce.permission_objects import USER_PERMISSIONS
from connector.sandbox.salesforce.rows import Table
from connector.sandbox.salesforce.schema import ObjectDef, Row
from connector.sandbox.salesforce.stages import CATEGORY_LABELS, RECORD_TYPES, STAGES, offered

ADMINISTRATOR, API_ONLY = "System Administrator", "Salesforce API Only System Integrations"
INTEGRATION = "KPI_Scorecard_Integration"
PROFILES: Mapping[str, tuple[str, ...]] = {
    ADMINISTRATOR: tuple(name for name in USER_PERMISSIONS if name != "BulkApiHardDelete"),
    STANDARD_USER: ("ApiEnabled", "RunReports", "ExportReport", "ViewRoles", "EditEvent", "EditTask", "LightningExperienceUser"),
    API_ONLY: ("ApiEnabled",),
}  # fmt: skip
FISCAL_YEARS = range(2024, 2029)
EURO_RATES = (
    (date(2000, 1, 1), 0.91), (date(2025, 1, 1), 0.96), (date(2025, 7, 1), 0.85), (date(2026, 1, 1), 0.88), (date(2026, 7, 1), 0.92),
)  # fmt: skip
"""Units of EUR for one USD from a day on."""


class Fresh(Protocol):
    """An org with its schema and no records yet."""

    admin: str
    bare: bool
    profiles: dict[str, str]
    owned_sets: dict[str, str]
    schema: dict[str, ObjectDef]
    tables: dict[str, Table]
    stages: dict[str, Row]
    record_types: dict[str, str]
    offered: dict[str, list[str]]

    def insert(self, name: str, values: Mapping[str, Any]) -> str: ...
    def stages_changed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Seeded:
    """Ids of the org, of its administrator and of the API-only user whose token the connector has."""

    org: str
    admin: str
    api_user: str


def seed(org: Fresh) -> Seeded:
    """Fill a fresh org."""
    org.admin = ""
    _profiles(org)
    admin = _user(org, "System", "Administrator", "admin", ADMINISTRATOR)
    org.admin = admin
    for name in ("CreatedById", "LastModifiedById"):
        org.tables["User"].rows[admin][name] = admin
    org_id = org.insert("Organization", {
        "Name": "Beacon Surgical", "OrganizationType": "Enterprise Edition", "IsSandbox": True, "InstanceName": "USA8S",
        "TimeZoneSidKey": "America/New_York", "LanguageLocaleKey": "en_US", "DefaultLocaleSidKey": "en_US", "FiscalYearStartMonth": 1,
        "UsesStartDateAsFiscalYearName": False,
    })  # fmt: skip
    _money(org)
    _stages(org)
    _calendar(org)
    for name, definition in org.schema.items():
        org.insert("EntityDefinition", {"QualifiedApiName": name, "Label": definition.label, "KeyPrefix": definition.prefix})
    api_user = _user(org, "KPI", "Connector", "kpi.connector", API_ONLY)
    if not org.bare:
        _scorecard(org, api_user)
    return Seeded(org_id, admin, api_user)


def _profiles(org: Fresh) -> None:
    """The three profiles, each with the permission set that stands for it."""
    for name, permissions in PROFILES.items():
        org.profiles[name] = org.insert("Profile", {"Name": name, "UserType": "Standard"})
        org.owned_sets[org.profiles[name]] = org.insert("PermissionSet", {
            "Name": f"X00e_{len(org.owned_sets) + 1}", "Label": f"00e_{len(org.owned_sets) + 1}", "ProfileId": org.profiles[name],
            "IsOwnedByProfile": True, "IsCustom": False, "Type": "Profile", **{f"Permissions{each}": True for each in permissions},
        })  # fmt: skip


def _scorecard(org: Fresh, api_user: str) -> None:
    """An org in which the scorecard has been provisioned: the connector's own set, and profiles that an administrator has given access."""
    own = org.insert("PermissionSet", {
        "Name": INTEGRATION, "Label": "KPI Scorecard Integration", "Description": "Write access to KPI_ fields for the connector's API-only user.",
    })  # fmt: skip
    org.insert("PermissionSetAssignment", {"PermissionSetId": own, "AssigneeId": api_user})
    edit = {own: True, org.owned_sets[org.profiles[ADMINISTRATOR]]: True, org.owned_sets[org.profiles[STANDARD_USER]]: False}
    for about, definition in org.schema.items():
        for field in definition.fields.values():
            for parent, may in edit.items() if field.guarded else ():
                org.insert("FieldPermissions", {
                    "ParentId": parent, "SobjectType": about, "Field": f"{about}.{field.name}", "PermissionsRead": True, "PermissionsEdit": may,
                })  # fmt: skip


def _user(org: Fresh, first: str, last: str, name: str, profile: str) -> str:
    return org.insert("User", {
        "FirstName": first, "LastName": last, "Username": f"{name}@beacon-surgical.example", "Email": f"{name}@beacon-surgical.example",
        "IsActive": True, "UserType": "Standard", "TimeZoneSidKey": "America/New_York", "DefaultCurrencyIsoCode": "USD",
        "ProfileId": org.profiles[profile],
    })  # fmt: skip


def _money(org: Fresh) -> None:
    current = EURO_RATES[-1][1]
    for code, rate, corporate in (("USD", 1.0, True), ("EUR", current, False)):
        org.insert("CurrencyType", {"IsoCode": code, "ConversionRate": rate, "DecimalPlaces": 2, "IsActive": True, "IsCorporate": corporate})
    starts = [start for start, _ in EURO_RATES]
    for (start, rate), after in zip(EURO_RATES, [*starts[1:], date(9999, 12, 31)], strict=True):
        org.insert("DatedConversionRate", {"IsoCode": "EUR", "StartDate": start, "NextStartDate": after, "ConversionRate": rate})
    org.insert("DatedConversionRate", {"IsoCode": "USD", "StartDate": starts[0], "NextStartDate": date(9999, 12, 31), "ConversionRate": 1.0})


def _calendar(org: Fresh) -> None:
    """Standard fiscal years that begin in January, with their quarters and months."""
    for year in FISCAL_YEARS:
        begins, ends = date(year, 1, 1), date(year, 12, 31)
        settings = org.insert("FiscalYearSettings", {
            "Name": str(year), "StartDate": begins, "EndDate": ends, "IsStandardYear": True, "YearType": "Standard",
        })  # fmt: skip
        periods = [("Year", 1, begins, ends, f"FY {year}")]
        for kind, months in (("Quarter", 3), ("Month", 1)):
            for number in range(1, 12 // months + 1):
                first = date(year, (number - 1) * months + 1, 1)
                last = date(year, number * months, monthrange(year, number * months)[1])
                periods.append((kind, number, first, last, f"{kind} {number} FY {year}"))
        for kind, number, first, last, label in periods:
            org.insert("Period", {
                "FiscalYearSettingsId": settings, "Type": kind, "Number": number, "StartDate": first, "EndDate": last,
                "FullyQualifiedLabel": label, "IsForecastPeriod": kind == "Quarter",
            })  # fmt: skip


def _stages(org: Fresh) -> None:
    for order, stage in enumerate(STAGES, 1):
        made = org.insert("OpportunityStage", {
            "MasterLabel": stage.name, "ApiName": stage.name, "IsActive": stage.active, "SortOrder": order, "IsClosed": stage.closed,
            "IsWon": stage.won, "ForecastCategory": stage.category, "ForecastCategoryName": CATEGORY_LABELS[stage.category],
            "DefaultProbability": stage.probability,
        })  # fmt: skip
        org.stages[stage.name] = org.tables["OpportunityStage"].rows[made]
    for pipeline, (developer_name, label) in RECORD_TYPES.items():
        org.record_types[developer_name] = org.insert(
            "RecordType", {"Name": label, "DeveloperName": developer_name, "SobjectType": "Opportunity", "IsActive": True}
        )
        org.offered[org.record_types[developer_name]] = list(offered(pipeline))
    org.stages_changed()
