"""Published readers pull the whole sandbox without complaint and get the same records: ``make peers``.

They were written against the real CRMs by others, so what they accept is a reading of the contracts that is not ours.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.sandbox.world import World
from tests.peers.conftest import HERE, records, run

pytestmark = pytest.mark.peers
Python = Callable[[str], Path]
REDIRECT = HERE / "redirect.py"
START = "2020-01-01T00:00:00Z"
HUBSPOT_STREAMS = ("contacts", "companies", "deals", "calls", "emails", "meetings", "tasks", "owners")


def test_singer_tap_salesforce_reads_every_row(world: World, base_url: str, python: Python, tmp_path: Path) -> None:
    """tap-salesforce 2.8.1: discovers every object of the org and reads it by queryAll, deleted rows included."""
    config = tmp_path / "config.json"
    secrets = {"refresh_token": "sandbox-refresh", "client_id": "peer", "client_secret": "peer"}
    config.write_text(json.dumps({**secrets, "start_date": START, "api_type": "REST", "select_fields_by_default": True}))
    command = (python("tap-salesforce"), REDIRECT, base_url, "tap_salesforce:main", "--config", config)
    catalog = json.loads(run(*command, "--discover", cwd=tmp_path))
    for stream in catalog["streams"]:
        next(m for m in stream["metadata"] if not m["breadcrumb"])["metadata"]["selected"] = True
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    found = records(run(*command, "--properties", "catalog.json", cwd=tmp_path), lambda stream: "Id")
    held = {name: sorted(table.rows) for name, table in world.org.tables.items() if table.rows}
    assert {name: sorted(ids) for name, ids in found.items()} == {name: held[name] for name in held if name in _streams(catalog)}
    assert {"Opportunity", "OpportunityHistory", "OpportunityContactRole", "Account", "Contact", "Task", "Event", "User"} <= set(found)


def _streams(catalog: dict[str, list[dict[str, str]]]) -> set[str]:
    return {stream["stream"] for stream in catalog["streams"]}


def test_meltano_tap_hubspot_reads_every_live_record(world: World, base_url: str, python: Python, tmp_path: Path) -> None:
    """meltano-tap-hubspot 0.10.1: discovers properties and reads by list and search; archived records it never reads."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"access_token": "sandbox-peer", "start_date": START}))
    command = (python("meltano-tap-hubspot"), REDIRECT, base_url, "tap_hubspot.tap:TapHubspot.cli", "--config", config)
    catalog = json.loads(run(*command, "--discover", cwd=tmp_path))
    for stream in catalog["streams"]:
        next(m for m in stream["metadata"] if not m["breadcrumb"])["metadata"]["selected"] = stream["tap_stream_id"] in HUBSPOT_STREAMS
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    found = records(run(*command, "--catalog", "catalog.json", cwd=tmp_path), lambda stream: "id")
    live = {name: sorted(map(str, world.portal.live[name])) for name in HUBSPOT_STREAMS if name != "owners"}
    assert {name: sorted(set(ids)) for name, ids in found.items() if name in live} == live
    assert found["owners"]


def test_hubspot_sdk_accepts_every_answer(world: World, base_url: str, python: Python, tmp_path: Path) -> None:
    """hubspot-sdk 0.1.0a9 with strict validation: every answer fits the models that HubSpot generates for the dated API."""
    lines = run(python("hubspot-sdk"), HERE / "read_with_hubspot_sdk.py", base_url, cwd=tmp_path).splitlines()
    found = Counter(json.loads(line)["object"] for line in lines)
    live = {name: len(world.portal.live[name]) for name in HUBSPOT_STREAMS if name != "owners"}
    assert {name: found[name] for name in live} == live
    assert found["deals with history"] == live["deals"]
    assert found["archived deals"] > 0
    assert found["owners"] > 0
