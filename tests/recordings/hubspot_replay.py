"""A recorded HubSpot exchange as a request to the sandbox: the dated path, the portal it needs, and its answer in the old shape's words.

Older paths are translated with the differences that are documented: ids of associations are texts in the dated versions, a contact of v1
is a record with epoch stamps and ``{"value": …}`` for each property, v1's createOrUpdate is a batch/upsert.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from connector.sandbox.clock import VirtualClock
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import ADMIN, Record, millis, parse_stamp, stamp
from connector.sandbox.hubspot.schema import ObjectType, object_type
from connector.sandbox.hubspot.setup import Owner
from tests.recordings.comparison import Recorded

V = "2026-03"
BEGIN = datetime(2021, 1, 4, 9, 0, 0, 123_000, UTC)
OAUTH_FOLDERS = frozenset({"grouparoo-hubspot", "nango-hubspot-2026"})
OLD_PATHS = (
    (re.compile(r"/crm/v3/objects/(.+)"), rf"/crm/objects/{V}/\1"),
    (re.compile(r"/crm/v4/objects/(.+)"), rf"/crm/objects/{V}/\1"),
    (re.compile(r"/crm/v[34]/associations/(.+)"), rf"/crm/associations/{V}/\1"),
    (re.compile(r"/crm/v3/(properties|pipelines)/(.+)"), rf"/crm/\1/{V}/\2"),
    (re.compile(r"/account-info/v3/(.+)"), rf"/account-info/{V}/\1"),
    (re.compile(r"/integrations/v1/me"), f"/account-info/{V}/details"),
)
RECORD = re.compile(rf"/crm/objects/{V}/([^/]+)(?:/([^/]+))?(?:/([^/]+))?")


@dataclass
class Replay:
    """``expected``: the recorded body in the dated shape; ``kind``: what the pair is counted as."""

    portal: Portal
    method: str
    path: str
    kind: str
    expected: Any
    body: Any = None
    query: list[tuple[str, str]] = field(default_factory=list)
    oauth: bool = False
    status: int | None = None


def dated(path: str) -> str | None:
    """The dated path of an older one; None if there is none that the sandbox serves."""
    return next((form.sub(new, path) for form, new in OLD_PATHS if form.fullmatch(path)), None)


class Furnished:
    """A portal that holds what a recording shows: its records under their ids, with their values, and the properties it knew."""

    def __init__(self) -> None:
        self.portal = Portal(VirtualClock(BEGIN))
        self.portal.limits.monotonic = lambda: 0.0

    def know(self, kind: ObjectType, names: Any, types: dict[str, str] | None = None) -> None:
        """Properties that only the recorded portal had; a name says what it is where no type is given."""
        for name in names:
            if name not in self.portal.properties[kind.name]:
                guessed = next((one for one in ("date", "number") if name.startswith(one)), "string")
                self.portal.define_property(kind.name, name, (types or {}).get(name, guessed))

    def at(self, text: str | None) -> None:
        if text:
            self.portal.clock.advance_to(datetime.fromtimestamp(parse_stamp(text) / 1000, UTC))

    def record(self, kind: ObjectType, id_: str, values: dict[str, Any] | None = None) -> Record:
        """A record under its recorded id; null values are not set. One that is there already stays."""
        number = int(id_)
        if number in self.portal.records[kind.name]:
            return self.portal.records[kind.name][number]
        kept = {name: str(value) for name, value in (values or {}).items() if value is not None and name not in (kind.modified, "hs_object_id")}
        self.know(kind, kept)
        self.portal.next_id[kind.name] = number
        made = self.portal.create(kind.name, {name: value for name, value in kept.items() if value != ""})
        for name, value in kept.items():
            if value == "":  # cleared at some time
                made.put(name, "", made.stamp, ADMIN)
        self.portal.live[kind.name].sort()
        return made

    def rows(self, kind: ObjectType, rows: list[dict[str, Any]]) -> list[Record]:
        """Recorded records, in the order in which they were last changed."""
        made = []
        for row in sorted(rows, key=lambda row: parse_stamp(row["updatedAt"])):
            self.at(row["updatedAt"])
            made.append(self.record(kind, row["id"], {kind.created: row["createdAt"]} | row["properties"]))
        return made

    def ghosts(self, kind: ObjectType, count: int, values: dict[str, str]) -> None:
        """Records that the index still counts although they are gone."""
        self.portal.index_lag = 60
        made = [self.portal.create(kind.name, values) for _ in range(count)]
        self.portal.clock.advance_to(self.portal.clock.now + timedelta(seconds=61))
        for record in made:
            self.portal.archive(record)

    def owner(self, id_: str) -> None:
        number = int(id_)
        self.portal.owners[str(number)] = Owner(number, number % 10**8, "Owner", "One", "owner@example.com", self.portal.now, self.portal.now)


# -- v1 ------------------------------------------------------------------------------------------------------------------

CONTACTS = object_type("contacts")
COMPANIES = object_type("companies")
assert CONTACTS is not None
assert COMPANIES is not None
INSTANTS = frozenset({"createdate", "lastmodifieddate", "hs_lifecyclestage_subscriber_date", "closedate", "hs_analytics_first_timestamp"})
DAYS = frozenset({"date_field"})


def contact_of_v1(body: dict[str, Any]) -> dict[str, Any]:
    """A v1 profile as a dated record: ``vid`` is the id, stamps are ISO."""
    values = {name: held["value"] for name, held in body["properties"].items()}
    for name in INSTANTS & set(values):
        values[name] = stamp(int(values[name])) if values[name] else ""
    for name in DAYS & set(values):
        values[name] = stamp(int(values[name]))[:10] if values[name] else ""
    stamps = {"createdAt": values["createdate"], "updatedAt": values["lastmodifieddate"], "archived": False}
    return {"id": str(body["vid"]), "properties": values} | stamps


def of_v1(recorded: Recorded, made: Furnished) -> Replay | str:
    """A replay of a v1 exchange, or the reason why there is none."""
    parts = recorded.path.strip("/").split("/")
    if parts[0] == "contacts" and parts[2] == "lists":
        return "contact lists of v1: lists are not served"
    if parts[0] == "crm-associations":
        return _links_of_v1(recorded, made, parts)
    if recorded.method == "DELETE":
        return "v1 answers an archive with 200 and a body, the dated version with an empty 204"
    if recorded.method == "POST":
        return _upsert(recorded, made, parts[5])
    email = parts[4]
    path = f"/crm/objects/{V}/contacts/{quote(email)}"
    if recorded.status == 404:
        query = [("idProperty", "email")]
        return Replay(made.portal, "GET", path, "v1 contact by e-mail: 404 (status and headers)", None, query=query)
    row = contact_of_v1(recorded.body)
    made.know(CONTACTS, row["properties"], dict.fromkeys(DAYS, "date"))
    made.rows(CONTACTS, [row])
    query = [("idProperty", "email"), ("properties", ",".join(row["properties"]))]
    return Replay(made.portal, "GET", path, "v1 contact by e-mail", row, query=query)


def _upsert(recorded: Recorded, made: Furnished, email: str) -> Replay:
    values = {one["property"]: one["value"] for one in recorded.request["properties"]}
    made.know(CONTACTS, values, dict.fromkeys(DAYS, "date"))
    if recorded.status == 200 and not recorded.body["isNew"]:
        made.record(CONTACTS, str(recorded.body["vid"]), {"email": email})
    email = values.pop("email")
    body = {"inputs": [{"id": email, "idProperty": "email", "properties": values}]}
    return Replay(made.portal, "POST", f"/crm/objects/{V}/contacts/batch/upsert", "v1 createOrUpdate", recorded.body, body)


def _links_of_v1(recorded: Recorded, made: Furnished, parts: list[str]) -> Replay | str:
    if recorded.method == "GET":
        contact = made.record(CONTACTS, parts[3], {})
        for id_ in recorded.body["results"]:
            made.portal.associate(contact, made.record(COMPANIES, str(id_)), "Primary")
        path = f"/crm/objects/{V}/contacts/{contact.id}/associations/companies"
        return Replay(made.portal, "GET", path, "v1 associations", [str(id_) for id_ in recorded.body["results"]])
    if not recorded.path.endswith("/delete"):
        return "v1 answers a new association with an empty 204, the dated version with 201 and a body"
    given = recorded.request
    contact, company = made.record(CONTACTS, str(given["fromObjectId"])), made.record(COMPANIES, given["toObjectId"])
    made.portal.associate(contact, company, "Primary")
    body = {"inputs": [{"from": {"id": contact.id}, "to": [{"id": company.id}]}]}
    return Replay(made.portal, "POST", f"/crm/associations/{V}/contacts/companies/batch/archive", "v1 associations", "", body)


# -- v3, v4 --------------------------------------------------------------------------------------------------------------


def texts(body: Any) -> Any:
    """Ids of associations are numbers in v4 and texts in the dated versions."""
    if isinstance(body, dict):
        return {key: str(value) if key in ("toObjectId", "fromObjectId") and isinstance(value, int) else texts(value) for key, value in body.items()}
    return [texts(one) for one in body] if isinstance(body, list) else body


def replay(recorded: Recorded) -> Replay | str:
    """The request that a recorded one becomes, with the portal for it; or the reason why it is left out."""
    if recorded.handmade:
        return "written by hand by its authors: proves nothing"
    made = Furnished()
    path = dated(recorded.path)
    if path is None:
        if recorded.path.startswith("/crm/v3/schemas"):
            return "schemas of custom objects are not served"
        found = of_v1(recorded, made)
    elif path.startswith(f"/crm/objects/{V}"):
        found = _of_objects(recorded, made, path)
    elif path.startswith(f"/crm/associations/{V}"):
        found = _of_links(recorded, made, path)
    else:
        found = _of_settings(recorded, made, path)
    if isinstance(found, Replay):
        found.oauth = recorded.folder in OAUTH_FOLDERS
        found.query = found.query or list(recorded.query)
        made.at(stamp(millis(made.portal.clock.now) + 1000))
    return found


def _of_settings(recorded: Recorded, made: Furnished, path: str) -> Replay:
    expected = recorded.body
    if recorded.path.startswith("/integrations"):
        expected = {"companyCurrency": expected["currency"]} | {key: value for key, value in expected.items() if key != "currency"}
    return Replay(made.portal, recorded.method, path, "account, properties, pipelines", expected, recorded.request)


def _of_links(recorded: Recorded, made: Furnished, path: str) -> Replay:
    kinds = [object_type(word) for word in path.split("/")[4:6]]
    assert kinds[0] is not None
    assert kinds[1] is not None
    body = recorded.request
    if "type" in body["inputs"][0]:  # v3 names the type, the dated version wants its id
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]
        body = {"inputs": [{"from": one["from"], "to": one["to"], "types": types} for one in body["inputs"]]}
    wrong = {word for error in (recorded.body or {}).get("errors", ()) for word in re.findall(r"\d+", error["message"])} if recorded.body else set()
    for one in body["inputs"]:
        ends = [(kinds[0], one["from"]), *((kinds[1], to) for to in (one["to"] if isinstance(one["to"], list) else [one["to"]]))]
        records = [made.record(kind, str(end["id"])) for kind, end in ends if str(end["id"]) not in wrong | {"1234"}]
        for other in records[1:] if path.endswith("archive") else ():
            made.portal.associate(records[0], other)
    return Replay(made.portal, "POST", path, "v3 and v4 associations", texts(recorded.body), body)


def _of_objects(recorded: Recorded, made: Furnished, path: str) -> Replay | str:
    match = RECORD.match(path)
    kind = object_type(match[1]) if match else None
    if match is None or kind is None:
        return f"objects of a kind that is not served: {path}"
    what, act = match[2], match[3]
    if what == "search":
        return _search(recorded, made, path, kind)
    if act == "associations" and recorded.method == "PUT":
        return "v3 answers a link with the record, the dated version with the frame of a batch"
    if act == "associations":
        return _links_of(recorded, made, path, kind)
    asked = [name for key, text in recorded.query if key == "properties" for name in text.split(",")]
    body = recorded.body
    rows = [] if not isinstance(body, dict) or "message" in body else body.get("results", [body])
    made.know(kind, [name for row in rows for name in row["properties"] if name in asked or recorded.method == "PATCH"])
    if recorded.method == "GET":
        made.rows(kind, rows)
        linked_inline(made, rows)
        if isinstance(body, dict) and "paging" in body:
            made.record(kind, body["paging"]["next"]["after"])
        return Replay(made.portal, "GET", path, "v3 read", body)
    return _write(recorded, made, path, kind, rows)


def _write(recorded: Recorded, made: Furnished, path: str, kind: ObjectType, rows: list[dict[str, Any]]) -> Replay:
    request = recorded.request
    inputs = request["inputs"] if isinstance(request, dict) and "inputs" in request else [request] if isinstance(request, dict) else []
    sent = {name: value for one in inputs for name, value in (one.get("properties") or {}).items()}
    made.know(kind, sent)
    if "hubspot_owner_id" in sent:
        made.owner(str(sent["hubspot_owner_id"]))
    if recorded.method == "PATCH" or path.endswith("batch/update"):
        for row in rows:  # as it stood before: with other values
            made.at(row["createdAt"])
            before = dict.fromkeys(sent, "")
            made.record(kind, row["id"], {kind.created: row["createdAt"]} | before)
    elif path.endswith("archive"):
        for one in inputs:
            made.record(kind, one["id"])
    elif recorded.method == "DELETE":
        made.record(kind, path.rpartition("/")[2])
    for one in inputs:
        for link in one.get("associations") or ():
            _other_end(made, kind, link)
    return Replay(made.portal, recorded.method, path, "v3 write", recorded.body, request)


def _other_end(made: Furnished, kind: ObjectType, link: dict[str, Any]) -> None:
    wanted = link["types"][0]["associationTypeId"]
    offered = made.portal.associations.labels
    to = next(pair[1] for pair, labels in offered.items() if pair[0] == kind.name and any(label.type_id == wanted for label in labels))
    other = object_type(to)
    assert other is not None
    made.record(other, str(link["to"]["id"]))


def linked_inline(made: Furnished, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for name, held in row.get("associations", {}).items():
            other = object_type(name)
            assert other is not None
            for link in held["results"]:
                kind = object_type(link["type"].split("_")[0])
                assert kind is not None
                made.portal.associate(made.record(kind, row["id"]), made.record(other, link["id"]))


def _links_of(recorded: Recorded, made: Furnished, path: str, kind: ObjectType) -> Replay:
    parts = path.split("/")
    other = object_type(parts[7])
    assert other is not None
    one = made.record(kind, parts[5])
    for row in recorded.body["results"]:
        made.portal.associate(one, made.record(other, str(row["toObjectId"])))
    return Replay(made.portal, "GET", path, "v3 and v4 associations", texts(recorded.body))


def _by_old_value(rows: list[dict[str, Any]], filters: list[dict[str, Any]]) -> bool:
    """True where a result does not have the value that was searched for: the index still knew an older one."""
    if len(rows) != 1 or len(filters) != 1 or filters[0]["propertyName"].startswith("associations."):
        return False
    return bool(rows[0]["properties"].get(filters[0]["propertyName"]) != filters[0]["value"])


def _stale(made: Furnished, kind: ObjectType, row: dict[str, Any], given: dict[str, Any]) -> list[Record]:
    made.portal.index_lag, made.portal.index_hydrates = 60, True
    made.at(row["createdAt"])
    values = {name: value for name, value in row["properties"].items() if value is not None and name not in (kind.modified, "hs_object_id")}
    record = made.record(kind, row["id"], values | {given["propertyName"]: given["value"]})
    made.at(row["updatedAt"])
    made.portal.update(record, {given["propertyName"]: values[given["propertyName"]]})
    return [record]


def _search(recorded: Recorded, made: Furnished, path: str, kind: ObjectType) -> Replay:
    request, body = recorded.request, recorded.body
    if recorded.status == 429:
        for _ in range(made.portal.limits.searches_a_second):
            made.portal.limits.take(search=True, oauth=True, now=made.portal.clock.now)
        return Replay(made.portal, "POST", path, "search: 429", body, request)
    rows = body["results"]
    # A property that was asked for and did not come is one the portal does not have.
    made.know(kind, [name for row in rows for name in row["properties"]])
    filters = [one for group in request.get("filterGroups", [request]) for one in group.get("filters", ())]
    more = body["total"] - len(rows)
    contact = next((one for one in filters if one["propertyName"] == "associations.contact"), None)
    before = int(request.get("after") or 0)  # the newest come first there
    others = made.portal.create_many(kind.name, [{} for _ in range(more - before)]) if contact else []
    found = _stale(made, kind, rows[0], filters[0]) if _by_old_value(rows, filters) else made.rows(kind, rows)
    made.portal.next_id[kind.name] = max([*made.portal.live[kind.name], 1]) + 1
    if contact is not None:
        made.portal.clock.advance_to(made.portal.clock.now + timedelta(seconds=1))
        others += made.portal.create_many(kind.name, [{} for _ in range(before)])
        for record in [*found, *others]:
            made.portal.associate(record, made.record(CONTACTS, str(contact["value"])))
    elif "paging" in body:
        made.portal.create_many(kind.name, [{} for _ in range(more)])
    elif more:
        made.ghosts(kind, more, {filters[0]["propertyName"]: filters[0]["value"]})
    return Replay(made.portal, "POST", path, "search", body, request)
