"""Search: filters, one sort, offsets, the cap, an index that lags."""

from __future__ import annotations

import pytest

from connector.sandbox.hubspot.records import parse_stamp

STAMP = "hs_lastmodifieddate"


def by_stamp(*filters, **body):
    sorts = [{"propertyName": STAMP, "direction": "ASCENDING"}]
    return {"filterGroups": [{"filters": list(filters)}], "sorts": sorts, "limit": 200} | body


def where(name, operator, value=None, **more):
    return {"propertyName": name, "operator": operator} | ({} if value is None else {"value": value}) | more


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [record["id"] for record in answer.json()["results"]]


@pytest.fixture
def hour(portal, deal, later):
    """Ten deals, one a minute."""
    made = []
    for n in range(10):
        made.append(deal(dealname=f"Deal {n}", amount=str(n * 100), **({"hs_next_step": f"step {n} now"} if n % 2 else {})))
        later(60)
    return made


def test_window_over_the_stamp(client, hour):
    low, high = hour[2].stamp, hour[6].stamp
    found = client.search("deals", **by_stamp(where(STAMP, "GTE", str(low)), where(STAMP, "LT", str(high))))
    assert ids(found) == [record.id for record in hour[2:6]]
    body = found.json()
    assert (body["total"], "paging" in body) == (4, False)
    assert set(body["results"][0]["properties"]) == {
        "amount", "closedate", "createdate", "dealname", "dealstage", STAMP, "hs_object_id", "pipeline"}  # fmt: skip
    iso = [where(STAMP, "GT", "2026-11-02T14:02:00.120Z"), where(STAMP, "LTE", "2026-11-02T14:06:00.120Z")]
    assert ids(client.search("deals", **by_stamp(*iso))) == [record.id for record in hour[3:7]]
    assert ids(client.search("deals", **by_stamp(where(STAMP, "EQ", str(low))))) == [hour[2].id]
    between = where(STAMP, "BETWEEN", str(low), highValue=str(high))
    assert ids(client.search("deals", **by_stamp(between))) == [record.id for record in hour[2:7]]


def test_offsets(client, hour):
    seen, after = [], "0"
    while after is not None:
        body = client.search("deals", **by_stamp(limit=3, after=after, properties=["dealname"])).json()
        assert body["total"] == 10
        seen += body["results"]
        after = body["paging"]["next"]["after"] if "paging" in body else None
    assert [record["properties"]["dealname"] for record in seen] == [f"Deal {n}" for n in range(10)]
    stamps = [parse_stamp(record["properties"][STAMP]) for record in seen]
    assert stamps == sorted(stamps)
    assert len(ids(client.search("deals", limit=10))) == 10
    assert client.search("deals", limit=7).json()["paging"] == {"next": {"after": "7"}}


def test_default_page_is_ten_and_most_200(client, portal, deal):
    for _ in range(11):
        deal()
    assert len(ids(client.search("deals"))) == 10
    assert client.search("deals", limit=201).status_code == 400
    assert client.search("deals", limit=0).status_code == 400


def test_only_the_first_sort_counts_and_text_is_ignored(client, hour):
    first = {"propertyName": "amount", "direction": "DESCENDING"}
    second = {"propertyName": "dealname", "direction": "ASCENDING"}
    assert ids(client.search("deals", sorts=[first, second])) == [record.id for record in reversed(hour)]
    assert ids(client.search("deals", sorts=["-amount"])) == [record.id for record in hour]
    assert ids(client.search("deals", sorts=[{"propertyName": STAMP, "direction": "DESCENDING"}])) == [record.id for record in reversed(hour)]
    steps = ids(client.search("deals", sorts=[{"propertyName": "hs_next_step"}]))
    assert steps == [record.id for record in hour[1::2]] + [record.id for record in hour[0::2]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([where("amount", "EQ", "300.00")], [3]),
        ([where("amount", "NEQ", "300")], [0, 1, 2, 4, 5, 6, 7, 8, 9]),
        ([where("amount", "GT", "700")], [8, 9]),
        ([where("amount", "GTE", "700"), where("amount", "LT", "900")], [7, 8]),
        ([where("amount", "BETWEEN", "100", highValue="300")], [1, 2, 3]),
        ([where("dealname", "IN", values=["deal 4", "Deal 5"])], [4, 5]),
        ([where("dealname", "NOT_IN", values=[f"Deal {n}" for n in range(8)])], [8, 9]),
        ([where("hs_next_step", "HAS_PROPERTY")], [1, 3, 5, 7, 9]),
        ([where("hs_next_step", "NOT_HAS_PROPERTY"), where("amount", "LTE", "200")], [0, 2]),
        ([where("hs_next_step", "CONTAINS_TOKEN", "7")], [7]),
        ([where("hs_next_step", "CONTAINS_TOKEN", "st*"), where("amount", "GT", "600")], [7, 9]),
        ([where("hs_next_step", "NOT_CONTAINS_TOKEN", "step")], [0, 2, 4, 6, 8]),
        ([where("createdate", "LT", "2026-11-02T14:02:00Z")], [0, 1]),
    ],
)
def test_operators(client, hour, filters, expected):
    assert ids(client.search("deals", **by_stamp(*filters))) == [hour[n].id for n in expected]


