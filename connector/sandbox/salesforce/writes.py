"""API writes: what the org refuses and in which words, then the save. One record's error never touches another."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

from connector.sandbox.salesforce.access import refused
from connector.sandbox.salesforce.frames import ApiError, not_found
from connector.sandbox.salesforce.ids import full_id
from connector.sandbox.salesforce.org import Org, RowError
from connector.sandbox.salesforce.rows import stamp
from connector.sandbox.salesforce.schema import NUMBER_TYPES, TEXT_TYPES, FieldDef, ObjectDef, Row

MOST_RECORDS = 200
MOST_CHUNKS = 10
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
ATTRIBUTES_FIRST = "Nested object for polymorphic foreign key must have an attributes field before any other fields."
ROLLED_BACK = RowError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid and the request was using AllOrNone header"
)
TWINS = RowError("DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record with id: <unknown>")


@dataclass(frozen=True, slots=True)
class Save:
    """Values that passed every check: for ``row``, or for a new record where it is empty. ``upserts``: the result tells whether it was made."""

    definition: ObjectDef
    row: Row
    values: Row
    upserts: bool = False

    @property
    def id(self) -> str:
        return str(self.row.get("Id", ""))

    def uniques(self) -> set[tuple[str, str, str]]:
        """(object, field, value) of each value that only one record may hold."""
        found = ((field.name, self.values.get(field.name)) for field in self.definition.fields.values() if field.unique)
        return {(self.definition.name, name, str(value).casefold()) for name, value in found if value is not None}

    def clash(self, org: Org) -> RowError | None:
        """Whether a record before it in the same call has taken one of its unique values."""
        return twice(org, self.definition, self.row, self.values)

    def done(self, org: Org, user: str) -> dict[str, Any]:
        """Save it, and say so."""
        if self.row:
            org.update(self.definition.name, self.id, self.values, by=user)
        key = self.id or org.insert(self.definition.name, self.values, by=user)
        return {"id": key, "success": True, "errors": []} | ({"created": not self.row} if self.upserts else {})


def update_collection(org: Org, body: Any, user: str) -> list[dict[str, Any]]:
    """PATCH composite/sobjects: one result a record, in the order of the request. Raises ApiError for a malformed request."""
    records, all_or_none = request_of(body)
    checked = [check(org, record, user) for record in records]
    seen: set[str] = set()
    for at, found in enumerate(checked):
        if not isinstance(found, RowError):
            if found.id in seen:
                checked[at] = RowError("DUPLICATE_VALUE", f"duplicate id specified: {found.id}")
            seen.add(found.id)
    return settled(org, checked, all_or_none, user)


def settled(org: Org, checked: Sequence[Save | RowError], all_or_none: bool, user: str) -> list[dict[str, Any]]:
    """What passed every check is saved, one result a record. Of two records that want one value of a unique field, the first has it."""
    if all_or_none:
        checked = _alone(checked)
    failed = any(isinstance(found, RowError) for found in checked)
    results = []
    for found in checked:
        if isinstance(found, RowError):
            results.append(failure(found))
            continue
        refusal = ROLLED_BACK if all_or_none and failed else found.clash(org)
        results.append(found.done(org, user) if refusal is None else failure(refusal))
    return results


def _alone(checked: Sequence[Save | RowError]) -> list[Save | RowError]:
    """The same with an error for each record whose unique value another one before it wants: neither has an id yet."""
    taken: set[tuple[str, str, str]] = set()
    out: list[Save | RowError] = []
    for found in checked:
        wanted = set() if isinstance(found, RowError) else found.uniques()
        out.append(TWINS if wanted & taken else found)
        taken |= wanted
    return out


def update_one(org: Org, name: str, record_id: str, body: Any, user: str) -> None:
    """PATCH sobjects/{type}/{id}. Raises ApiError."""
    definition = org.seen(name, user)
    if definition is None:
        raise not_found()
    if not isinstance(body, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "Unexpected body: a JSON object is expected")
    if any(key.lower() == "id" for key in body):
        raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
    full = full_id(record_id)
    row = None if full is None else org.tables[name].rows.get(full)
    if full is None or row is None:
        raise ApiError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {record_id}")
    if row.get("IsDeleted"):
        raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", ())
    values = values_of(org, definition, row, {k: v for k, v in body.items() if k != "attributes"}, user)
    if isinstance(values, RowError):
        # unknown columns and unreadable values are refused before the record is touched, without a list of fields
        bare = values.code in ("INVALID_FIELD", "JSON_PARSER_ERROR")
        raise ApiError(400, values.code, values.message, None if bare else values.fields)
    org.update(name, full, values, by=user)


def request_of(body: Any) -> tuple[list[Any], bool]:
    if not isinstance(body, dict) or not isinstance(body.get("records"), list):
        raise ApiError(400, "JSON_PARSER_ERROR", "The request body must be an object with a list of records")
    records = body["records"]
    if len(records) > MOST_RECORDS:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MOST_RECORDS} records in this call")
    if len(list(groupby(type_of(record) for record in records))) > MOST_CHUNKS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"Cannot have more than {MOST_CHUNKS} chunks in a single operation. Please rearrange the data")
    return records, body.get("allOrNone") is True


def type_of(record: Any) -> str | None:
    named = record.get("attributes") if isinstance(record, dict) else None
    return str(named["type"]) if isinstance(named, dict) and "type" in named else None


def check(org: Org, record: Any, user: str) -> Save | RowError:
    name = type_of(record)
    if name is None:
        return RowError("JSON_PARSER_ERROR", ATTRIBUTES_FIRST)
    definition = org.seen(name, user)
    if definition is None:
        return RowError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
    given = {key: value for key, value in record.items() if key not in ("attributes", "id", "Id")}
    written = record.get("id", record.get("Id"))
    if not written:
        return RowError("MISSING_ARGUMENT", "Id not specified in an update call")
    full = full_id(written) if isinstance(written, str) else None
    if full is None or not full.startswith(definition.prefix):
        return RowError("MALFORMED_ID", f"{definition.label} ID: id value of incorrect type: {written}", ("Id",))
    row = org.tables[name].rows.get(full)
    if row is None:
        return RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if row.get("IsDeleted"):
        return RowError("ENTITY_IS_DELETED", "entity is deleted")
    values = values_of(org, definition, row, given, user)
    return values if isinstance(values, RowError) else Save(definition, row, values)


def values_of(org: Org, definition: ObjectDef, row: Row, given: Mapping[str, Any], user: str) -> Row | RowError:
    """The values in wire form, or the first reason to refuse them. ``row``: the record as it is; empty for a new one."""
    new = not row
    unknown = next((name for name in given if definition.find(name) is None), None)
    if unknown is not None:
        return RowError("INVALID_FIELD", f"No such column '{unknown}' on sobject of type {definition.name}")
    fields = {name: definition.find(name) for name in given}
    if not (definition.createable if new else definition.updateable):
        said = f"entity type cannot be {'inserted' if new else 'updated'}: {definition.label}"
        return RowError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", said)
    closed = [f.name for f in fields.values() if f is not None and not (f.createable if new else f.updateable)]
    if closed:
        message = (
            f"Unable to create/update fields: {', '.join(closed)}. Please check the security settings of this field and verify that it is "
            "read/write for your profile or permission set."
        )
        return RowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, tuple(closed))
    values: Row = {}
    for name, field in fields.items():
        assert field is not None
        value = _value(org, field, given[name])
        if isinstance(value, RowError):
            return value
        granted = org.granted.get((str(row.get("RecordTypeId")), field.name))
        if field.restricted and granted is not None and value is not None and value not in granted:
            return RowError(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"{field.label}: bad value for restricted picklist field: {value}", (field.name,)
            )
        values[field.name] = value
    if new:
        missing = [f.name for f in definition.fields.values() if _required(f) and values.get(f.name) is None]
        if missing:
            return RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", tuple(missing))
    refusal = refused(org, definition, row, values, user) or twice(org, definition, row, values) or (None if new else _barred(org, row, user))
    if refusal is not None:
        return refusal
    for rule in org.rules:
        refusal = rule(definition.name, row, values, user)
        if refusal is not None:
            return refusal
    return values


def twice(org: Org, definition: ObjectDef, row: Row, values: Row) -> RowError | None:
    """A value that only one record may hold, in any case. What lies in the recycle bin holds nothing."""
    table = org.tables[definition.name]
    for field in definition.fields.values():
        value = values.get(field.name) if field.unique else None
        for key in table.ids_with(field.name, (value,)) if value is not None else ():
            if key != row.get("Id") and not table.rows[key].get("IsDeleted"):
                return RowError("DUPLICATE_VALUE", f"duplicate value found: {field.name} duplicates value on record with id: {key[:15]}")
    return None


def _required(field: FieldDef) -> bool:
    """A new record needs a value of this field from the client: what the org fills in by itself is not asked for."""
    return not field.nillable and field.createable and field.default is None and field.name != "OwnerId" and not field.options_default


def _barred(org: Org, row: Row, user: str) -> RowError | None:
    """Why this very record cannot be written now."""
    if row["Id"] in org.uneditable and user == org.api_user:
        return RowError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
    if row.get("IsConverted"):
        return RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    if row["Id"] in org.locked:
        return RowError("UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {row['Id'][:15]}")
    return None


def _value(org: Org, field: FieldDef, value: Any) -> Any:
    if value is None or value == "":
        if field.type == "boolean":
            return _unreadable(field, value)
        return None if field.nillable else RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{field.name}]", (field.name,))
    if field.type in TEXT_TYPES:
        return _text(field, value)
    if field.type in NUMBER_TYPES:
        return _number(field, value)
    if field.type == "boolean":
        return value if isinstance(value, bool) else _unreadable(field, value)
    if field.type in ("date", "datetime"):
        return _when(field, value)
    return _reference(org, field, value)


def _text(field: FieldDef, value: Any) -> Any:
    if not isinstance(value, str):
        if isinstance(value, list | dict):
            return _unreadable(field, value)
        value = str(value).lower() if isinstance(value, bool) else str(value)
    if len(value) > field.length:
        shown = value if len(value) <= 255 else value[:255] + "..."
        return RowError("STRING_TOO_LONG", f"{field.label}: data value too large: {shown} (max length={field.length})", (field.name,))
    if field.type == "email" and not EMAIL.fullmatch(value):
        return RowError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value}", (field.name,))
    if field.restricted and all(option.value != value for option in field.options if option.active):
        return RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"{field.label}: bad value for restricted picklist field: {value}", (field.name,))
    return value


def _number(field: FieldDef, value: Any) -> Any:
    try:
        number = float(value) if not isinstance(value, bool | list | dict) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return _unreadable(field, value)
    if abs(number) >= 10 ** (field.precision - field.scale):
        return RowError("NUMBER_OUTSIDE_VALID_RANGE", f"{field.label}: value outside of valid range on numeric field: {value}", (field.name,))
    return number


def _when(field: FieldDef, value: Any) -> Any:
    try:
        if field.type == "date" and isinstance(value, str) and ISO_DAY.fullmatch(value):
            return date.fromisoformat(value).isoformat()
        if field.type == "datetime" and isinstance(value, str) and len(value) > 10:
            at = datetime.fromisoformat(value)
            return stamp(at) if at.tzinfo is not None else _unreadable(field, value)
    except ValueError:
        pass
    return _unreadable(field, value)


def _reference(org: Org, field: FieldDef, value: Any) -> Any:
    full = full_id(value) if isinstance(value, str) else None
    wanted = {org.schema[name].prefix for name in field.reference_to if name in org.schema}
    if full is None or full[:3] not in wanted:
        return RowError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", (field.name,))
    row = org.find(full)
    if row is None or row.get("IsDeleted"):
        return RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (field.name,))
    if field.name == "OwnerId" and not row.get("IsActive"):
        return RowError("INACTIVE_OWNER_OR_USER", f"operation performed with inactive user [{full[:15]}] as owner of record", (field.name,))
    return full


def _unreadable(field: FieldDef, value: Any) -> RowError:
    kinds = {str: "STRING", int: "NUMBER_INT", float: "NUMBER_FLOAT", bool: "TRUE" if value else "FALSE", type(None): "NULL"}
    wanted = {"datetime": "datetime", "string": "string"}.get(field.type, field.type)
    shown = f"VALUE_{kinds[type(value)]} value {value}" if type(value) in kinds else "START_OBJECT"
    return RowError("JSON_PARSER_ERROR", f"Cannot deserialize instance of {wanted} from {shown} or request may be missing a required field")


def failure(error: RowError) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": error.code, "message": error.message, "fields": list(error.fields)}]}


def retrieve_ids(org: Org, definition: ObjectDef, ids: Sequence[Any]) -> list[Row | None]:
    """Records for POST composite/sobjects/{type} in the order asked for; None for what is invalid, gone or of another object."""
    found: list[Row | None] = []
    for written in ids:
        full = full_id(written) if isinstance(written, str) else None
        row = None if full is None else org.tables[definition.name].rows.get(full)
        found.append(None if row is None or row.get("IsDeleted") else row)
    return found
