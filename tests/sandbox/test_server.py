"""The sandbox over HTTP: both CRMs and the control plane on one port."""

import json
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime

import pytest

from connector.sandbox import __main__ as command
from connector.sandbox import process, server
from connector.sandbox.business import SEED_END
from connector.sandbox.errors import SandboxError
from connector.sandbox.world import World


@pytest.fixture(scope="module")
def world():
    world = World()
    world.seed()
    return world


@pytest.fixture(scope="module")
def base_url(world):
    with server.serving(world) as base_url:
        yield base_url


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return answer.headers, answer.read()


def token(base_url):
    form = b"grant_type=client_credentials&client_id=any&client_secret=any"
    with urllib.request.urlopen(f"{base_url}/services/oauth2/token", data=form) as answer:
        return "Bearer " + json.loads(answer.read())["access_token"]


def opportunities(base_url):
    query = f"{base_url}/services/data/v68.0/query?q=SELECT+COUNT()+FROM+Opportunity"
    return json.loads(get(query, Authorization=token(base_url))[1])["totalSize"]


def companies(base_url):
    body = json.dumps({"limit": 1, "properties": ["name"], "filterGroups": [], "sorts": []}).encode()
    headers = {"Authorization": "Bearer sandbox-test", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base_url}/crm/objects/2026-03/companies/search", data=body, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())["total"]


def test_health_counts_both_crms(base_url, world):
    health = json.loads(get(f"{base_url}/sandbox/health")[1])
    assert health["ok"] is True
    assert health["now"] == world.clock.now.isoformat().replace("+00:00", "Z")
    assert health["salesforce"]["opportunities"] == health["hubspot"]["deals"] == opportunities(base_url)
    assert health["hubspot"]["companies"] == companies(base_url)


def test_the_front_page_says_what_this_is(base_url):
    headers, page = get(base_url + "/")
    assert headers["Content-Type"].startswith("text/html")
    assert b"Nothing here is real" in page


def test_every_answer_has_the_virtual_date_and_only_that(base_url, world):
    for path in ("/", "/sandbox/health", "/services/data/"):
        headers, _ = get(base_url + path)
        assert [parsedate_to_datetime(value) for value in headers.get_all("Date")] == [world.clock.now.replace(microsecond=0)]
        assert headers.get("Server", "") != "uvicorn"


def test_a_path_that_nobody_serves_is_404(base_url):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(base_url + "/nowhere")
    with caught.value as answer:
        assert answer.code == 404


def test_tick_seed_and_reset_reach_the_routes(tmp_path):
    world = World()
    world.seed()
    with server.serving(world) as base_url:
        at_seed = opportunities(base_url)
        ticked = process.control(base_url, "tick", days=30)
        assert ticked["events"] > 100
        assert ticked["now"] == "2026-12-20T18:00:00Z"
        assert opportunities(base_url) == ticked["salesforce"]["opportunities"] > at_seed
        for name, text in SMALL.items():
            (tmp_path / name).write_text(text)
        loaded = process.control(base_url, "seed", **{"from": tmp_path})
        assert loaded["loaded"]["opportunities"] == opportunities(base_url) == 1
        assert companies(base_url) == 0
        again = process.control(base_url, "reset")
        assert (again["now"], opportunities(base_url)) == (SEED_END.isoformat().replace("+00:00", "Z"), at_seed)


SMALL = {
    "accounts.csv": "account,sector,year_established,revenue,employees,office_location,subsidiary_of\n",
    "products.csv": "product,series,sales_price\nGTX Pro,GTX,4821\n",
    "sales_teams.csv": "sales_agent,manager,regional_office\nAnna Snelling,Dustin Brinkmann,Central\n",
    "sales_pipeline.csv": (
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
        "W1,Anna Snelling,GTX Pro,,Won,20-10-2016,01-03-2017,1054\n"
    ),
}


def test_refusals_are_told_with_their_place(base_url, world, tmp_path):
    before = world.clock.now
    with pytest.raises(SandboxError, match="days must be a whole number"):
        process.control(base_url, "tick", days="many")
    with pytest.raises(SandboxError, match="days must be from 1"):
        process.control(base_url, "tick", days=0)
    with pytest.raises(SandboxError) as caught:
        process.control(base_url, "seed", **{"from": tmp_path})
    assert any("sales_pipeline.csv: not found" in line for line in caught.value.details)
    with pytest.raises(SandboxError, match="404"):
        process.control(base_url, "dance")
    assert world.clock.now == before


def test_a_body_that_is_no_object_is_refused(base_url):
    request = urllib.request.Request(f"{base_url}/sandbox/tick", data=b"[1]", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert (answer.code, json.loads(answer.read())["error"]) == (400, "the body must be a JSON object")


def test_control_calls_go_to_loopback_only():
    for url in ("http://example.com:8425", "https://127.0.0.1:8425", "http://10.0.0.1"):
        with pytest.raises(SandboxError, match="loopback only"):
            process.control(url, "reset")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.com", ""])
def test_it_binds_to_loopback_only(host, capsys):
    with pytest.raises(SandboxError, match="loopback only"):
        server.serve(host, 0)
    assert command.main(["--host", host]) == 1
    assert "loopback only" in capsys.readouterr().err


def test_loopback_has_several_names():
    assert [server.loopback(host) for host in ("127.0.0.1", "127.0.0.9", "::1", "localhost")] == ["127.0.0.1", "127.0.0.9", "::1", "localhost"]


def test_a_port_in_use_is_named(base_url):
    port = int(base_url.rsplit(":", 1)[1])
    with pytest.raises(SandboxError, match=f"port {port} cannot be used"), server.serving(World(), port):
        pass


def test_it_starts_and_stops(world):
    with server.serving(world) as base_url:
        get(f"{base_url}/sandbox/health")
    with pytest.raises(urllib.error.URLError):
        get(f"{base_url}/sandbox/health")


def test_latency_delays_the_crms_and_not_the_control_plane(world):
    with server.serving(world, latency_ms=200) as base_url:
        began = time.monotonic()
        get(f"{base_url}/services/data/")
        crm = time.monotonic() - began
    assert crm >= 0.2
