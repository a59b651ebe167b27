"""Every recorded HubSpot exchange that the sandbox serves, replayed against it over HTTP. Skips where the recordings are not at hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import requests

from connector.sandbox.hubspot.schema import TYPES
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests.recordings.comparison import Recorded, Rules, Tally, differences, header_differences, load
from tests.recordings.hubspot_bodies import of_body
from tests.recordings.hubspot_replay import Replay, replay

LEAST = 250
OF_THE_NET = ("server", "etag", "cf-ray", "connection", "transfer-encoding", "content-encoding", "content-length")
"""Headers of proxies and content networks, and of how a body travels."""

NOT_MODELLED = re.compile(
    r"hs_(annual_revenue_currency_code|num_.+|associated_target_accounts|currently_enrolled.+|full_name_or_email|lifecyclestage_lead_date"
    r"|membership_.+|prospecting_agent.+|registered_member|searchable_.+|sequences_.+|closed_amount_in_home_currency|closed_won_count|createdate"
    r"|days_to_close_raw|deal_stage_probability_shadow|has_last_.+|is_deal_split|number_of_.+|obj_coords|last_email_activity|last_message_.+"
    r"|task_family|task_for_object_type|task_is_all_day|task_missed_due_date.*|updated_by_user_id|pipeline|pipeline_stage|forecast_amount"
    r"|closed_amount|is_unworked|is_closed|ticket_id|helpdesk_sort_timestamp|v2_.+|task_label|all_contact_vids|is_contact|email_domain"
    r"|task_completion_.+|task_is_.+|task_type|all_owner_ids|user_ids_of_all_owners|timestamp|projected_amount.*|task_status)"
    r"|num_notes|notes_last_updated|lifecyclestage|num_associated_contacts|amount_in_home_currency|days_to_close|hubspot_owner_assigneddate"
    r"|hubspot_owner_id|website|domain|hs_exchange_rate|hs_object_source.*|hs_object_id|createdate|(hs_)?lastmodifieddate"
)
"""What HubSpot computes and puts into the answer of a write: which of it comes depends on the portal's products and on its year."""


@pytest.fixture(scope="module")
def lines(shared) -> list[Recorded]:
    return load(shared / "recordings", "hubspot")


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[World, str]]:
    world = World()
    with serving(world) as base:
        yield world, base


def rules_of(recorded: Recorded, pair: Replay) -> Rules:
    """``url`` came in late 2025. A write's answer may hold other computed properties than the recorded one, a read's must not."""
    writing = pair.kind.endswith("write") or recorded.body_only

    def free(path: str) -> bool:
        name = path.rpartition(".")[2]
        if re.search(r"properties\.\w+$", path) and writing:
            return NOT_MODELLED.fullmatch(name) is not None
        optional = OF_DEFINITIONS if pair.kind == "body: definition" else OF_HISTORY if "propertiesWithHistory" in path else ()
        return path.endswith(("paging.next.link", *optional))

    def extra(path: str) -> bool:
        return path.rpartition(".")[2] in ("url", "subCategory") or path in EXTRA.get(recorded.path, ())

    return Rules(free=free, extra=extra)


OF_HISTORY = ("[].updatedByUserId", "[].sourceId", "[].sourceLabel")
"""Keys of a history entry that not every one has."""
OF_DEFINITIONS = (
    "[].readOnlyOptions", "modificationMetadata.readOnlyOptions", "[].archived", "[].createdUserId", "[].updatedUserId",
    "options[].description", "[].referencedObjectType", "[].showCurrencySymbol", "[].hubspotDefined",
)  # fmt: skip
"""Keys of a property's definition that not every one has."""
EXTRA = {"/integrations/v1/me": ("additionalCurrencies", "uiDomain", "dataHostingLocation")}
"""Keys that the dated endpoint has beside those of the one recorded."""


