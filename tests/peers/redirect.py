"""Run a reader that somebody else wrote, unchanged, against the sandbox: ``python redirect.py BASE_URL MODULE:FUNCTION ARGUMENTS…``.

Runs in the reader's own environment, so it imports nothing of ours. The hosts are constants in the readers' code: requests to
them go to the sandbox instead, and paths of older API versions to the version that the sandbox serves.
"""

from __future__ import annotations

import importlib
import re
import sys
from urllib.parse import urlsplit, urlunsplit

import requests.adapters

VENDOR_HOSTS = re.compile(r"(login|test)\.salesforce\.com|[\w.-]+\.my\.salesforce\.com|api\.hubapi\.com")
OLDER_PATHS = (
    (re.compile(r"^/services/data/v\d+\.\d/"), "/services/data/v68.0/"),
    (re.compile(r"^/crm/v[34]/(objects|properties|pipelines|associations|owners)\b"), r"/crm/\1/2026-03"),
    (re.compile(r"^/oauth/v1/token"), "/oauth/2026-03/token"),
)


def redirected(url: str, base_url: str) -> str:
    """Where a request goes: to the sandbox, at the version it serves. Anything but a vendor's host or the sandbox is refused."""
    asked, sandbox = urlsplit(url), urlsplit(base_url)
    if asked.netloc != sandbox.netloc and not VENDOR_HOSTS.fullmatch(asked.hostname or ""):
        raise SystemExit(f"the reader asks {asked.hostname}, which is neither a vendor's host nor the sandbox")
    path = asked.path
    for older, served in OLDER_PATHS:
        path = older.sub(served, path)
    return urlunsplit((sandbox.scheme, sandbox.netloc, path, asked.query, ""))


def main() -> None:
    base_url, function, *arguments = sys.argv[1:]
    send = requests.adapters.HTTPAdapter.send

    def elsewhere(adapter, request, *args, **kwargs):  # type: ignore[no-untyped-def]
        request.url = redirected(request.url, base_url)
        kwargs["proxies"] = {}
        return send(adapter, request, *args, **kwargs)

    requests.adapters.HTTPAdapter.send = elsewhere  # type: ignore[method-assign]
    module, _, name = function.partition(":")
    sys.argv = [module, *arguments]
    called = importlib.import_module(module)
    for part in name.split("."):
        called = getattr(called, part)
    called()


if __name__ == "__main__":
    main()
