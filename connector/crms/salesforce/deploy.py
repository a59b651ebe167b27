"""One deployment over the Metadata REST endpoint: sent whole, asked after with growing pauses, judged as a whole.

Source: the Salesforce contract, section 14. Flags and numbers come as JSON values or as text; both are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from connector.crms.provisioning import ProvisionResult, Refusal
from connector.crms.salesforce.faults import clean
from connector.crms.salesforce.transport import Client
from connector.errors import MissingScope, Transient

FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WAIT = 2.0, 20.0, 1_800.0
ENDS = frozenset({"Succeeded", "SucceededPartial", "Failed", "Canceled"})
STANDS = frozenset({"Succeeded", "SucceededPartial"})
"""Ends that leave in the org what went through."""
MOST_BYTES = 39_000_000
OPTIONS = {
    "rollbackOnError": True, "singlePackage": True, "allowMissingFiles": False, "ignoreWarnings": False, "performRetrieve": False,
    "autoUpdatePackage": False, "purgeOnDelete": False,
}  # fmt: skip


def deploy(client: Client, archive: bytes, *, check_only: bool) -> ProvisionResult:
    """Send a package and wait for its end. All or nothing: a deployment that succeeded in part has failed.

    Raises MissingScope where the credential may not deploy, Transient where the org does not come to an end in half an hour.
    """
    if len(archive) > MOST_BYTES:
        raise ValueError("the package is larger than an org takes")
    options = orjson.dumps({"deployOptions": {"checkOnly": check_only, **OPTIONS}})
    parts = [RequestField("json", options), RequestField("file", archive, "deploy.zip")]
    parts[0].make_multipart(content_type="application/json")
    parts[1].make_multipart(content_type="application/zip")
    body, content_type = encode_multipart_formdata(parts)
    answer = client.json("POST", "metadata/deployRequest", data=body, headers={"Content-Type": content_type}, writing=True, holds=_is_deployment)
    id, result = str(answer["id"]), answer.get("deployResult") or {}
    pause, waited = FIRST_PAUSE, 0.0
    while not _ended(result):
        if waited >= LONGEST_WAIT:
            raise Transient(f"the org is still working on deployment {id}; look at Deployment Status in its set-up")
        client.pause(pause)
        waited, pause = waited + pause, min(pause * 2, LONGEST_PAUSE)
        answer = client.get(f"metadata/deployRequest/{id}", params={"includeDetails": "true"}, holds=_is_deployment)
        result = answer.get("deployResult") or {}
    return _judged(id, result)


def _is_deployment(answer: Any) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("deployResult"), dict) and bool(answer.get("id") or answer["deployResult"].get("id"))


def _ended(result: Mapping[str, Any]) -> bool:
    """With the details that only an answer to a later question has: the first one may already be the end of a small deployment."""
    return _true(result.get("done")) and result.get("status") in ENDS and (result.get("status") == "Succeeded" or "details" in result)


def _judged(id: str, result: Mapping[str, Any]) -> ProvisionResult:
    status = str(result.get("status"))
    refusals = tuple(_refusals(result))
    ok = status == "Succeeded" and _true(result.get("success", True)) and not refusals
    if not ok and not refusals:
        said = clean(str(result.get("errorMessage") or status))
        code = str(result.get("errorStatusCode") or "")
        if code in ("INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY"):
            raise MissingScope(f"the token may not deploy metadata ({said})", next_step=RIGHTS)
        refusals = (Refusal("deployment", status, said, "the org ended the deployment as a whole", "see Deployment Status in its set-up"),)
    # rolled back: the org still counts those that had passed until then
    done = _number(result.get("numberComponentsDeployed")) if status in STANDS else 0
    return ProvisionResult(ok, status, done, _number(result.get("numberComponentsTotal")), refusals, id)


RIGHTS = "use the login of a user with Modify Metadata Through Metadata API Functions and Customize Application"


def _refusals(result: Mapping[str, Any]) -> Iterator[Refusal]:
    found = (result.get("details") or {}).get("componentFailures") or []
    for failure in found if isinstance(found, list) else [found]:
        if str(failure.get("problemType") or "Error") == "Warning":
            continue
        problem = clean(str(failure.get("problem") or "no reason given"))
        reason, step = _ours(problem)
        yield Refusal(str(failure.get("fullName") or failure.get("fileName")), str(failure.get("componentType") or ""), problem, reason, step)


SENTENCES: tuple[tuple[str, str, str], ...] = (
    (
        r"maximum number of|limit.*custom fields|reached.*fields",
        "the object has as many custom fields as the org allows",
        "delete fields that nobody uses, or take some out of the mapping; the two-field mode needs two",
    ),
    (
        r"formula.*(too big|too long)|compiled formula|exceeds.*size",
        "the compiled formula is too big for this org",
        "switch the field off in the mapping",
    ),
    (
        r"(field|column).*(does not exist|doesn't exist|not exist)|no such (field|column)|invalid field|unknown field",
        "it reads a field that the org does not have",
        "correct the mapping, or create the field",
    ),
    (
        r"incorrect parameter|incorrect argument|expected .*received|return type|mismatch",
        "a field it reads is of another type than the mapping says",
        "correct the type in the mapping",
    ),
    (
        r"syntax error|missing '|incorrect number of parameters|unknown function",
        "the org's compiler does not take the formula",
        "report it with the formula's text",
    ),
    (
        r"change (the )?(field )?type|type .*(cannot|can't|may not) be changed|different type",
        "a field of this name is there with another type",
        "give ours another name in the mapping",
    ),
    (
        r"duplicate|already in use|already exists|not unique",
        "the name is taken by something that is not ours",
        "give ours another name in the mapping",
    ),
    (r"insufficient|access rights|permission", "the token's user may not do this", "use an administrator's login"),
    (
        r"field integrity|editable|required field",
        "the permission set asks for what the field does not allow",
        "report it with the org's words",
    ),
)
"""Words of the org's → our sentence and the next step. The first that matches."""


def _ours(problem: str) -> tuple[str, str]:
    for pattern, reason, step in SENTENCES:
        if re.search(pattern, problem, re.IGNORECASE):
            return reason, step
    return "the org refuses this component", "see its words"


def _true(value: object) -> bool:
    return value is True or str(value).lower() == "true"


def _number(value: object) -> int:
    return int(str(value)) if str(value or "").isdigit() else 0
