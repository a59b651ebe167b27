"""UserRecordAccess: who may do what with which records, worked out when asked."""

from __future__ import annotations

from collections.abc import Iterable

from connector.sandbox.salesforce.ids import full_id, new_id
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import Row
from connector.sandbox.salesforce.soql import Compare, SoqlError

MOST_RECORDS = 200


def record_access(org: Org, comparisons: Iterable[Compare]) -> list[Row]:
    """Rows for the users and records that the condition names. Raises SoqlError where it does not name both, or too many records."""
    named: dict[str, list[str]] = {"userid": [], "recordid": []}
    for found in comparisons:
        if found.operator in ("=", "in") and found.field.text.lower() in named:
            named[found.field.text.lower()] += [full for value in found.values if (full := full_id(str(value.value)))]
    if not named["userid"] or not named["recordid"]:
        raise SoqlError("MALFORMED_QUERY", "When querying UserRecordAccess, the UserId and RecordId fields must be filtered")
    if len(named["recordid"]) > MOST_RECORDS:
        raise SoqlError("MALFORMED_QUERY", f"UserRecordAccess can be queried for at most {MOST_RECORDS} records")
    return [_row(org, user, record) for user in named["userid"] for record in named["recordid"]]


def _row(org: Org, user: str, record: str) -> Row:
    table, found = org.tables["UserRecordAccess"], org.find(record)
    seen = found is not None and not found.get("IsDeleted")
    edits = seen and not (record in org.uneditable and user == org.api_user)
    level = "Edit" if edits else "Read" if seen else "None"
    key = org.keys.setdefault(("access", user + record), new_id("0rA", len(table.rows) + 1))
    row: Row = {
        "Id": key, "UserId": user, "RecordId": record, "HasReadAccess": seen, "HasEditAccess": edits, "HasDeleteAccess": False,
        "MaxAccessLevel": level,
    }  # fmt: skip
    table.rows[key] = row
    return row
