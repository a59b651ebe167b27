"""What the org's field history tells of tracked fields, as versions beside the records.

Only what an admin tracks is there (20 fields of an object at most), nothing from before the tracking began, no row for the value at
creation. A field without a row has no history here, which is not the same as one that never changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from connector.clock import parse_instant
from connector.crms.base import Version
from connector.crms.salesforce import soql
from connector.crms.salesforce.lookup import Lookup
from connector.crms.salesforce.schema import Schema
from connector.crms.salesforce.shape import Row, Shape
from connector.errors import CrmConfigError

OBJECTS = {
    "Opportunity": ("OpportunityFieldHistory", "OpportunityId"),
    "Account": ("AccountHistory", "AccountId"),
    "Contact": ("ContactHistory", "ContactId"),
    "Lead": ("LeadHistory", "LeadId"),
    "Case": ("CaseHistory", "CaseId"),
}
"""Object → where its field history is kept, and the field that names the record."""
COLUMNS = ("Id", "Field", "OldValue", "NewValue", "CreatedDate", "CreatedById")
IDENTITY = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def of(lookup: Lookup, schema: Schema, shape: Shape, rows: Sequence[Row]) -> Mapping[str, Mapping[str, tuple[Version, ...]]]:
    """Record → field → versions, oldest first, for records that the state does not hold in this version. 300 records a call.

    Empty where the org keeps no field history of the object, or the connection's user may not see it.
    """
    if shape.object not in OBJECTS:
        return {}
    object_, parent = OBJECTS[shape.object]
    current = {soql.to18(row["Id"]): row[shape.key] for row in rows}
    known = shape.known_versions(list(current))
    changed = [identity for identity, version in current.items() if known.get(identity) != version]
    if not changed:
        return {}
    try:
        schema.known(object_)
    except CrmConfigError:
        return {}
    called = {_label(field, field in shape.references): field for field in shape.history}
    tracked = f"Field IN {soql.literal(list(called))}"
    found: dict[str, dict[str, list[tuple[str, str, Version]]]] = {}
    for chunk in lookup.by_ids(object_, parent, changed, (parent, *COLUMNS), also=tracked):
        for row in chunk:
            field = called[row["Field"]]
            if field in shape.references and not _names_records(row):
                continue  # a changed lookup leaves two rows: one with ids, one with names
            version = Version(text_of(row["NewValue"]), parse_instant(row["CreatedDate"]), row.get("CreatedById"))
            of_record = found.setdefault(soql.to18(row[parent]), {})
            of_record.setdefault(field, []).append((row["CreatedDate"], row["Id"], version))
    return {
        identity: {field: tuple(version for *_, version in sorted(versions, key=lambda v: v[:2])) for field, versions in fields.items()}
        for identity, fields in found.items()
    }


def _label(field: str, reference: bool) -> str:
    """What the history calls a field: a standard lookup goes without its Id (OwnerId → Owner)."""
    return field.removesuffix("Id") if reference else field


def _names_records(row: Row) -> bool:
    return all(value is None or (isinstance(value, str) and IDENTITY.fullmatch(value)) for value in (row["OldValue"], row["NewValue"]))


def text_of(value: Any) -> str | None:
    """A past value of any type as text, as other reads would show it."""
    if value is None or isinstance(value, str):
        return value or None
    return str(value).lower() if isinstance(value, bool) else repr(value)
