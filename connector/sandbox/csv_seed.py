"""A public data set of deals (accounts.csv, sales_pipeline.csv, sales_teams.csv, products.csv) as records of the Salesforce org.

Dates are DD-MM-YYYY; everything happens at 12:00 New York time. Nothing is made up that the files do not say, except:

* A deal begins on its engage date, in Engaging. One without an engage date begins on the day before the earliest of all.
* A closed deal's CloseDate is its close date from the start. An org demands one of open deals too: theirs is the end of the quarter
  that holds the day after the last date in the files.
* The product stays as it is spelt; it must be one of products.csv apart from blanks and capitals.
* An account stays empty where it is blank. The regional office is on the agent (``User.Sales_Region__c``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from connector.sandbox.business.hours import ZONE, quarter_end
from connector.sandbox.errors import SandboxError
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import FieldDef, integer, lookup, money, pick, text

FILES: Mapping[str, tuple[str, ...]] = {
    "accounts.csv": ("account", "sector", "year_established", "revenue", "employees", "office_location", "subsidiary_of"),
    "products.csv": ("product", "series", "sales_price"),
    "sales_teams.csv": ("sales_agent", "manager", "regional_office"),
    "sales_pipeline.csv": (
        "opportunity_id", "sales_agent", "product", "account", "deal_stage", "engage_date", "close_date", "close_value",
    ),
}  # fmt: skip
_PROBABILITY = {"Prospecting": 10.0, "Engaging": 50.0, "Won": 100.0, "Lost": 0.0}
STAGES = tuple(_PROBABILITY)
RECORD_TYPE = "CSV_Import"
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Deal:
    """One row of sales_pipeline.csv."""

    id: str
    agent: str
    product: str
    account: str | None
    stage: str
    engaged_on: date | None
    closed_on: date | None
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Rows:
    """The files, checked. ``accounts`` and ``agents`` are rows as they stand in the files, by name."""

    accounts: Mapping[str, Mapping[str, str]]
    products: Mapping[str, Mapping[str, str]]
    agents: Mapping[str, Mapping[str, str]]
    deals: tuple[Deal, ...]

    @property
    def first_day(self) -> date:
        """The day before the earliest engage date."""
        return min(deal.engaged_on or deal.closed_on or date.max for deal in self.deals) - timedelta(days=1)

    @property
    def last_day(self) -> date:
        """The last date in the files."""
        return max(day for deal in self.deals for day in (deal.engaged_on, deal.closed_on) if day is not None)

    @property
    def begins(self) -> datetime:
        """The instant at which the first deals exist."""
        return noon(self.first_day)

    @property
    def ends(self) -> datetime:
        """Noon of the day after the last date: where the clock stands afterwards."""
        return noon(self.last_day + timedelta(days=1))


def noon(day: date) -> datetime:
    """12:00 New York time of a day, as UTC."""
    return datetime.combine(day, time(12), ZONE).astimezone(UTC)


def read(directory: Path) -> Rows:
    """Read and check all four files. Raises SandboxError with ``file:line: what is wrong`` for every bad row (the first twenty shown)."""
    problems: list[str] = []
    tables = {name: _table(directory / name, columns, problems) for name, columns in FILES.items()}
    if problems:
        raise _bad(problems)
    accounts = _keyed("accounts.csv", "account", tables["accounts.csv"], problems)
    products = _keyed("products.csv", "product", tables["products.csv"], problems)
    agents = _keyed("sales_teams.csv", "sales_agent", tables["sales_teams.csv"], problems)
    for line, row in tables["accounts.csv"]:
        parent = row["subsidiary_of"]
        if parent and parent not in accounts:
            problems.append(f"accounts.csv:{line}: subsidiary_of {parent!r} is no account of the file")
        for name in ("revenue", "employees"):
            if row[name] and (_number(row[name]) is None or (name == "employees" and not row[name].isdigit())):
                problems.append(f"accounts.csv:{line}: {name} {row[name]!r} is no number")
    known = _Known(set(accounts), {_plain(name) for name in products}, set(agents))
    deals = _deals(tables["sales_pipeline.csv"], known, problems)
    if not problems and not any(deal.engaged_on for deal in deals):
        problems.append("sales_pipeline.csv:1: no deal has an engage_date, so there is no day to begin with")
    if problems:
        raise _bad(problems)
    return Rows(accounts, products, agents, tuple(deals))


@dataclass(frozen=True, slots=True)
class _Known:
    accounts: set[str]
    products: set[str]
    agents: set[str]


def _table(path: Path, columns: tuple[str, ...], problems: list[str]) -> list[tuple[int, dict[str, str]]]:
    """Line number and row, values stripped."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                problems.append(f"{path.name}:1: column missing: {', '.join(missing)}")
                return []
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    problems.append(f"{path.name}:{reader.line_num}: {len(columns)} values expected")
                else:
                    rows.append((reader.line_num, {name: value.strip() for name, value in row.items()}))
            return rows
    except FileNotFoundError:
        problems.append(f"{path.name}: not found in {path.parent}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(f"{path.name}: cannot be read: {error}")
    return []


def _keyed(file: str, key: str, rows: Iterable[tuple[int, dict[str, str]]], problems: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line, row in rows:
        name = row[key]
        if not name:
            problems.append(f"{file}:{line}: {key} is blank")
        elif name in found:
            problems.append(f"{file}:{line}: {key} {name!r} is there twice")
        else:
            found[name] = row
    return found


def _deals(rows: Iterable[tuple[int, dict[str, str]]], known: _Known, problems: list[str]) -> list[Deal]:
    deals: list[Deal] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        wrong: list[str] = []
        deal = _deal(row, known, wrong)
        if deal.id in seen:
            wrong.append(f"opportunity_id {deal.id!r} is there twice, first on line {seen[deal.id]}")
        seen.setdefault(deal.id, line)
        problems.extend(f"sales_pipeline.csv:{line}: {text}" for text in wrong)
        deals.append(deal)
    if not deals and not problems:
        problems.append("sales_pipeline.csv:1: no deals")
    return deals


def _deal(row: Mapping[str, str], known: _Known, wrong: list[str]) -> Deal:
    deal = Deal(
        row["opportunity_id"], row["sales_agent"], row["product"], row["account"] or None, row["deal_stage"],
        _day(row, "engage_date", wrong), _day(row, "close_date", wrong), _value(row, wrong),
    )  # fmt: skip
    checks: tuple[tuple[bool, str], ...] = (
        (deal.id != "", "opportunity_id is blank"),
        (deal.agent in known.agents, f"sales_agent {deal.agent!r} is not in sales_teams.csv"),
        (_plain(deal.product) in known.products, f"product {deal.product!r} is not in products.csv"),
        (deal.account is None or deal.account in known.accounts, f"account {deal.account!r} is not in accounts.csv"),
        (deal.stage in STAGES, f"deal_stage {deal.stage!r} is none of {', '.join(STAGES)}"),
    )
    wrong.extend(text for fine, text in checks if not fine)
    if not wrong:
        wrong.extend(text for bad, text in _contradictions(deal) if bad)
    return deal


def _contradictions(deal: Deal) -> tuple[tuple[bool, str], ...]:
    closed = deal.stage in {"Won", "Lost"}
    early = deal.engaged_on is not None and deal.closed_on is not None and deal.closed_on < deal.engaged_on
    return (
        (deal.stage == "Prospecting" and deal.engaged_on is not None, "a deal in Prospecting has an engage_date"),
        (deal.stage == "Engaging" and deal.engaged_on is None, "a deal in Engaging has no engage_date"),
        (closed and deal.closed_on is None, f"a deal that is {deal.stage} has no close_date"),
        (closed and deal.value is None, f"a deal that is {deal.stage} has no close_value"),
        (not closed and deal.closed_on is not None, f"a deal in {deal.stage} has a close_date"),
        (not closed and deal.value is not None, f"a deal in {deal.stage} has a close_value"),
        (early, "close_date lies before engage_date"),
    )


def _day(row: Mapping[str, str], name: str, wrong: list[str]) -> date | None:
    text = row[name]
    if not text:
        return None
    parts = text.split("-")
    if [len(part) for part in parts] == [2, 2, 4] and all(part.isascii() and part.isdigit() for part in parts):
        try:
            return date(int(parts[2]), int(parts[1]), int(parts[0]))
        except ValueError:
            pass
    wrong.append(f"{name} {text!r} is no date of the form DD-MM-YYYY")
    return None


def _value(row: Mapping[str, str], wrong: list[str]) -> Decimal | None:
    text = row["close_value"]
    if not text:
        return None
    value = _number(text)
    if value is None:
        wrong.append(f"close_value {text!r} is no amount")
    return value


def _number(text: str) -> Decimal | None:
    """A number that is not negative."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and value >= 0 else None


def _plain(product: str) -> str:
    return product.replace(" ", "").lower()


def _bad(problems: list[str]) -> SandboxError:
    more = (f"… and {len(problems) - _SHOWN} more",) if len(problems) > _SHOWN else ()
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return SandboxError(f"the files cannot be loaded: {count}, nothing was loaded", "correct the places named", (*problems[:_SHOWN], *more))


# -- into the org ----------------------------------------------------------------------------------------------------


def load(org: Org, rows: Rows) -> dict[str, int]:
    """Write checked rows into an org that holds no business yet; its clock ends at ``rows.ends``. Returns counts by kind of record."""
    record_type = _set_up(org, rows)
    agents = _people(org, rows)
    accounts = _accounts(org, rows)
    made: dict[str, str] = {}
    steps: list[tuple[datetime, int, int, Deal]] = []
    for line, deal in enumerate(rows.deals):
        steps.append((noon(deal.engaged_on or rows.first_day), 0, line, deal))
        if deal.closed_on is not None:
            steps.append((noon(deal.closed_on), 1, line, deal))
    open_until = quarter_end(rows.last_day + timedelta(days=1))
    for at, closing, _, deal in sorted(steps, key=lambda step: step[:3]):
        org.clock.advance_to(at)
        owner = agents[deal.agent]
        if closing:
            org.update("Opportunity", made[deal.id], {"StageName": deal.stage, "Amount": deal.value}, by=owner)
            continue
        values = {
            "Name": f"{deal.account or 'No account'} - {deal.product}", "Source_Id__c": deal.id, "RecordTypeId": record_type, "OwnerId": owner,
            "AccountId": accounts[deal.account] if deal.account else None, "StageName": "Engaging" if deal.engaged_on else "Prospecting",
            "CloseDate": deal.closed_on or open_until, "Primary_Product__c": deal.product, "Type": "New Business",
        }  # fmt: skip
        made[deal.id] = org.insert("Opportunity", values, by=owner)
    org.clock.advance_to(rows.ends)
    return {"opportunities": len(made), "accounts": len(accounts), "users": len(agents), "products": len(rows.products)}


def _set_up(org: Org, rows: Rows) -> str:
    """The fields, options, stages and the record type that the files need; the record type's id."""
    org_fields = {
        "Opportunity": (text("Source_Id__c", 40, "Source id"),),
        "Account": (
            money("AnnualRevenue", "Annual Revenue"), integer("NumberOfEmployees", "Employees"), text("YearStarted", 4, "Year Started"),
            lookup("ParentId", "Account", relationship="Parent"),
        ),
        "User": (pick("Sales_Region__c", *sorted({row["regional_office"] for row in rows.agents.values()}), label="Sales region"),),
    }  # fmt: skip
    for name, fields in org_fields.items():
        for field in fields:
            _add_field(org, name, field)
    for product in sorted({deal.product for deal in rows.deals}):
        org.add_option("Opportunity", "Primary_Product__c", product)
    for sector in sorted({row["sector"] for row in rows.accounts.values() if row["sector"]}):
        org.add_option("Account", "Industry", sector)
    for order, (name, probability) in enumerate(_PROBABILITY.items(), len(org.stages) + 1):
        category = {"Won": "Closed", "Lost": "Omitted"}.get(name, "Pipeline")
        stage = {
            "MasterLabel": name, "ApiName": name, "IsActive": True, "SortOrder": order, "IsClosed": name in {"Won", "Lost"}, "IsWon": name == "Won",
            "ForecastCategory": category, "ForecastCategoryName": category, "DefaultProbability": probability,
        }  # fmt: skip
        org.stages[name] = org.tables["OpportunityStage"].rows[org.insert("OpportunityStage", stage)]
    kind = {"Name": "CSV Import", "DeveloperName": RECORD_TYPE, "SobjectType": "Opportunity", "IsActive": True}
    record_type = org.insert("RecordType", kind)
    org.record_types[RECORD_TYPE] = record_type
    org.offered[record_type] = list(_PROBABILITY)
    org.stages_changed()
    return record_type


def _people(org: Org, rows: Rows) -> dict[str, str]:
    """Managers and agents as users; the agents' ids by name."""
    managers = {name: _user(org, name) for name in sorted({row["manager"] for row in rows.agents.values() if row["manager"]})}
    return {
        name: managers.get(name) or _user(org, name, ManagerId=managers.get(row["manager"]), Sales_Region__c=row["regional_office"])
        for name, row in rows.agents.items()
    }


def _user(org: Org, name: str, **more: str | None) -> str:
    first, _, last = name.rpartition(" ")
    address = f"{name.lower().replace(' ', '.')}@csv-import.example"
    person = {
        "FirstName": first, "LastName": last, "Username": address, "Email": address, "IsActive": True, "UserType": "Standard",
        "TimeZoneSidKey": "America/New_York", "DefaultCurrencyIsoCode": "USD",
    }  # fmt: skip
    return org.insert("User", person | more)


def _accounts(org: Org, rows: Rows) -> dict[str, str]:
    made = {}
    for name, row in rows.accounts.items():
        revenue = Decimal(row["revenue"]) * 1_000_000 if row["revenue"] else None
        values = {
            "Name": name, "Industry": row["sector"], "YearStarted": row["year_established"], "AnnualRevenue": revenue,
            "NumberOfEmployees": row["employees"], "BillingCountry": row["office_location"],
        }  # fmt: skip
        made[name] = org.insert("Account", values)
    for name, row in rows.accounts.items():
        if row["subsidiary_of"]:
            org.update("Account", made[name], {"ParentId": made[row["subsidiary_of"]]})
    return made


def _add_field(org: Org, name: str, field: FieldDef) -> None:
    definition = org.schema[name]
    if field.name in definition.fields:
        return
    parents = {field.relationship.lower(): field} if field.relationship else {}
    org.schema[name] = replace(
        definition, fields={**definition.fields, field.name: field}, lowered={**definition.lowered, field.name.lower(): field},
        relationships={**definition.relationships, **parents},
    )  # fmt: skip
    org.tables[name].definition = org.schema[name]
    org.schema_changed[name] = org.clock.now.replace(microsecond=0)
