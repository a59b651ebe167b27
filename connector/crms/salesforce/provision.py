"""Salesforce's side of provisioning: what is there, what a deployment would bring, the deployment, the permission set's assignment.

An administrator's token, given for one command, opens a transport of its own and is kept nowhere. Without one the connection's own user looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from connector.clock import Clock
from connector.crms.base import Meter
from connector.crms.provisioning import Identity, ObjectSpec, Observed, Piece, ProvisionResult, Seen, Wanted
from connector.crms.salesforce import bundle, extras, lint, schema, soql
from connector.crms.salesforce.deploy import RIGHTS, deploy
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.transport import Client
from connector.errors import Blocked, CrmConfigError, MissingScope

T = TypeVar("T")
KINDS = {
    "string": "text", "double": "number", "int": "number", "percent": "percent", "currency": "money", "date": "date", "datetime": "datetime",
    "picklist": "picklist", "boolean": "boolean", "reference": "lookup",
}  # fmt: skip
SET_IDS = f"SELECT Id, Name, Description FROM PermissionSet WHERE Name IN ('{extras.INTEGRATION}', '{extras.READER}')"
PIECES: Mapping[str, tuple[str, ...]] = {
    "ListView": ("SobjectType", "DeveloperName"), "CompactLayout": ("SobjectType", "DeveloperName"), "CustomPermission": ("DeveloperName",),
    "Report": ("DeveloperName",), "LightningComponentBundle": ("DeveloperName",),
}  # fmt: skip
"""Kind of component, by which queries call it too → the columns that make its name."""
TOOLED = frozenset({"CompactLayout", "LightningComponentBundle"})
FOLDERS = "SELECT DeveloperName FROM Folder WHERE Type = 'Report' AND DeveloperName LIKE 'KPI%'"
SOURCES = "SELECT FilePath, Source FROM LightningComponentResource WHERE LightningComponentBundle.DeveloperName ="
RIGHTS_OF = (
    "PermissionsCreate", "PermissionsRead", "PermissionsEdit", "PermissionsDelete", "PermissionsViewAllRecords", "PermissionsModifyAllRecords",
)  # fmt: skip
CUSTOM_FIELDS = "SELECT DeveloperName FROM CustomField WHERE EntityDefinition.QualifiedApiName = {}"
GRANTED_FIELDS = "SELECT Field FROM FieldPermissions WHERE SobjectType = {} AND PermissionsRead = true"


class SalesforceProvisioner:
    """Provisioning of one org. ``token``: an administrator's access token; None: the connection's own sign-in, which may only look."""

    by_hand = "let an administrator place the section KPI Scorecard on the record page and assign KPI_Scorecard_Reader to the reps"

    def __init__(self, settings: SalesforceSettings, clock: Clock, token: str | None = None) -> None:
        self.meter = Meter()
        used = settings if token is None else replace(settings, flow="given", access_token=token, refresh_tokens=None)
        self._client = Client(used, clock, self.meter)
        self._version = settings.api_version
        self._admin = token is not None

    def whoami(self) -> Identity:
        told = self._client.get("/services/oauth2/userinfo", holds=lambda answer: isinstance(answer, dict) and "user_id" in answer)
        rows = schema.all_rows(self._client, "SELECT Id, Name, IsSandbox FROM Organization")
        org = rows[0] if rows else {"Id": told.get("organization_id", ""), "Name": "", "IsSandbox": None}
        name = str(told.get("preferred_username") or told.get("name") or told["user_id"])
        production = None if org["IsSandbox"] is None else not org["IsSandbox"]
        return Identity(soql.to18(told["user_id"]), name, soql.to18(str(org["Id"])), str(org["Name"]), production)

    def fitting(self, wanted: Wanted) -> Wanted:
        return wanted

    # -- looking -----------------------------------------------------------------------------------------------------

    def observe(self, wanted: Wanted) -> dict[str, Observed]:
        return {spec.name: self._observed(spec) for spec in wanted.objects}

    def _observed(self, spec: ObjectSpec) -> Observed:
        try:
            told = self._client.get(f"sobjects/{soql.name(spec.name)}/describe", holds=lambda answer: isinstance(answer, dict) and "fields" in answer)
        except CrmConfigError as error:
            if not error.message.startswith(("NOT_FOUND", "HTTP 404", "INVALID_TYPE")):
                raise
            return Observed(False, {}, there=self._there(spec))
        placed, pages = self._placed(spec) if not spec.own else (None, ())
        seen = {f["name"]: _seen(f) for f in told["fields"]}
        return Observed(True, seen, self._there(spec), placed, pages, self._quota(spec))

    def _there(self, spec: ObjectSpec) -> frozenset[str] | None:
        """Custom fields that there are, whoever may see them; set-up is an administrator's to read. Where the list of fields itself is not
        shown: those that some permission set or profile names.
        """
        if not self._admin:
            return None
        whole = self._may(lambda: self._tooling(CUSTOM_FIELDS.format(soql.literal(spec.name))))
        if whole is not None:
            return frozenset(f"{row['DeveloperName']}__c" for row in whole)
        granted = self._may(lambda: schema.all_rows(self._client, GRANTED_FIELDS.format(soql.literal(spec.name))))
        return None if granted is None else frozenset(str(row["Field"]).partition(".")[2] for row in granted)

    def _quota(self, spec: ObjectSpec) -> int | None:
        query = f"SELECT Remaining FROM EntityLimit WHERE EntityDefinition.QualifiedApiName = {soql.literal(spec.name)} AND Type = 'CustomFields'"
        found = self._may(lambda: self._tooling(query))
        return int(found[0]["Remaining"]) if found and found[0].get("Remaining") is not None else None

    def _placed(self, spec: ObjectSpec) -> tuple[frozenset[str] | None, tuple[str, ...]]:
        """(fields on the page layouts that are assigned to this user, record pages that layouts say nothing about)."""
        told = self._may(lambda: self._client.get(f"sobjects/{soql.name(spec.name)}/describe/layouts"))
        if not isinstance(told, dict):
            return None, ()
        layouts = told.get("layouts") or self._by_record_type(spec, told)
        if not layouts:
            return None, ()
        query = f"SELECT MasterLabel FROM FlexiPage WHERE EntityDefinition.QualifiedApiName = {soql.literal(spec.name)} AND Type = 'RecordPage'"
        pages = (self._may(lambda: self._tooling(query)) if self._admin else None) or []
        return frozenset(_on(layouts)), tuple(sorted(str(page["MasterLabel"]) for page in pages))

    def _by_record_type(self, spec: ObjectSpec, told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """An object with record types answers with their list; each has its layout at an address of its own."""
        found: list[Mapping[str, Any]] = []
        for mapping in told.get("recordTypeMappings") or ():
            layout = self._may(partial(self._client.get, f"sobjects/{soql.name(spec.name)}/describe/layouts/{mapping['recordTypeId']}"))
            found += [layout] if isinstance(layout, dict) else []
        return found

    def _tooling(self, query: str) -> list[dict[str, Any]]:
        return list(self._client.page("tooling/query", params={"q": query})["records"])

    def _may(self, look: Callable[[], T]) -> T | None:
        """What is there to be seen; None where this org or this user does not show it."""
        try:
            return look()
        except (CrmConfigError, MissingScope):
            return None

    # -- beside the fields -------------------------------------------------------------------------------------------

    def pieces(self, wanted: Wanted, user_id: str) -> Sequence[Piece]:
        """The permission sets, who has them, and the rest by the mark that the sets bear."""
        sets = self._may(lambda: schema.all_rows(self._client, SET_IDS)) if self._admin else None
        if sets is None:
            return [Piece("permission set", name, None, "an administrator's token is needed to see it") for name in extras.SETS]
        held = {row["Name"]: row for row in sets}
        pieces = [self._set(wanted, name, held.get(name)) for name in extras.SETS]
        if extras.INTEGRATION in held:
            assigned = self._assigned(str(held[extras.INTEGRATION]["Id"]), user_id)
            said = "" if assigned else "not assigned to the connection's user"
            pieces.append(Piece("assignment", extras.INTEGRATION, "ok" if assigned else "create", said))
        else:
            pieces.append(Piece("assignment", extras.INTEGRATION, "create", "not assigned to the connection's user"))
        marks = bundle.marks_of(held.get(extras.INTEGRATION, {}).get("Description"))
        there = {kind: self._members(kind) for kind in bundle.MARKED}
        return [
            *pieces,
            *(self._part(part, marks, there[part.kind]) for part in bundle.components(wanted, self._version) if part.kind in bundle.MARKED),
        ]

    def _part(self, part: bundle.Component, marks: frozenset[str], there: frozenset[str] | None) -> Piece:
        """One component: whether it is there, and whether it is what would be deployed now. ``there``: None: the org does not tell."""
        name = part.member.rpartition("/")[2] if part.kind == "Report" else part.member
        missing = not marks if there is None else name not in there
        if missing:
            return Piece(part.kind, part.member, "create", "deleted since it was deployed" if bundle.mark(part) in marks else "")
        if bundle.mark(part) not in marks:
            return Piece(part.kind, part.member, "change", "another version was deployed")
        edited = self._edited(part) if part.kind == "LightningComponentBundle" else None
        return Piece(part.kind, part.member, "change", f"{edited} was edited in the org") if edited else Piece(part.kind, part.member, "ok")

    def _members(self, kind: str) -> frozenset[str] | None:
        """Names of the components of a kind that there are, as package.xml has them (of reports without the folder, which queries call by its
        label); None where the org does not tell, as it never does of report types."""
        if kind not in PIECES:
            return None
        columns = PIECES[kind]
        query = f"SELECT {', '.join(columns)} FROM {kind} WHERE DeveloperName LIKE 'KPI%'"
        read = partial(self._tooling, query) if kind in TOOLED else partial(schema.all_rows, self._client, query)
        found = self._may(lambda: list(read()))
        names = None if found is None else {".".join(str(row[column]) for column in columns) for row in found}
        if kind == "Report" and names is not None:
            folders = self._may(lambda: list(schema.all_rows(self._client, FOLDERS)))
            names |= {str(row["DeveloperName"]) for row in folders or ()}
        return None if names is None else frozenset(names)

    def _edited(self, part: bundle.Component) -> str | None:
        """The first file of the card that is not as it was deployed; its settings are rewritten by the platform and not compared."""
        rows = self._may(lambda: self._tooling(f"{SOURCES} {soql.literal(part.member)}"))
        held = {str(row["FilePath"]): str(row["Source"]) for row in rows or ()}
        wants = {path: text for path, text in part.metadata.items() if path.endswith((".js", ".html"))}
        return next((path for path, text in wants.items() if path in held and held[path].split() != text.split()), None)

    def _set(self, wanted: Wanted, name: str, row: Mapping[str, Any] | None) -> Piece:
        """A permission set against the field permissions it should hold, no more and no less."""
        if row is None:
            return Piece("permission set", name, "create")
        query = f"SELECT Field, PermissionsRead, PermissionsEdit FROM FieldPermissions WHERE ParentId = {soql.literal(str(row['Id']))}"
        found = self._may(lambda: schema.all_rows(self._client, query))
        if found is None:
            return Piece("permission set", name, None, "its field permissions cannot be read")
        held = {str(f["Field"]): bool(f["PermissionsEdit"]) for f in found if f["PermissionsRead"]}
        wants = dict(next(s for s in extras.permission_sets(wanted) if s.name == name).fields)
        differs = sorted(field for field in held.keys() | wants.keys() if held.get(field) != wants.get(field))
        differs += self._rights(wanted, name, str(row["Id"]))
        if not differs:
            return Piece("permission set", name, "ok")
        more = f" and {len(differs) - 3} more" if len(differs) > 3 else ""
        return Piece("permission set", name, "change", f"differs in {', '.join(differs[:3])}{more}")

    def _rights(self, wanted: Wanted, name: str, set_id: str) -> list[str]:
        """Objects on which the set allows something else than it should; none where its object permissions cannot be read."""
        query = f"SELECT SobjectType, {', '.join(RIGHTS_OF)} FROM ObjectPermissions WHERE ParentId = {soql.literal(set_id)}"
        found = self._may(lambda: list(schema.all_rows(self._client, query)))
        if found is None:
            return []
        held = {str(row["SobjectType"]): tuple(bool(row[column]) for column in RIGHTS_OF) for row in found}
        set_ = next(s for s in extras.permission_sets(wanted) if s.name == name)
        wants = {access.name: (access.create, True, access.edit, access.delete, access.all, False) for access in set_.objects}
        return sorted(object_ for object_ in held.keys() | wants.keys() if held.get(object_) != wants.get(object_))

    def _assigned(self, set_id: str, user_id: str) -> bool:
        query = f"SELECT Id FROM PermissionSetAssignment WHERE PermissionSetId = {soql.literal(set_id)} AND AssigneeId = {soql.literal(user_id)}"
        return bool(self._may(lambda: schema.all_rows(self._client, query)))

    # -- doing -------------------------------------------------------------------------------------------------------

    def provision(self, wanted: Wanted, *, check_only: bool) -> ProvisionResult:
        """Raises Blocked (SC-E150) for a bundle that an org would refuse, MissingScope where the token may not deploy."""
        files = bundle.metadata_files(wanted, self._version)
        found = lint.problems(wanted, files, wanted.reads)
        if found:
            raise Blocked(f"the bundle is not sent: {found[0]}", code="SC-E150", next_step="correct the mapping, or report it")
        try:
            return deploy(self._client, bundle.zipped(files), check_only=check_only)
        except MissingScope as error:
            raise MissingScope(f"the token may not deploy metadata ({error.message})", next_step=RIGHTS) from None

    def admit(self, user_id: str) -> bool:
        sets = {row["Name"]: row for row in schema.all_rows(self._client, SET_IDS)}
        if extras.INTEGRATION not in sets:
            raise CrmConfigError(f"the org has no permission set {extras.INTEGRATION}", code="SC-E153")
        set_id = str(sets[extras.INTEGRATION]["Id"])
        if self._assigned(set_id, user_id):
            return False
        body = {"AssigneeId": user_id, "PermissionSetId": set_id}
        self._client.json("POST", "sobjects/PermissionSetAssignment", json=body, writing=True)
        return True

    def close(self) -> None:
        self._client.close()


def _on(layouts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Names of the fields that stand on page layouts."""
    for layout in layouts:
        for section in layout.get("detailLayoutSections") or ():
            for row in section.get("layoutRows") or ():
                for item in row.get("layoutItems") or ():
                    for part in item.get("layoutComponents") or ():
                        if part.get("type") == "Field":
                            yield str(part.get("value"))


def _seen(told: Mapping[str, Any]) -> Seen:
    """One entry of describe's ``fields``."""
    return Seen(
        name=told["name"], type=KINDS.get(told["type"], told["type"]), editable=bool(told.get("updateable")), calculated=bool(told.get("calculated")),
        label=told.get("label") or "", length=told.get("length") or 0, precision=told.get("precision") or 0, scale=told.get("scale") or 0,
        options=tuple(o["value"] for o in told.get("picklistValues") or () if o.get("active", True)), restricted=bool(told.get("restrictedPicklist")),
        formula=told.get("calculatedFormula"), help=told.get("inlineHelpText"),
    )  # fmt: skip
