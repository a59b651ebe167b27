"""The deployRequest resource: a zip is taken, looked at after some polls, and committed as a whole, in part, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from connector.sandbox.salesforce.frames import ApiError, not_found, read_json
from connector.sandbox.salesforce.gate import Call, Handler, Reply
from connector.sandbox.salesforce.ids import full_id, new_id
from connector.sandbox.salesforce.metadata import fields, objects, pages, permissions, reports
from connector.sandbox.salesforce.metadata.draft import Commit, Draft, Refused
from connector.sandbox.salesforce.metadata.package import LARGEST, Component, Package, Problem, read
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.rows import stamp

PENDING, RUNNING, SUCCEEDED, PARTIAL, FAILED, CANCELED = "Pending", "InProgress", "Succeeded", "SucceededPartial", "Failed", "Canceled"
MAY_DEPLOY = frozenset({"ModifyMetadata", "ModifyAllData"})
SETS_UP = "CustomizeApplication"
REFUSED = "INSUFFICIENT_ACCESS: use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions"
POLLS = 2
"""Looks at a deployment before it is done."""
OPTIONS: Mapping[str, Any] = {
    "allowMissingFiles": False, "autoUpdatePackage": False, "checkOnly": False, "ignoreWarnings": False, "performRetrieve": False,
    "purgeOnDelete": False, "rollbackOnError": True, "runTests": None, "singlePackage": True, "testLevel": None,
}  # fmt: skip
Check = Callable[[Draft, Component], Commit]
CHECKS: Mapping[str, Check] = {
    "CustomObject": objects.custom_object, "CustomField": fields.field, "CustomPermission": permissions.custom_permission,
    "ValidationRule": objects.validation_rule, "ListView": pages.list_view, "CompactLayout": pages.compact_layout,
    "LightningComponentBundle": pages.bundle, "PermissionSet": permissions.permission_set, "ReportType": reports.report_type,
    "Report": reports.folder_or_report, "Dashboard": reports.folder_or_dashboard,
}  # fmt: skip
"""Type → its check, in the order in which an org takes the types up."""


@dataclass
class Deployment:
    """One request. ``done``: component → its row of the answer; ``failures``: rows of componentFailures."""

    id: str
    by: str
    options: dict[str, Any]
    content: bytes
    made_at: datetime
    status: str = PENDING
    polls: int = 0
    began_at: datetime | None = None
    ended_at: datetime | None = None
    successes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    canceled_by: str = ""

    @property
    def over(self) -> bool:
        return self.status not in (PENDING, RUNNING)


def handlers(data: str) -> dict[str, dict[str, Handler]]:
    """Paths below ``data`` and what serves them."""
    return {
        f"{data}/metadata/deployRequest": {"POST": create},
        f"{data}/metadata/deployRequest/{{id}}": {"GET": status, "PATCH": cancel},
    }


async def create(call: Call) -> Reply:
    _allowed(call)
    options, content = await _parts(call.request)
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{unknown[0]}" in deployOptions')
    org = call.org
    found = Deployment(new_id("0Af", len(org.deployments) + 1), call.user, {**OPTIONS, **options}, content, org.clock.now)
    org.deployments[found.id] = found
    return Reply(_shown(call, found, details=False) | {"deployOptions": found.options}, 201)


async def status(call: Call) -> Reply:
    _allowed(call)
    found = _found(call)
    if not found.over:
        found.polls += 1
        found.began_at = found.began_at or call.org.clock.now
        if found.polls >= POLLS:
            run(call.org, found)
        else:
            found.status = RUNNING
    return Reply(_shown(call, found, details=call.request.query_params.get("includeDetails") == "true"))


async def cancel(call: Call) -> Reply:
    _allowed(call)
    found, body = _found(call), await read_json(call.request)
    wanted = body.get("deployResult") if isinstance(body, dict) else None
    if not isinstance(wanted, dict) or wanted.get("status") != "Canceling":
        raise ApiError(400, "INVALID_INPUT", "The status of a deployment can only be set to Canceling")
    if found.over:
        raise ApiError(400, "INVALID_ID_FIELD", f"Deployment already completed: {found.id}")
    found.status, found.canceled_by, found.ended_at = CANCELED, call.user, call.org.clock.now
    return Reply(_shown(call, found, details=False), 202)


def _allowed(call: Call) -> None:
    held = call.org.grants(call.user).permissions
    if not (held & MAY_DEPLOY and SETS_UP in held):
        raise ApiError(403, "INSUFFICIENT_ACCESS", REFUSED)


def _found(call: Call) -> Deployment:
    found: Deployment | None = call.org.deployments.get(full_id(str(call.request.path_params["id"])) or "")
    if found is None:
        raise not_found()
    return found


async def _parts(request: Request) -> tuple[dict[str, Any], bytes]:
    """The options and the zip of a multipart body. Raises ApiError."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be multipart/form-data")
    try:
        async with request.form(max_part_size=LARGEST) as form:
            held, sent = form.get("json"), form.get("file")
            text = await held.read() if isinstance(held, UploadFile) else str(held or "").encode()
            content = await sent.read() if isinstance(sent, UploadFile) else None
    except (MultiPartException, HTTPException) as problem:
        raise ApiError(400, "INVALID_MULTIPART_REQUEST", f"The multipart body cannot be read: {problem}") from None
    if content is None:
        raise ApiError(400, "INVALID_MULTIPART_REQUEST", "A part named file with the zip is required")
    if len(content) > LARGEST:
        raise ApiError(413, "REQUEST_ENTITY_TOO_LARGE", f"Maximum size of the zip is {LARGEST} bytes")
    try:
        options = orjson.loads(text)["deployOptions"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ApiError(400, "JSON_PARSER_ERROR", "The part named json must be an object with deployOptions") from None
    if not isinstance(options, dict):
        raise ApiError(400, "JSON_PARSER_ERROR", "deployOptions must be an object")
    return {name: {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value for name, value in options.items()}, content


# -- doing it ------------------------------------------------------------------------------------------------------------


def run(org: Org, found: Deployment) -> None:
    """Check every component, then commit what the options let stand."""
    org.clock.advance_to(org.clock.now + timedelta(seconds=1))
    package = read(found.content)
    draft = Draft(org, found.by)
    passed: list[tuple[Component, bool, Commit]] = []
    failures = list(package.problems)
    for component in _ordered(package):
        made = not draft.known(component)
        try:
            passed.append((component, made, CHECKS[component.type](draft, component)))
        except Refused as refused:
            at = refused.at or component.node
            failures.append(Problem(refused.message, component.file, component.type, component.name, at.line, at.column))
    errors = [problem for problem in failures if problem.kind == "Error" or not found.options["ignoreWarnings"]]
    found.total = len(passed) + len(failures)
    found.failures = [_failure(org, problem) for problem in failures]
    stands = not errors or not found.options["rollbackOnError"]
    found.status = SUCCEEDED if not errors else PARTIAL if stands and passed else FAILED
    for component, made, commit in passed:
        key = commit() if stands and not found.options["checkOnly"] else ""
        found.successes.append(_success(org, component, made, key))
    found.ended_at = org.clock.now


def _ordered(package: Package) -> list[Component]:
    """Types in the order of CHECKS; folders before what lies in them, formulas after the fields that they read. What package.xml does
    not name, or names and cannot be read, has its failure already."""
    barred = {(problem.type, problem.name) for problem in package.problems}
    order = list(CHECKS)
    found = [each for each in package.components if each.key not in barred and (each.type != "CustomObject" or _whole(package, each))]
    found.sort(key=lambda each: (order.index(each.type), each.name.count("/")))
    plain = [each for each in found if each.type != "CustomField" or not fields.is_formula(each)]
    formulas = [each for each in found if each.type == "CustomField" and fields.is_formula(each)]
    after = next((at for at, each in enumerate(plain) if order.index(each.type) > order.index("CustomField")), len(plain))
    return [*plain[:after], *_by_need(formulas), *plain[after:]]


def _whole(package: Package, component: Component) -> bool:
    """An object that is deployed itself, not only a file that holds its parts."""
    return component.name in package.declared.get("CustomObject", ()) or "*" in package.declared.get("CustomObject", ())


def _by_need(formulas: list[Component]) -> list[Component]:
    """Formulas that are named in others come first; in a circle the order stays, and the checks find it."""
    waiting, out = list(formulas), list[Component]()
    while waiting:
        names = {each.name.split(".", 1)[1] for each in waiting}
        free = [each for each in waiting if not any(name in (each.node.get("formula") or "") for name in names - {each.name.split(".", 1)[1]})]
        out += free or waiting
        waiting = [each for each in waiting if each not in free] if free else []
    return out


# -- showing it ----------------------------------------------------------------------------------------------------------


def _success(org: Org, component: Component, made: bool, key: str) -> dict[str, Any]:
    return _message(org, component.type, component.name, component.file) | {
        "id": key or None, "success": True, "changed": not made, "created": made, "problem": None, "problemType": None,
    }  # fmt: skip


def _failure(org: Org, problem: Problem) -> dict[str, Any]:
    return _message(org, problem.type, problem.name, problem.file) | {
        "id": None, "success": False, "changed": False, "created": False, "problem": problem.message, "problemType": problem.kind,
        "lineNumber": problem.line, "columnNumber": problem.column,
    }  # fmt: skip


def _message(org: Org, kind: str, name: str, file: str) -> dict[str, Any]:
    return {
        "fullName": name, "componentType": kind, "fileName": file, "deleted": False, "warning": False, "knownPackagingProblem": False,
        "requiresProductionTestRun": False, "createdDate": stamp(org.clock.now),
    }  # fmt: skip


def _shown(call: Call, found: Deployment, *, details: bool) -> dict[str, Any]:
    def at(when: datetime | None) -> str | None:
        return None if when is None else stamp(when)

    def name(key: str) -> str | None:
        return (call.org.find(key) or {}).get("Name")

    result = {
        "id": found.id, "status": found.status, "done": found.over, "success": found.status == SUCCEEDED,
        "checkOnly": found.options["checkOnly"], "rollbackOnError": found.options["rollbackOnError"],
        "ignoreWarnings": found.options["ignoreWarnings"], "runTestsEnabled": False, "numberComponentsTotal": found.total,
        "numberComponentsDeployed": len(found.successes), "numberComponentErrors": len(found.failures), "numberTestsTotal": 0,
        "numberTestsCompleted": 0, "numberTestErrors": 0, "createdBy": found.by, "createdByName": name(found.by),
        "createdDate": at(found.made_at), "startDate": at(found.began_at), "completedDate": at(found.ended_at),
        "lastModifiedDate": at(found.ended_at or found.began_at or found.made_at), "errorMessage": None, "errorStatusCode": None,
        "stateDetail": None, "canceledBy": found.canceled_by or None, "canceledByName": name(found.canceled_by),
    }  # fmt: skip
    if details:
        result["details"] = {
            "componentSuccesses": found.successes, "componentFailures": found.failures, "retrieveResult": None,
            "runTestResult": {"numTestsRun": 0, "numFailures": 0, "totalTime": 0.0, "successes": [], "failures": [], "codeCoverage": []},
        }  # fmt: skip
    base = str(call.request.base_url).rstrip("/")
    return {"id": found.id, "url": f"{base}/services/data/v{call.version}/metadata/deployRequest/{found.id}", "deployResult": result}