def send(world: World, base: str, session: requests.Session, pair: Replay) -> requests.Response:
    world.portal, world.clock = pair.portal, pair.portal.clock
    token = "sandbox-key"
    if pair.oauth:
        needs = {scope for kind in TYPES.values() for way in ("read", "write") for scope in (kind.needs(way), kind.schema_needs(way))}
        pair.portal.tokens.scopes = tuple(needs)
        token, _, _ = pair.portal.tokens.refresh("client", "secret", "refresh", pair.portal.now, set())
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    return session.request(pair.method, base + pair.path, params=pair.query, json=pair.body, headers=headers, timeout=20)


def compared(recorded: Recorded, pair: Replay, ours: requests.Response) -> Iterator[str]:
    """In what the sandbox's answer differs from the recorded one."""
    if recorded.status is not None and recorded.status_trusted:
        if ours.status_code != recorded.status:
            yield f"status {recorded.status} recorded, {ours.status_code} here: {ours.text[:300]}"
            return
    elif not (pair.status or 200) <= ours.status_code < (pair.status or 200) + 100:
        yield f"status {ours.status_code} here: {ours.text[:300]}"
        return
    if not recorded.body_only and recorded.headers_trusted:
        # v1 said a 404 in JSON; and the association archive of the dated version speaks of a type although its 204 is empty.
        untold = ("content-type", "cache-control", "vary") if pair.expected is None or pair.kind == "v1 associations" else ()
        yield from header_differences(recorded, ours.headers, theirs=(*OF_THE_NET, *untold), extra=(*OF_THE_NET, *untold))
        types = [headers.get("content-type", "").replace(" ", "").lower() for headers in (recorded.headers, ours.headers)]
        if not untold and types[0] != types[1]:
            yield f"content type {types[0]!r} recorded, {types[1]!r} here"
    yield from bodies(recorded, pair, ours)


def bodies(recorded: Recorded, pair: Replay, ours: requests.Response) -> Iterator[str]:
    if pair.expected is None:
        return
    if isinstance(pair.expected, str):
        if pair.expected.split() != ours.text.split():
            yield f"{pair.expected[:80]!r} recorded, {ours.text[:80]!r} here"
        return
    found = ours.json()
    if pair.kind == "v1 createOrUpdate":
        yield from v1_upsert(pair.expected, found)
    elif pair.kind == "v1 associations":
        if [row["toObjectId"] for row in found["results"]] != pair.expected:
            yield f"links {pair.expected} recorded, {found['results']} here"
    else:
        if recorded.path.startswith("/crm/v3/associations"):  # v3 names the ends and the type in words
            pair.expected = pair.expected | {"results": []}
        yield from differences(pair.expected, found, rules_of(recorded, pair))
        yield from values(pair.expected, found)
        yield from properties(recorded, pair, found)


def v1_upsert(expected: dict, found: dict) -> Iterator[str]:
    """v1 says ``vid`` and ``isNew``, or lists what was not valid; the dated version says the same in other words."""
    if "vid" in expected:
        (row,) = found["results"]
        if row["new"] is not expected["isNew"]:
            yield f"isNew {expected['isNew']} recorded, {row['new']} here"
        if not expected["isNew"] and row["id"] != str(expected["vid"]):
            yield f"vid {expected['vid']} recorded, {row['id']} here"
        return
    opening, _, inner = found["message"].partition(": ")
    theirs = expected["validationResults"][0]
    ours = json.loads(inner)[0]
    if opening != expected["message"] or set(ours) != set(theirs) or (ours["error"], ours["name"]) != (theirs["error"], theirs["name"]):
        yield f"{expected} recorded, {found} here"


