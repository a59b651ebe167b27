"""Lists, records by id, batch reads, history, archiving and merging."""

from __future__ import annotations

import pytest

DEALS = "/crm/objects/2026-03/deals"


def page_through(client, path, **params):
    """Every record of a list, and the sizes of its pages."""
    records, sizes, after = [], [], None
    while True:
        body = client.get(path, **params, **({"after": after} if after else {})).json()
        records += body["results"]
        sizes.append(len(body["results"]))
        if "paging" not in body:
            return records, sizes
        after = body["paging"]["next"]["after"]
        assert "crm/objects/2026-03" not in body["paging"]["next"]["link"]


@pytest.mark.parametrize("word", ["deals", "DEAL", "Deals", "deal", "0-3"])
def test_an_object_type_has_many_names(client, deal, word):
    deal()
    assert len(client.get(f"/crm/objects/2026-03/{word}").json()["results"]) == 1


def test_unknown_object_type(client):
    answer = client.get("/crm/objects/2026-03/butterflies")
    assert answer.status_code == 400
    assert answer.json()["message"] == "Unable to infer object type from: butterflies"
    assert "category" not in answer.json()


def test_list_pages_by_id_and_stops_without_paging(client, deal):
    made = [deal().id for _ in range(23)]
    records, sizes = page_through(client, DEALS)
    assert [record["id"] for record in records] == made
    assert sizes == [10, 10, 3]
    assert page_through(client, DEALS, limit=100)[1] == [23]
    assert client.get(DEALS, limit=101).status_code == 400
    assert client.get(DEALS, limit=51, propertiesWithHistory="amount").status_code == 400
    assert client.get(DEALS, after="x").json()["category"] == "VALIDATION_ERROR"


def test_a_record_of_the_list(client, deal):
    made = deal(amount="420000.00")
    (record,) = client.get(DEALS).json()["results"]
    assert record == {
        "id": made.id,
        "properties": {
            "amount": "420000.00", "closedate": None, "createdate": "2026-11-02T14:00:00.120Z", "dealname": "Hospital A", "dealstage": "168402300",
            "hs_lastmodifieddate": "2026-11-02T14:00:00.120Z", "hs_object_id": made.id, "pipeline": "default",
        },
        "createdAt": "2026-11-02T14:00:00.120Z", "updatedAt": "2026-11-02T14:00:00.120Z", "archived": False,
        "url": f"https://app.hubspot.com/contacts/24680135/record/0-3/{made.id}",
    }  # fmt: skip


def test_every_value_is_text_or_null(client, deal, portal, later):
    made = deal(amount="12.5", baa_flag="true", closedate="2026-12-01T17:00:00Z")
    later(5)
    portal.update(made, {"amount": ""})
    names = ",".join(portal.properties["deals"])
    for kind in ("deals", "0-3"):
        properties = client.get(f"/crm/objects/2026-03/{kind}/{made.id}", properties=names).json()["properties"]
        assert {type(value) for value in properties.values()} == {str, type(None)}
    assert properties["amount"] == ""  # cleared
    assert properties["hs_arr"] is None  # never set
    assert properties["baa_flag"] == "true"


def test_properties_repeated_joined_and_unknown(client, deal):
    made = deal()
    for query in ("properties=dealname&properties=hs_arr&properties=nonsense", "properties=dealname,hs_arr,nonsense"):
        properties = client.get(f"{DEALS}/{made.id}?{query}").json()["properties"]
        assert set(properties) == {"dealname", "hs_arr", "createdate", "hs_lastmodifieddate", "hs_object_id"}


def test_a_deal_may_have_neither_stage_nor_pipeline(client, portal):
    made = portal.create("deals", {"dealname": "Imported"})
    shown = client.get(f"{DEALS}/{made.id}", properties="dealstage,pipeline,hs_is_closed").json()["properties"]
    assert (shown["dealstage"], shown["pipeline"], shown["hs_is_closed"]) == (None, None, None)
    portal.update(made, {"dealstage": "closedwon", "pipeline": "default"})
    assert made.values["hs_is_closed_won"] == "true"


def test_contacts_have_other_stamp_names(client, portal):
    portal.create("contacts", {"jobtitle": "CFO"})
    (record,) = client.get("/crm/objects/2026-03/contacts", properties="jobtitle").json()["results"]
    assert set(record["properties"]) == {"jobtitle", "createdate", "lastmodifieddate", "hs_object_id"}
    portal.create("tasks", {"hs_timestamp": "2026-11-05T17:00:00Z"})
    (task,) = client.get("/crm/objects/2026-03/tasks").json()["results"]
    assert set(task["properties"]) == {"hs_createdate", "hs_lastmodifieddate", "hs_object_id"}


def test_missing_record_is_html(client):
    answer = client.get(f"{DEALS}/999")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html;charset=iso-8859-1"
    assert answer.headers["x-hubspot-notfound"] == "true"
    assert "<h2>HTTP ERROR 404</h2>" in answer.text


