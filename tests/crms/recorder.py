"""How conversations with a CRM are recorded and replayed, and what may not stand in a recording.

Three layers keep secrets out: only named headers are kept, bodies are scrubbed, and ``findings`` looks at the finished text.
The same rules run over the requests of a replay, so that a scrubbed recording still matches.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import vcr
import yaml
from urllib3 import HTTPHeaderDict
from vcr import stubs
from vcr.request import Request

CASSETTES = Path(__file__).parents[2] / "cassettes"
HOST = "sandbox.example.com"
SCRUBBED = "scrubbed"
ORG_ID = "000000000000000AAA"
PORTAL_ID = "10000001"

REQUEST_HEADERS = {"accept", "content-type", "if-modified-since", "sforce-query-options", "x-prettyprint"}
RESPONSE_HEADERS = {
    "content-type", "date", "etag", "last-modified", "location", "retry-after", "sforce-limit-info",
    "x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining", "x-hubspot-ratelimit-interval-milliseconds",
    "x-hubspot-ratelimit-max", "x-hubspot-ratelimit-remaining", "x-hubspot-ratelimit-secondly", "x-hubspot-ratelimit-secondly-remaining",
}  # fmt: skip
"""All others are dropped: what a new header holds is not known. Content-Length would not fit a scrubbed body."""

_SECRETS = "access_token|refresh_token|id_token|token|client_id|client_secret|consumer_key|assertion|signature|private_key|password|username"
_KEPT_IN_FORMS = {"grant_type"}
_SERVER = r"(?:127(?:\.\d+){3}|0\.0\.0\.0|localhost|\[::1?\])(?::\d+)?"
_EMAIL = r"([\w.+-]+)(@|%40)(?!(?:[\w-]+\.)*example\.com\b)[\w-]+(?:\.[\w-]+)+"

_SCRUBS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf'"({_SECRETS})"(\s*:\s*)"[^"]*"'), rf'"\1"\2"{SCRUBBED}"'),
    (re.compile(r'"(portalId|hub_id|hubId)"(\s*:\s*)"?\d+"?'), rf'"\1"\g<2>{PORTAL_ID}'),
    (re.compile(r"(app[\w-]*\.hubspot\.com/[\w-]+/)\d+"), rf"\g<1>{PORTAL_ID}"),
    (re.compile(r'"correlationId"(\s*:\s*)"[^"]*"'), rf'"correlationId"\1"{SCRUBBED}"'),
    (re.compile(r"\b00D[A-Za-z0-9]{15}\b"), ORG_ID),
    (re.compile(r"\b00D[A-Za-z0-9]{12}\b"), ORG_ID[:15]),
    (re.compile(rf"https?://{_SERVER}"), f"https://{HOST}"),
    (re.compile(_SERVER), HOST),
    (re.compile(r"[\w.-]+\.(?:my\.salesforce|force)\.com\b"), HOST),
    (re.compile(_EMAIL), lambda found: f"person-{hashlib.sha256(found[0].encode()).hexdigest()[:8]}{found[2]}example.com"),
)

_FORBIDDEN: Mapping[str, re.Pattern[str]] = {
    "bearer token": re.compile(r"(?i)\bbearer\s+\S"),
    "basic credential": re.compile(r"(?i)\bbasic\s+[A-Za-z0-9+/]{8,}"),
    "credential header": re.compile(r"(?im)^\W*(?:proxy-)?(?:authorization|cookie|set-cookie)\b\W*(?::|$)"),
    "org id": re.compile(r"00D[A-Za-z0-9]{12,}"),
    "portal id": re.compile(rf'"(?:portalId|hub_id|hubId)"\s*:\s*"?(?!{PORTAL_ID}\b)\d'),
    "portal address": re.compile(rf"app[\w-]*\.hubspot\.com/[\w-]+/(?!{PORTAL_ID}\b)\d+"),
    "HubSpot key": re.compile(r"pat-(?:na|eu|ap|au|ca)\d"),
    "refresh token": re.compile(r"\b5Aep\w{8,}"),
    "JSON web token": re.compile(r"\beyJ[\w-]{10,}"),
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "secret value": re.compile(rf'"(?:{_SECRETS})"\s*:\s*"(?!{SCRUBBED}")'),
    "secret in a form": re.compile(rf"(?:^|[&?\s'\"])(?:{_SECRETS})=(?!{SCRUBBED}(?:[&\s'\"]|$))[^&\s]"),
    "e-mail address": re.compile(_EMAIL),
    "server address": re.compile(_SERVER),
    "port": re.compile(r"://[^/\s'\"?]+:\d+"),
    "instance address": re.compile(r"[\w.-]+\.(?:my\.salesforce|force)\.com\b"),
}


def scrub(text: str) -> str:
    """The text without secrets, identities and addresses. Scrubbing twice changes nothing more."""
    for pattern, instead in _SCRUBS:
        text = pattern.sub(instead, text)
    return text


def scrub_request(request: Request) -> Request:
    """vcr hands in a copy: what is sent stays as it was."""
    request.uri = scrub(request.uri)
    kept = {name: value for name, value in request.headers.items() if name.lower() in REQUEST_HEADERS}
    request.headers.clear()
    request.headers.update({name: kept[name] for name in sorted(kept)})
    if request.body:
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        request.body = (_scrub_form(body) if request.path.endswith("/token") else scrub(body)).encode()
    return request


def scrub_response(response: dict[str, Any]) -> dict[str, Any]:
    """Runs after vcr has unpacked a compressed body."""
    headers = response["headers"]
    response["headers"] = {name: [scrub(v) for v in headers[name]] for name in sorted(headers) if name.lower() in RESPONSE_HEADERS}
    response["body"]["string"] = scrub((response["body"]["string"] or b"").decode()).encode()
    return response


def findings(text: str) -> list[str]:
    """What may not stand in a recording, as "kind: the place it stands in"; looks at the file's text and at each value in it."""
    found = dict.fromkeys(_found(text))
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [*found, f"not YAML: {str(error).splitlines()[0]}"]
    for value in _values(document):
        found |= dict.fromkeys(_found(value) if isinstance(value, str) else ["binary: a body that nobody can look through"])
    return list(found)


