"""Recorded bodies without their requests: the request that must have led to each, and the portal for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connector.sandbox.hubspot.records import Source, parse_stamp
from connector.sandbox.hubspot.schema import ObjectType, object_type
from tests.recordings.comparison import Recorded
from tests.recordings.hubspot_replay import Furnished, Replay, V, linked_inline, texts

Maker = Callable[[Any, Furnished], Replay]
_NO_REQUEST = "a request of a client, without an answer"
LEFT_OUT = {
    "contacts-schema-resp.json": "schemas of custom objects are not served",
    "1-payload-create-property-group.json": _NO_REQUEST,
    "3-payload-batch-create-properties.json": _NO_REQUEST,
    "4-payload-update-property-age.json": _NO_REQUEST,
    "6-payload-update-property-interests.json": _NO_REQUEST,
    "contacts-payload.json": _NO_REQUEST,
    "contacts-req-payload-since.json": _NO_REQUEST,
    "contacts-req-payload-until.json": _NO_REQUEST,
    "metadata-contacts-external-pipelines.json": "contacts have no pipeline in the sandbox",
    "e_deal_closed.json": "events are not served",
    "e_visited_page.json": "events are not served",
    "mock_data.py#mock_quotes_data": "quotes are not served",
    "mock_data.py#mock_contacts_properties": "definitions cut down to their names",
}


def _kind(name: str) -> ObjectType:
    found = object_type(name)
    assert found is not None
    return found


def _listed(name: str, *asked: str) -> Maker:
    """The first page of a list; ``asked``: properties, none for the usual ones."""

    def make(body: Any, made: Furnished) -> Replay:
        kind = _kind(name)
        made.rows(kind, body["results"])
        if "paging" in body:
            made.record(kind, body["paging"]["next"]["after"])
        names = asked or (() if set(body["results"][0]["properties"]) - {"hs_object_id"} <= _usual(kind) else tuple(body["results"][0]["properties"]))
        query = [("limit", str(len(body["results"]))), *(("properties", one) for one in names)]
        return Replay(made.portal, "GET", f"/crm/objects/{V}/{name}", "body: list", body, query=query)

    return make


def _usual(kind: ObjectType) -> set[str]:
    return {*kind.defaults, kind.created, kind.modified}


def _history(body: Any, made: Furnished) -> Replay:
    kind = _kind("contacts")
    made.rows(kind, body["results"])
    rows = body["results"]
    names = sorted({name for row in rows for name in row["properties"]})
    made.know(kind, names)
    for row in rows:
        record = made.record(kind, row["id"])
        for name, versions in row["propertiesWithHistory"].items():
            made.know(kind, [name])
            record.history[name] = []
            for version in reversed(versions):
                record.put(name, version["value"], parse_stamp(version["timestamp"]), _source(version))
    linked_inline(made, rows)
    made.portal.empty_history = True
    with_history = sorted({name for row in rows for name in row["propertiesWithHistory"]})
    query = [("limit", "50"), ("associations", "companies,deals"), ("properties", ",".join(names)), ("propertiesWithHistory", ",".join(with_history))]
    return Replay(made.portal, "GET", f"/crm/objects/{V}/contacts", "body: list with history", body, query=query)


def _source(version: dict[str, Any]) -> Source:
    return Source(version["sourceType"], version.get("sourceId"), label=version.get("sourceLabel"), user=version.get("updatedByUserId"))


def _post(kind: str, path: str, body: Any, made: Furnished, expected: Any, status: int) -> Replay:
    return Replay(made.portal, "POST", path, f"body: {kind}", expected, body, status=status)


def _new(body: Any, made: Furnished) -> Replay:
    names = ["first000name", "last000name"]
    inputs = [{"properties": dict.fromkeys(names, "x")}, {"properties": dict.fromkeys(names, "y")}]
    return _post("error", f"/crm/objects/{V}/contacts/batch/create", {"inputs": inputs}, made, body, 400)


def _conflict(body: Any, made: Furnished) -> Replay:
    made.record(_kind("contacts"), "151", {"email": "a@example.com"})
    return _post("error", f"/crm/objects/{V}/contacts", {"properties": {"email": "A@example.com"}}, made, body, 409)


def _partly_new(body: Any, made: Furnished) -> Replay:
    (row,) = body["results"]
    made.record(_kind("contacts"), body["errors"][0]["context"]["existingId"][0], {"email": "a@example.com"})
    sent = {name: value for name, value in row["properties"].items() if name != "createdate"}
    inputs = [{"objectWriteTraceId": "0", "properties": {"email": "a@example.com"}}, {"objectWriteTraceId": "1", "properties": sent}]
    return _post("batch", f"/crm/objects/{V}/contacts/batch/create", {"inputs": inputs}, made, body, 207)


def _twice(body: Any, made: Furnished) -> Replay:
    one = {"id": body["context"]["ids"][0], "properties": {}}
    return _post("error", f"/crm/objects/{V}/contacts/batch/update", {"inputs": [one, one]}, made, body, 400)


def _updated(body: Any, made: Furnished) -> Replay:
    inputs = []
    for row in body["results"]:
        made.at(row["createdAt"])
        made.record(_kind("contacts"), row["id"], {"firstname": "A", "lastname": "B", "createdate": row["createdAt"]})
        inputs.append({"id": row["id"], "properties": {name: row["properties"][name] for name in ("firstname", "lastname")}})
    for error in body.get("errors", ()):
        inputs += [{"id": id_, "properties": {"firstname": "C"}} for id_ in error["context"].get("ids", ())]
    return _post("batch", f"/crm/objects/{V}/contacts/batch/update", {"inputs": inputs}, made, body, 207 if "errors" in body else 200)


def _group(body: Any, made: Furnished) -> Replay:
    sent = {"name": body["name"], "label": body["label"]}
    return _post("definition", f"/crm/properties/{V}/contacts/groups", sent, made, body, 201)


def _redefined(body: Any, made: Furnished) -> Replay:
    made.know(_kind("contacts"), [])
    made.portal.define_property("contacts", body["name"], body["type"], group=body["groupName"], form_field=True)
    path, sent = f"/crm/properties/{V}/contacts/{body['name']}", {"label": body["label"], "description": body["description"]}
    return Replay(made.portal, "PATCH", path, "body: definition", body, sent)


def _definitions(name: str, words: str) -> Maker:
    return lambda body, made: Replay(made.portal, "GET", f"/crm/{words}/{V}/{name}", "body: definition", body)


def _refused(body: Any, made: Furnished) -> Replay:
    made.portal.denied_scopes.add("crm.objects.deals.read")
    return Replay(made.portal, "GET", f"/crm/objects/{V}/deals", "body: error", body, status=403)


def _butterflies(body: Any, made: Furnished) -> Replay:
    return _post("error", f"/crm/objects/{V}/butterflies/search", {}, made, body, 400)


def _account(body: Any, made: Furnished) -> Replay:
    return Replay(made.portal, "GET", f"/account-info/{V}/details", "body: account", body)


def _links(body: Any, made: Furnished) -> Replay:
    inputs = []
    for row in body["results"]:
        one = made.record(_kind("contacts"), row["from"]["id"])
        inputs.append({"id": one.id})
        for to in row["to"]:
            made.portal.associate(one, made.record(_kind("companies"), str(to["toObjectId"])), "Primary")
    lonely = [made.record(_kind("contacts"), error["context"]["fromObjectId"][0]).id for error in body["errors"]]
    more = [str(900_000_000_000 + n) for n in range(body["numErrors"] - len(lonely))]  # the recorded list of errors is cut
    inputs += [{"id": id_} for id_ in (*lonely, *more)]
    return _post("associations", f"/crm/associations/{V}/contacts/companies/batch/read", {"inputs": inputs}, made, texts(body), 207)


def _linked(body: Any, made: Furnished) -> Replay:
    types, inputs = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}], []
    for row in body["results"]:
        one, other = made.record(_kind("contacts"), str(row["fromObjectId"])), made.record(_kind("companies"), str(row["toObjectId"]))
        inputs.append({"from": {"id": one.id}, "to": {"id": other.id}, "types": types})
    return _post("associations", f"/crm/associations/{V}/contacts/companies/batch/create", {"inputs": inputs}, made, texts(body), 201)


def _not_linked(body: Any, made: Furnished) -> Replay:
    types, id_ = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 449}], "211762804612"
    made.record(_kind("contacts"), id_)
    bad = body["errors"][0]["context"]["id"][0]
    inputs = [{"from": {"id": id_}, "to": {"id": other}, "types": types} for other in (bad, id_)]
    return _post("associations", f"/crm/associations/{V}/contacts/contacts/batch/create", {"inputs": inputs}, made, body, 207)


MAKERS: dict[str, Maker] = {
    "contact-to-company-resp.json": _linked,
    "err-contact-to-contact.json": _not_linked,
    "create/contacts/err-conflict.json": _conflict,
    "create/contacts/err-many-invalid-properties.json": _new,
    "create/contacts/err-partial-success.json": _partly_new,
    "update/contacts/err-duplicate-ids.json": _twice,
    "update/contacts/err-partial-success.json": _updated,
    "update/contacts/success.json": _updated,
    "1-read-property-group.json": _group,
    "5-response-update-property-age.json": _redefined,
    "metadata-contacts-properties-sampled.json": _definitions("contacts", "properties"),
    "metadata-deals-properties-sampled.json": _definitions("deals", "properties"),
    "metadata-deals-external-pipelines.json": _definitions("deals", "pipelines"),
    "metadata-err-schemas-scope.json": _refused,
    "account-info.json": _account,
    "objects-api/contacts-response.json": _listed("contacts", "email"),
    "contacts-to-companies.json": _links,
    "error-invalid-object.json": _butterflies,
    "#mock_companies_data": _listed("companies"),
    "#mock_contacts_data": _listed("contacts"),
    "#mock_deals_data": _listed("deals"),
    "#mock_products_data": _listed("products"),
    "#mock_tickets_data": _listed("tickets"),
    "#mock_contacts_with_history": _history,
}


def of_body(recorded: Recorded) -> Replay | str:
    """The request for a recorded body, or the reason why there is none."""
    for ending, reason in LEFT_OUT.items():
        if recorded.file.endswith(ending):
            return reason
    make = next((make for ending, make in MAKERS.items() if recorded.file.endswith(ending)), None)
    if make is None:
        return f"not known what {recorded.file} answers"
    made = Furnished()
    return make(recorded.body, made)