def test_a_url_may_be_too_long(client):
    names = ",".join(f"property_number_{n}" for n in range(600))
    assert client.get(DEALS, properties=names).status_code == 414


def test_history_is_newest_first_with_sources(client, deal, portal, later):
    made = deal(amount="1")
    for stage in ("appointmentscheduled", "168402300", "168402311"):
        later(60)
        portal.update(made, {"dealstage": stage})
    body = client.get(f"{DEALS}/{made.id}", propertiesWithHistory="dealstage,hs_is_closed,hs_arr").json()
    history = body["propertiesWithHistory"]
    assert set(history) == {"dealstage", "hs_is_closed"}  # hs_arr has no value
    assert [entry["value"] for entry in history["dealstage"]] == ["168402311", "168402300", "appointmentscheduled", "168402300"]
    assert history["dealstage"][0] == {
        "value": "168402311", "timestamp": "2026-11-02T14:03:00.120Z", "sourceType": "CRM_UI", "sourceId": "userId:1000001",
        "updatedByUserId": 1000001,
    }  # fmt: skip
    assert history["hs_is_closed"] == [{"value": "false", "timestamp": "2026-11-02T14:00:00.120Z", "sourceType": "CALCULATED"}]


def test_batch_read_with_history_and_a_missing_id(client, deal):
    made = [deal(amount="5"), deal()]
    inputs = [{"id": made[1].id}, {"id": "30000000999"}, {"id": made[0].id}]
    body = {"inputs": inputs, "properties": ["amount"], "propertiesWithHistory": ["amount"]}
    answer = client.post(f"{DEALS}/batch/read", body)
    assert answer.status_code == 207
    found = answer.json()
    assert found["status"] == "COMPLETE"
    assert [record["id"] for record in found["results"]] == [made[0].id, made[1].id]
    assert [record["properties"]["amount"] for record in found["results"]] == ["5", None]
    assert found["results"][0]["propertiesWithHistory"]["amount"][0]["value"] == "5"
    assert found["results"][1]["propertiesWithHistory"] == {}
    assert found["numErrors"] == 1
    (error,) = found["errors"]
    assert (error["category"], error["context"]) == ("OBJECT_NOT_FOUND", {"ids": ["30000000999"]})
    assert client.post(f"{DEALS}/batch/read", {"inputs": inputs[:1]}).status_code == 200


def test_batch_read_sizes(client):
    many = [{"id": str(n)} for n in range(1, 102)]
    assert client.post(f"{DEALS}/batch/read", {"inputs": many}).status_code == 400
    assert client.post(f"{DEALS}/batch/read", {"inputs": many[:100]}).status_code == 207
    assert client.post(f"{DEALS}/batch/read", {"inputs": many[:51], "propertiesWithHistory": ["amount"]}).status_code == 400
    assert client.post(f"{DEALS}/batch/read", {"inputs": many[:50], "propertiesWithHistory": ["amount"]}).status_code == 207
    assert client.call("POST", f"{DEALS}/batch/read", data="[").status_code == 400


def test_archiving_moves_no_stamp_and_the_sweep_finds_it(client, deal, portal, later):
    kept, gone = deal(), deal()
    later(3600)
    portal.archive(gone)
    assert [record["id"] for record in client.get(DEALS).json()["results"]] == [kept.id]
    assert client.get(f"{DEALS}/{gone.id}").status_code == 404
    assert client.search("deals").json()["total"] == 1
    (swept,) = client.get(DEALS, archived="true").json()["results"]
    assert (swept["archived"], swept["archivedAt"]) == (True, "2026-11-02T15:00:00.120Z")
    assert swept["updatedAt"] == "2026-11-02T14:00:00.120Z"
    inputs = {"inputs": [{"id": gone.id}]}
    assert client.post(f"{DEALS}/batch/read", inputs).status_code == 207
    assert client.post(f"{DEALS}/batch/read?archived=true", inputs).json()["results"][0]["id"] == gone.id
    portal.restore(gone)
    assert [record["id"] for record in client.get(DEALS).json()["results"]] == [kept.id, gone.id]
    assert client.get(DEALS, archived="true").json()["results"] == []
    back = client.get(f"{DEALS}/{gone.id}").json()
    assert (back["archived"], back["updatedAt"]) == (False, "2026-11-02T14:00:00.120Z")
    assert "archivedAt" not in back
    portal.erase(gone)
    assert client.get(DEALS, archived="true").json()["results"] == []
    assert client.search("deals").json()["total"] == 1


