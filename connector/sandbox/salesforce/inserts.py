"""API writes that make and unmake records: create, upsert, delete; one by one and in collections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from connector.sandbox.salesforce.access import refused
from connector.sandbox.salesforce.frames import ApiError, not_found
from connector.sandbox.salesforce.ids import full_id
from connector.sandbox.salesforce.org import Org, RowError
from connector.sandbox.salesforce.schema import FieldDef, ObjectDef, Row
from connector.sandbox.salesforce.writes import ATTRIBUTES_FIRST, MOST_RECORDS, ROLLED_BACK, Save, failure, request_of, settled, type_of, values_of

DELETED = RowError("ENTITY_IS_DELETED", "entity is deleted")
NO_RIGHT = RowError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
Work = Callable[[], dict[str, Any]]


def create_collection(org: Org, body: Any, user: str) -> list[dict[str, Any]]:
    """POST composite/sobjects: one result a record, in order. Raises ApiError for a malformed request."""
    records, all_or_none = request_of(body)
    return settled(org, [_creation(org, record, user) for record in records], all_or_none, user)


def upsert_collection(org: Org, name: str, field: str, body: Any, user: str) -> list[dict[str, Any]]:
    """PATCH composite/sobjects/{type}/{field}: results tell ``created``. Records of one call that share a key are refused, all of them.
    Raises ApiError."""
    key = lookup_field(org, name, field, user)
    records, all_or_none = request_of(body)
    shared = repeated(_given(record, key.name) for record in records)
    checked = [_upsertion(org, name, key, record, user, shared) for record in records]
    return [{"created": False, **result} for result in settled(org, checked, all_or_none, user)]


def repeated(values: Iterable[Any]) -> frozenset[str]:
    """Keys that occur more than once among those of a call, case aside."""
    counted = Counter(str(value).casefold() for value in values if value not in (None, ""))
    return frozenset(value for value, count in counted.items() if count > 1)


def shared_key(key: FieldDef, value: Any) -> RowError:
    """The refusal of a record whose key another record of the same call has too."""
    return RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", (key.name,))


def delete_collection(org: Org, ids: Sequence[str], all_or_none: bool, user: str) -> list[dict[str, Any]]:
    """DELETE composite/sobjects?ids=…: one result an id. Raises ApiError for too many."""
    if len(ids) > MOST_RECORDS:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MOST_RECORDS} records in this call")
    checked = [_deletion(org, written, user) for written in ids]
    failed = any(isinstance(found, RowError) for found in checked)
    return [
        failure(found) if isinstance(found, RowError) else failure(ROLLED_BACK) if all_or_none and failed else found()
        for found in checked
    ]  # fmt: skip


def create_one(org: Org, name: str, body: Any, user: str) -> str:
    """POST sobjects/{type}: the new id. Raises ApiError."""
    definition = _object(org, name, user)
    values = values_of(org, definition, {}, _fields(body), user)
    if isinstance(values, RowError):
        raise refusal(values)
    return org.insert(name, values, by=user)


def upsert_one(org: Org, name: str, field: str, value: str, body: Any, user: str, *, update_only: bool = False) -> tuple[str, bool]:
    """PATCH sobjects/{type}/{field}/{value}: id and whether it was made. Raises ApiError; 300 where several match."""
    definition, key = _object(org, name, user), lookup_field(org, name, field, user)
    found = matches(org, name, key, value)
    if len(found) > 1:
        raise ApiError(300, "MULTIPLE_CHOICES", "more than one record found for external id field")
    if not found and (update_only or key.name == "Id"):
        raise not_found()
    row = found[0] if found else {}
    given = _fields(body)
    if _given(given, key.name) is not None:
        raise ApiError(400, "INVALID_FIELD", f"The {key.name} field should not be specified in the sobject data.")
    values = values_of(org, definition, row, given if found else {**given, key.name: value}, user)
    if isinstance(values, RowError):
        raise refusal(values)
    if found:
        org.update(name, row["Id"], values, by=user)
        return str(row["Id"]), False
    return org.insert(name, values, by=user), True


def delete_one(org: Org, name: str, written: str, user: str) -> None:
    """DELETE sobjects/{type}/{id}. Raises ApiError."""
    definition, full = _object(org, name, user), full_id(written)
    row = None if full is None else org.tables[name].rows.get(full)
    if full is None or row is None:
        raise not_found()
    refused = undeletable(org, definition, row, user)
    if refused is not None:
        raise ApiError(404 if refused is DELETED else 400, refused.code, refused.message, refused.fields)
    org.delete(name, full, by=user)


def lookup_field(org: Org, name: str, field: str, user: str) -> FieldDef:
    """A field by which records may be addressed. Raises ApiError 404."""
    found = _object(org, name, user).find(field)
    if found is None or not (found.name == "Id" or found.external_id or found.type == "email"):
        raise ApiError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field}")
    return found


def matches(org: Org, name: str, key: FieldDef, value: Any) -> list[Row]:
    """Live records whose field has a value."""
    if key.name == "Id":
        row = org.tables[name].rows.get(full_id(str(value)) or "")
        return [] if row is None or row.get("IsDeleted") else [row]
    table = org.tables[name]
    if key.name in table.indexed:
        return [table.rows[found] for found in table.ids_with(key.name, (value,)) if not table.rows[found].get("IsDeleted")]
    wanted = str(value).casefold()
    return [row for row in table.rows.values() if not row.get("IsDeleted") and str(row.get(key.name, "")).casefold() == wanted]


def refusal(error: RowError) -> ApiError:
    """A record's error as the answer to a call about that one record: unknown columns and unreadable values come without a list of fields."""
    bare = error.code in ("INVALID_FIELD", "JSON_PARSER_ERROR")
    return ApiError(400, error.code, error.message, None if bare else error.fields)