class Answer(stubs.VCRHTTPResponse):
    """What urllib3 hands out answers ``getheaders`` with a mapping, vcr's stand-in with pairs; hubspot-api-client asks it of errors."""

    cassette = ()  # vcr puts classes that have one in place as they are

    def getheaders(self) -> HTTPHeaderDict:
        return HTTPHeaderDict(super().getheaders())

    def getheader(self, header: str, default: str | None = None) -> str | None:
        return self.getheaders().get(header, default)


def recorder(mode: str = "none") -> vcr.VCR:
    """``none`` replays and refuses everything else; ``once`` records into a file that is not there."""
    return vcr.VCR(
        cassette_library_dir=str(CASSETTES),
        record_mode=mode,
        match_on=["method", "path", "query", "body"],  # vcr's default leaves out the body, and searches differ in nothing else
        decode_compressed_response=True,
        before_record_request=scrub_request,
        before_record_response=scrub_response,
        custom_patches=((stubs, "VCRHTTPResponse", Answer),),
    )


def _scrub_form(body: str) -> str:
    """A token request: every value but the kind of grant."""
    return urlencode([(name, value if name in _KEPT_IN_FORMS else SCRUBBED) for name, value in parse_qsl(body, keep_blank_values=True)])


def _found(text: str) -> Iterator[str]:
    for kind, pattern in _FORBIDDEN.items():
        for match in pattern.finditer(text):
            yield f"{kind}: {match[0].strip()[:40]}"


def _values(node: Any) -> Iterator[str | bytes]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield str(name)
            yield from _values(value)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value)
    elif isinstance(node, bytes | str):
        yield node