def values(expected: object, found: object, path: str = "body") -> Iterator[str]:
    """Words of error frames, totals and numbers of errors are not only of one shape but the same; numbers inside words may differ."""
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return
    for name in ("status", "category", "subCategory", "total", "numErrors", "message"):
        if isinstance(expected.get(name), str | int) and wording(expected[name]) != wording(found.get(name)):
            yield f"{path}.{name}: {expected[name]!r} recorded, {found.get(name)!r} here"
    for n, (one, other) in enumerate(zip(expected.get("errors", ()), found.get("errors", ()), strict=False)):
        yield from values(one, other, f"{path}.errors[{n}]")


def wording(value: object) -> object:
    return re.sub(r"\d+|<PORTAL_ID>", "N", value) if isinstance(value, str) else value


def properties(recorded: Recorded, pair: Replay, found: dict) -> Iterator[str]:
    """What a client read or had just set has the same values in the same texts. Records made anew have other ids: they are taken by value."""
    theirs, ours = (rows_of(body) for body in (pair.expected, found))
    inputs = pair.body.get("inputs", [pair.body]) if isinstance(pair.body, dict) else []
    sent = (
        {name for one in inputs for name in one.get("properties") or ()}
        if "filter" not in str(pair.body) and "limit" not in str(pair.body)
        else set()
    )
    # Bodies alone were trimmed by those who kept them: one says another record's hs_object_id.
    moved = {"hs_lastmodifieddate", "lastmodifieddate", *(("hs_object_id",) if recorded.body_only else ())}
    known = {row["id"]: row["properties"] for row in ours}
    if theirs and not known.keys() & {row["id"] for row in theirs}:
        held = [sorted(json.dumps({name: row["properties"].get(name) for name in sorted(sent)}) for row in rows) for rows in (theirs, ours)]
        if held[0] != held[1]:
            yield f"properties {held[0]} recorded, {held[1]} here"
        return
    for row in theirs:
        for name in (sent & row["properties"].keys()) if sent else row["properties"].keys() - moved:
            if row["properties"][name] != known.get(row["id"], {}).get(name):
                yield f"properties.{name}: {row['properties'][name]!r} recorded, {known.get(row['id'], {}).get(name)!r} here"


def rows_of(body: object) -> list[dict]:
    if not isinstance(body, dict):
        return []
    return [row for row in body.get("results", [body]) if isinstance(row, dict) and "properties" in row and "id" in row]


def test_every_recorded_exchange(lines, house, capsys):
    world, base = house
    tally = Tally()
    with requests.Session() as session:
        for recorded in lines:
            pair = of_body(recorded) if recorded.body_only else replay(recorded)
            if isinstance(pair, str):
                tally.leave(pair)
                continue
            ours = send(world, base, session, pair)
            tally.hold(recorded, pair.kind, compared(recorded, pair, ours))
    with capsys.disabled():
        print(f"\nHubSpot recordings: {tally.report()}")
    assert tally.wrong == []
    assert tally.pairs + sum(tally.left_out.values()) == len(lines)
    assert tally.pairs >= LEAST


def test_the_comparison_sees_what_is_wrong(lines, house):
    """One search answered under the wrong credential, with a number for a text, a key too few and another total."""
    world, base = house
    searches = [line for line in lines if line.folder == "grouparoo-hubspot" and line.path.endswith("/search") and line.status == 200]
    recorded = next(line for line in searches if line.body["results"])
    pair = replay(recorded)
    assert isinstance(pair, Replay)
    pair.oauth = not pair.oauth
    with requests.Session() as session:
        ours = send(world, base, session, pair)
    assert any("ratelimit-daily" in what for what in compared(recorded, pair, ours))
    good = ours.json()
    assert not list(bodies(recorded, pair, ours))
    for spoil, where in ((lambda row: row.pop("archived"), "archived"), (lambda row: row["properties"].update(domain=7), "domain")):
        found = json.loads(json.dumps(good))
        for row in found["results"]:
            spoil(row)
        assert any(where in what for what in differences(pair.expected, found, rules_of(recorded, pair)))
    assert list(values(pair.expected, good | {"total": 99}))
    assert list(properties(recorded, pair, good | {"results": []}))