def _object(org: Org, name: str, user: str) -> ObjectDef:
    found = org.seen(name, user)
    if found is None:
        raise not_found()
    return found


def _fields(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "Unexpected body: a JSON object is expected")
    if any(key.lower() == "id" for key in body):
        raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
    return {key: value for key, value in body.items() if key != "attributes"}


def _given(record: Any, name: str) -> Any:
    """What a record says of a field, whose name's case does not matter."""
    return next((value for key, value in record.items() if key.lower() == name.lower()), None) if isinstance(record, dict) else None


def _named(org: Org, record: Any, user: str) -> ObjectDef | RowError:
    name = type_of(record)
    if name is None:
        return RowError("JSON_PARSER_ERROR", ATTRIBUTES_FIRST)
    return org.seen(name, user) or RowError("INVALID_TYPE", f"sObject type '{name}' is not supported.")


def _creation(org: Org, record: Any, user: str) -> Save | RowError:
    definition = _named(org, record, user)
    if isinstance(definition, RowError):
        return definition
    given = {key: value for key, value in record.items() if key != "attributes"}
    if any(key.lower() == "id" for key in given):
        return RowError("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",))
    values = values_of(org, definition, {}, given, user)
    return values if isinstance(values, RowError) else Save(definition, {}, values)


def _upsertion(org: Org, name: str, key: FieldDef, record: Any, user: str, shared: frozenset[str]) -> Save | RowError:
    definition = _named(org, record, user)
    if isinstance(definition, RowError):
        return definition
    if definition.name != name:
        return RowError("INVALID_TYPE", f"record of type {definition.name} in an upsert of {name}")
    given = {k: v for k, v in record.items() if k != "attributes" and k.lower() != key.name.lower()}
    value = _given(record, key.name)
    if key.name != "Id" and _given(record, "Id") is not None:
        return RowError("INVALID_FIELD", f"cannot specify both an external ID reference {key.name} and a salesforce id, {name}")
    if str(value).casefold() in shared:
        return shared_key(key, value)
    found = [] if value is None else matches(org, name, key, value)
    if value is None and key.name != "Id":
        return RowError("MISSING_ARGUMENT", f"{key.name} not specified", ())
    if value is not None and key.name == "Id" and not found:
        return RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if len(found) > 1:
        return RowError("DUPLICATE_EXTERNAL_ID", f"{key.label}: more than one record found for external id field", (key.name,))
    row = found[0] if found else {}
    if not row and value is not None:
        given[key.name] = value
    values = values_of(org, definition, row, given, user)
    return values if isinstance(values, RowError) else Save(definition, row, values, upserts=True)


def _deletion(org: Org, written: str, user: str) -> Work | RowError:
    full = full_id(written)
    if full is None:
        return RowError("MALFORMED_ID", f"malformed id {written}")
    row, name = org.find(full), org.prefixes.get(full[:3], "")
    if row is None:
        return RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    definition = org.seen(name, user)
    refused = NO_RIGHT if definition is None else undeletable(org, definition, row, user)
    if refused is not None:
        return refused

    def delete() -> dict[str, Any]:
        held = org.find(full)
        if held is not None and not held.get("IsDeleted"):  # it may have gone along with one before it
            org.delete(name, full, by=user)
        return {"id": full, "success": True, "errors": []}

    return delete


def undeletable(org: Org, definition: ObjectDef, row: Row, user: str) -> RowError | None:
    """Why a user may not delete a record now. ``definition``: the object as that user sees it."""
    if row.get("IsDeleted"):
        return DELETED
    if not definition.deletable:
        return NO_RIGHT if definition.guarded else RowError("INSUFFICIENT_ACCESS_OR_READONLY", "entity type cannot be deleted")
    refusal = refused(org, definition, row, {}, user)
    if refusal is not None:
        return refusal
    if row["Id"] in org.uneditable and user == org.api_user:
        return NO_RIGHT
    if row["Id"] in org.locked:
        return RowError("UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {row['Id'][:15]}")
    return None