def test_groups_are_alternatives(client, hour):
    groups = [
        {"filters": [where("amount", "GT", "700")]},
        {"filters": [where("dealname", "EQ", "Deal 0")]},
        {"filters": [where("amount", "EQ", "800")]},
    ]
    assert ids(client.search("deals", filterGroups=groups)) == [hour[n].id for n in (0, 8, 9)]
    assert client.search("deals", query="deal 3").json()["total"] == 1


def test_record_ids_compare_as_numbers_or_as_text(client, portal, deal):
    portal.next_id["deals"] = 999
    made = [deal().id for _ in range(3)]
    assert made == ["999", "1000", "1001"]
    span = where("hs_object_id", "BETWEEN", "999", highValue="1000")
    sort = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
    assert ids(client.search("deals", filterGroups=[{"filters": [span]}], sorts=sort)) == ["999", "1000"]
    portal.ids_as_text = True
    assert ids(client.search("deals", sorts=sort)) == ["1000", "1001", "999"]


@pytest.mark.parametrize(
    "body",
    [
        {"filterGroups": [{"filters": [where("nonsense", "EQ", "1")]}]},
        {"filterGroups": [{"filters": [where("amount", "LIKE", "1")]}]},
        {"filterGroups": [{"filters": [where("amount", "GT", "much")]}]},
        {"filterGroups": [{"filters": [where(STAMP, "GT", "yesterday")]}]},
        {"filterGroups": [{"filters": [where("amount", "IN", "1")]}]},
        {"filterGroups": [{"filters": []}] * 7},
        {"filterGroups": [{"filters": [where("amount", "GT", "1")] * 11}]},
        {"filterGroups": "all"},
        {"sorts": [{"propertyName": "nonsense"}]},
        {"after": "x"},
    ],
)
def test_refused_queries(client, body):
    answer = client.search("deals", **body)
    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"


def test_ten_thousand_and_no_further(client, portal):
    for _ in range(10_500):
        portal.create("tasks", {"hs_task_subject": "x"})
    reached = client.search("tasks", **by_stamp(after="9800"))
    assert (len(ids(reached)), reached.json()["total"]) == (200, 10_500)
    assert reached.json()["paging"]["next"]["after"] == "10000"
    for after in ("9801", "10000"):
        refused = client.search("tasks", **by_stamp(after=after))
        assert refused.status_code == 400
        assert refused.json()["message"] == "There was a problem with the request."
    for n in range(20):
        assert len(ids(client.search("tasks", **by_stamp(where(STAMP, "GTE", "0"), after=str(n * 200))))) == 200


def test_a_lagging_index(client, portal, hour, later):
    portal.index_lag = 30
    changed, gone = hour[3], hour[4]
    was = changed.values[STAMP]
    portal.update(changed, {"amount": "7777"})
    fresh = portal.create("deals", {"dealname": "New"})
    portal.archive(gone)
    later(5)
    body = client.search("deals", **by_stamp()).json()
    shown = {record["id"]: record["properties"] for record in body["results"]}
    assert fresh.id not in shown
    assert (shown[changed.id]["amount"], shown[changed.id][STAMP]) == ("300", was)
    assert gone.id not in shown
    assert body["total"] == len(shown) + 1  # a ghost
    ghosts = client.search("deals", **by_stamp(where("dealname", "EQ", "Deal 4"))).json()
    assert ghosts == {"total": 1, "results": []}
    later(30)
    body = client.search("deals", **by_stamp()).json()
    assert body["total"] == len(body["results"]) == 10
    assert [record["id"] for record in body["results"]][-2:] == [changed.id, fresh.id]
