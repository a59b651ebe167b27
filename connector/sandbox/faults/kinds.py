"""The catalogue: every kind of fault, which CRM has it, what it takes. Imports nothing heavy: the command line's help is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from connector.sandbox.errors import SandboxError

Family = Literal["answer", "wire", "headers", "records", "switch"]
SALESFORCE, HUBSPOT = "salesforce", "hubspot"
CRMS = (SALESFORCE, HUBSPOT)
DATA = "/services/data/v*"


@dataclass(frozen=True, slots=True)
class Kind:
    """``family``: answer (another answer in place of the CRM's), wire (the connection, the body, the pace), headers, records (single
    records of a batch write), switch (the org or portal itself behaves so, from add to clear). ``paths``: CRM → the path glob that holds
    where a fault names none. ``parameters``: name → what it means."""

    name: str
    family: Family
    text: str
    crms: tuple[str, ...] = CRMS
    paths: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


_SF, _HS = (SALESFORCE,), (HUBSPOT,)
_TOKEN = {SALESFORCE: "/services/oauth2/token", HUBSPOT: "/oauth/*/token"}
_API = {SALESFORCE: DATA, HUBSPOT: "/[!o]*"}  # all but the token endpoint
_WRITES = {SALESFORCE: f"{DATA}/composite/sobjects*", HUBSPOT: "/crm/objects/*/batch/update"}
_AFTER = {"retry_after": "seconds in a Retry-After header; without it there is none"}
_SHARE = {"share": "how much of the body arrives, 0 to 1; default 0.5"}
_THESE = {"ids": "ids of the records, with commas"}
_TIER = {"tier": "free, starter, professional, enterprise", "packs": "0 to 2 API limit increases", "burst": "calls in 10 s", "daily": "calls a day"}
_RULE = {"message": "its words", "formula": "Salesforce: it refuses saves after which this is true; without one, all"}
_FLOW = {"field": "the field it sets", "value": "what to; default: the instant", "bypass": "a custom permission whose holders it spares"}
_WHICH = {"ids": "ids of the records, with commas; without it the first one that is written"}

_ALL = (
    # -- another answer
    Kind("session-ended", "answer", "401: every session ends (INVALID_SESSION_ID, EXPIRED_AUTHENTICATION)", paths=_API),
    Kind("login-refused", "answer", "400 from the token endpoint: invalid_grant, BAD_REFRESH_TOKEN", paths=_TOKEN),
    Kind("login-down", "answer", "503 from the token endpoint", paths=_TOKEN),
    Kind("calls-used-up", "answer", "403 REQUEST_LIMIT_EXCEEDED, TotalRequests", _SF, {SALESFORCE: DATA}),
    Kind("concurrent-limit", "answer", "403 REQUEST_LIMIT_EXCEEDED, ConcurrentRequests", _SF, {SALESFORCE: DATA}),
    Kind("long-transactions", "answer", "403 REQUEST_LIMIT_EXCEEDED, ConcurrentPerOrgLongTxn", _SF, {SALESFORCE: DATA}),
    Kind("query-timeout", "answer", "400 QUERY_TIMEOUT", _SF, {SALESFORCE: f"{DATA}/query*"}),
    Kind("query-complicated", "answer", "400 QUERY_TOO_COMPLICATED", _SF, {SALESFORCE: f"{DATA}/query*"}),
    Kind("locator-lost", "answer", "400 INVALID_QUERY_LOCATOR for a next page", _SF, {SALESFORCE: f"{DATA}/query*/0r8*"}),
    Kind("overloaded", "answer", "420, the edge refuses", _SF),
    Kind("version-retired", "answer", "410 UNSUPPORTED_API_VERSION; 404 in HTML", paths=_API),
    Kind("missing-scopes", "answer", "403 MISSING_SCOPES, INSUFFICIENT_ACCESS", parameters={"scope": "the scope it names"}),
    Kind("not-found", "answer", "404 in the CRM's own form"),
    Kind("request-timeout", "answer", "408", _HS),
    Kind("uri-too-long", "answer", "414"),
    Kind("too-large", "answer", "413", _HS),
    Kind("locked", "answer", "423, the portal is locked", _HS),
    Kind("secondly-limit", "answer", "429 SECONDLY, as search answers: no limit headers", _HS, parameters=_AFTER),
    Kind("ten-secondly-limit", "answer", "429 TEN_SECONDLY_ROLLING", _HS, parameters=_AFTER),
    Kind("daily-limit-answer", "answer", "429 DAILY", _HS, parameters=_AFTER),
    Kind("migrating", "answer", "477, the account is moved to another data centre", _HS, parameters=_AFTER),
    Kind("server-error", "answer", "500 UNKNOWN_EXCEPTION; 500"),
    Kind("bad-gateway", "answer", "502 in HTML"),
    Kind("unavailable", "answer", "503 SERVER_UNAVAILABLE; 503"),
    Kind("gateway-timeout", "answer", "504 in HTML"),
    Kind("origin-down", "answer", "521 in HTML", _HS),
    Kind("maintenance-page", "answer", "200 with an HTML page in place of JSON"),
    # -- the connection, the body, the pace
    Kind("reset", "wire", "the connection is reset before the CRM has seen the request"),
    Kind("lost-answer", "wire", "the CRM does the work, then the connection is reset before the answer"),
    Kind("cut-body", "wire", "the connection is reset in mid-body", parameters=_SHARE),
    Kind("short-body", "wire", "the body ends before its Content-Length, with an orderly close", parameters=_SHARE),
    Kind("truncated-body", "wire", "half of the text arrives as if it were the whole", parameters=_SHARE | {"lines": "true: cut after a whole line"}),
    Kind("garbage-body", "wire", "bytes without a meaning in place of the body"),
    Kind("empty-body", "wire", "the status and headers, and no body"),
    Kind("slow-answer", "wire", "the answer waits (--seconds)"),
    Kind("slow-body", "wire", "the body trickles in ten parts within --seconds"),
    # -- headers
    Kind("no-date", "headers", "no Date header"),
    Kind("wrong-date", "headers", "the Date header is --seconds off (negative: behind)"),
    Kind("no-limit-headers", "headers", "the headers that tell the limits are missing"),
    Kind("falling-limits", "headers", "what the limit headers say was used falls by and by", parameters={"by": "calls a step, default 10"}),
    # -- single records of a batch write
    Kind("row-locked", "records", "UNABLE_TO_LOCK_ROW", _SF, _WRITES, _WHICH),
    Kind("row-refused", "records", "FIELD_CUSTOM_VALIDATION_EXCEPTION; VALIDATION_ERROR of a rule", CRMS, _WRITES, _WHICH),
    Kind("row-deleted", "records", "ENTITY_IS_DELETED; OBJECT_NOT_FOUND in a 207", CRMS, _WRITES, _WHICH),
    Kind("row-read-only", "records", "INSUFFICIENT_ACCESS_OR_READONLY; READ_ONLY_VALUE", CRMS, _WRITES, _WHICH),
    Kind("row-flow-failed", "records", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY from a flow", _SF, _WRITES, _WHICH),
    Kind("row-bad-option", "records", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST; INVALID_OPTION", CRMS, _WRITES, _WHICH),
    Kind("row-conflict", "records", "CONFLICT in a 207", _HS, _WRITES, _WHICH),
    Kind("row-failed", "records", "any code", CRMS, _WRITES, _WHICH | {"code": "the CRM's code", "message": "its words"}),
    # -- the org or portal itself
    Kind("validation-rule", "switch", "a rule refuses API writes of an object", parameters=_WHICH | _RULE),
    Kind("flow", "switch", "a record-triggered flow sets another field after each save", _SF, parameters=_FLOW),
    Kind("row-locks", "switch", "records are held by another process", _SF, parameters=_THESE),
    Kind("read-only-records", "switch", "the connection's user may only read some records", _SF, parameters=_THESE),
    Kind("read-only-field", "switch", "a field can no longer be written", parameters={"field": "its name"}),
    Kind("hidden-field", "switch", "the connection's user no longer sees a field", _SF, parameters={"field": "its name"}),
    Kind("denied-scope", "switch", "the credential has lost a scope", _HS, parameters={"scope": "its name"}),
    Kind("daily-limit", "switch", "the calls of the day are used up"),
    Kind("rate-tier", "switch", "limits are counted, by a tier", _HS,
         parameters=_TIER),
    Kind("index-lag", "switch", "the search index trails by --seconds", _HS),
    Kind("late-commits", "switch", "saves become visible --seconds later, with the stamp of their beginning", _SF),
    Kind("rotating-tokens", "switch", "each refresh gives a new refresh token and ends the old one"),
    Kind("small-pages", "switch", "pages hold fewer records", parameters={"size": "records a page (HubSpot: fewer than asked by so many)"}),
    Kind("same-instant", "switch", "very many records are edited in one instant, once", parameters={"count": "how many, default 10500"}),
)  # fmt: skip

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def kind_of(name: str, crm: str) -> Kind:
    """The kind of that name. Raises SandboxError with the nearest names, or if the CRM has no such fault."""
    kind = KINDS.get(name)
    if kind is None:
        near = get_close_matches(name, KINDS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SandboxError(f"no fault is called {name!r}{hint}", "connector sandbox faults add --help")
    if crm not in CRMS:
        near = get_close_matches(crm, CRMS, n=1, cutoff=0.3)
        raise SandboxError(f"{crm!r} is no CRM of the sandbox" + (f"; did you mean {near[0]}?" if near else ""), f"one of: {', '.join(CRMS)}")
    if crm not in kind.crms:
        raise SandboxError(f"{crm} has no {name}: it is {kind.crms[0]}'s", "connector sandbox faults add --help")
    return kind
