"""Log lines of a run in which much goes wrong, at the level that says most."""

from __future__ import annotations

import io
from typing import Any

import pytest

from connector import logs, runs
from connector.sandbox.salesforce.org import RowError
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.rig import NAME

both = pytest.mark.parametrize("crm", BOTH)
QUERIES = {SF: "/services/data/*/queryAll", HS: "/crm/objects/*/companies/search"}
MAIL = "dana.canary@hospital-canary.example"
TEXTS = ("Canary subject of a call", "Canary Hospital name", "canary-next-step", MAIL)


@both
@pytest.mark.pitfall("R27")
@pytest.mark.parametrize("format", logs.FORMATS)
def test_log_lines_are_clean(rig: Any, format: str) -> None:
    """A pull, a push with a refusal, a query that is refused and a rate limit, all at debug level: lines of ours and of the libraries, and in
    none of them a token, an e-mail address, a literal of a query, a subject or a value."""
    deal = rig.open_deal(name=TEXTS[1], account=rig.open_account(TEXTS[1]))
    rig.log(deal, rig.contacts[0], "call", subject=TEXTS[0])
    if rig.crm == SF:
        rig.set("Opportunity", deal, NextStep=TEXTS[2])
        rig.set("Contact", rig.contacts[0], Email=MAIL)
        rig.world.faults.add(SF, "session-ended", path=QUERIES[SF], times=1)
        rig.org.rules.append(lambda *_: RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", f"ask {MAIL} about {TEXTS[0]}"))
    else:
        rig.set("deals", deal, hs_next_step=TEXTS[2])
        rig.set("contacts", rig.contacts[0], email=MAIL)
        rig.world.faults.add(HS, "secondly-limit", path="/crm/objects/*/search", times=2)
        rig.world.faults.add(HS, "row-failed", parameters={"code": "FAILED_VALIDATION_RULE", "message": f"ask {MAIL} about {TEXTS[0]}"})
    tokens: set[str] = set()
    stream = io.StringIO()
    plain = rig.world.faults.serve

    async def noted(app: Any, scope: Any, receive: Any, send: Any) -> None:
        tokens.update(value.decode() for name, value in scope["headers"] if name.lower() == b"authorization")
        await plain(app, scope, receive, send)

    rig.world.faults.serve = noted
    try:
        with logs.to(stream, "debug", format):
            rig.sync()
            rig.world.faults.add(rig.crm, "query-timeout" if rig.crm == SF else "server-error", path=QUERIES[rig.crm], times=None)
            runs.pull(rig.app, [NAME])
    finally:
        del rig.world.faults.serve
    lines = stream.getvalue()
    assert lines.count("\n") > 40
    assert "urllib3" in lines
    assert "run ended" in lines
    assert tokens
    for secret in (*TEXTS, *(token.split()[-1] for token in tokens)):
        assert secret not in lines, secret
    for literal in ("SELECT", "WHERE ", "%27", "q=", "Bearer ey", "IN+("):
        assert literal not in lines, next(line for line in lines.splitlines() if literal in line)