def test_merge_makes_a_new_deal_with_redirects(client, deal, portal, later):
    loser = deal(amount="10", hs_next_step="call")
    later(60)
    winner = deal(amount="20")
    contacts = [portal.create("contacts", {}) for _ in range(2)]
    portal.associate(loser, contacts[0], "VAC chair")
    portal.associate(winner, contacts[1])
    later(60)
    portal.update(loser, {"amount": "11"})
    later(60)
    heir = portal.merge(winner, loser)
    assert heir.id not in (winner.id, loser.id)
    for asked in (winner.id, loser.id, heir.id):
        body = client.get(f"{DEALS}/{asked}", properties="amount,hs_next_step,hs_merged_object_ids", propertiesWithHistory="amount").json()
        assert body["id"] == heir.id
    assert body["properties"]["amount"] == "20"
    assert body["properties"]["hs_next_step"] == "call"
    assert body["properties"]["hs_merged_object_ids"] == f"{winner.id};{loser.id}"
    assert body["createdAt"] == "2026-11-02T14:00:00.120Z"
    assert [entry["value"] for entry in body["propertiesWithHistory"]["amount"]] == ["20", "11", "20", "10"]
    assert body["propertiesWithHistory"]["amount"][0]["sourceType"] == "MERGE_OBJECTS"
    assert [record["id"] for record in client.get(DEALS).json()["results"]] == [heir.id]
    (read,) = client.post(f"{DEALS}/batch/read", {"inputs": [{"id": loser.id}]}).json()["results"]
    assert read["id"] == heir.id
    linked = client.post("/crm/associations/2026-03/deals/contacts/batch/read", {"inputs": [{"id": heir.id}, {"id": loser.id}]}).json()
    assert [row["toObjectId"] for row in linked["results"][0]["to"]] == [contact.id for contact in contacts]
    assert linked["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    last = portal.merge(heir, deal())
    assert client.get(f"{DEALS}/{loser.id}").json()["id"] == last.id


def test_company_merge_keeps_one_primary_company_a_deal(client, deal, portal):
    one, two = (portal.create("companies", {"name": name}) for name in ("A", "B"))
    made = deal()
    portal.associate(made, one, "Primary")
    portal.associate(made, two)
    heir = portal.merge(one, two)
    assert heir.values["name"] == "A"
    (row,) = client.post("/crm/associations/2026-03/deals/companies/batch/read", {"inputs": [{"id": made.id}]}).json()["results"]
    assert row["to"] == [
        {"toObjectId": heir.id, "associationTypes": [
            {"category": "HUBSPOT_DEFINED", "typeId": 5, "label": "Primary"}, {"category": "HUBSPOT_DEFINED", "typeId": 341, "label": None}]}
    ]  # fmt: skip


def test_what_the_portal_keeps_on_a_deal(client, deal, portal, later):
    names = (
        "hs_deal_stage_probability,hs_is_closed,hs_is_closed_won,closedate,amount_in_home_currency,hs_projected_amount,days_to_close,hs_exchange_rate"
    )
    made = deal(amount="1000.50", deal_currency_code="EUR", closedate="2026-12-31T17:00:00Z", dealstage="contractsent")
    shown = client.get(f"{DEALS}/{made.id}", properties=names).json()["properties"]
    assert shown["hs_deal_stage_probability"] == "0.90000000000000002220446049250313080847263336181640625"
    assert (shown["amount_in_home_currency"], shown["hs_projected_amount"], shown["days_to_close"]) == ("1100.55", "900.45", "0")
    portal.set_rate("EUR", portal.rates["EUR"] * 2)
    moved = client.get(f"{DEALS}/{made.id}", properties=names).json()
    assert moved["properties"]["amount_in_home_currency"] == "2201.1"
    assert moved["updatedAt"] == "2026-11-02T14:00:00.120Z"
    later(86_400 * 3)
    portal.update(made, {"dealstage": "closedwon"})
    portal.set_rate("EUR", portal.rates["EUR"] / 2)
    won = client.get(f"{DEALS}/{made.id}", properties=names).json()["properties"]
    assert (won["hs_is_closed"], won["hs_is_closed_won"], won["hs_deal_stage_probability"]) == ("true", "true", "1.000000")
    assert won["closedate"] == "2026-11-05T14:00:00.120Z"
    assert (won["amount_in_home_currency"], won["hs_exchange_rate"], won["days_to_close"]) == ("2201.1", "2.2", "3")


def test_close_date_is_not_set_again_from_won_to_won(portal, deal, later):
    made = deal(pipeline="77120044", dealstage="172000104")
    later(60)
    portal.update(made, {"dealstage": "172000105"})
    closed = made.values["closedate"]
    later(86_400)
    portal.update(made, {"dealstage": "172000107"})
    assert made.values["closedate"] == closed
    assert made.values["hs_is_closed_won"] == "true"


def test_stage_timers(portal, deal, later):
    made = deal(dealstage="appointmentscheduled")
    later(100)
    portal.update(made, {"dealstage": "qualifiedtobuy"})
    later(50)
    portal.update(made, {"dealstage": "appointmentscheduled"})
    assert made.values["hs_v2_date_entered_appointmentscheduled"] == "2026-11-02T14:02:30.120Z"
    assert made.values["hs_v2_latest_time_in_appointmentscheduled"] == "100000"
    later(10)
    portal.update(made, {"dealstage": "168402311"})
    assert made.values["hs_v2_cumulative_time_in_appointmentscheduled"] == "110000"
    assert made.values["hs_v2_date_entered_current_stage"] == made.values["hs_v2_time_in_current_stage"] == "2026-11-02T14:02:40.120Z"
