"""Association reads: labels, pages of one record, the empty set."""

from __future__ import annotations

PATH = "/crm/associations/2026-03/deals/contacts/batch/read"


def test_one_pair_with_several_types(client, portal, deal):
    made, contact = deal(), portal.create("contacts", {})
    portal.associate(made, contact)
    portal.associate(made, contact, "VAC chair")
    answer = client.post(PATH, {"inputs": [{"id": made.id}]})
    assert answer.status_code == 200
    body = answer.json()
    assert "errors" not in body
    types = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}, {"category": "USER_DEFINED", "typeId": 17, "label": "VAC chair"}]
    assert body["results"] == [{"from": {"id": made.id}, "to": [{"toObjectId": contact.id, "associationTypes": types}]}]
    back = client.post("/crm/associations/2026-09/0-1/DEAL/batch/read", {"inputs": [{"id": contact.id}]}).json()["results"][0]["to"]
    assert [(row["toObjectId"], sorted(kind["typeId"] for kind in row["associationTypes"])) for row in back] == [(made.id, [4, 18])]


def test_no_associations_is_an_error_of_a_207(client, portal, deal):
    made, alone = deal(), deal()
    portal.associate(made, portal.create("contacts", {}))
    answer = client.post(PATH, {"inputs": [{"id": made.id}, {"id": alone.id}]})
    assert answer.status_code == 207
    body = answer.json()
    assert (len(body["results"]), body["numErrors"]) == (1, 1)
    assert body["errors"] == [{
        "status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No contact is associated with deal {alone.id}.",
        "context": {"fromObjectId": [alone.id], "fromObjectType": ["deal"], "toObjectType": ["contact"]},
    }]  # fmt: skip


def test_each_record_has_its_own_pages(client, portal, deal):
    crowded, small = deal(), deal()
    contacts = [portal.create("contacts", {}) for _ in range(230)]
    for contact in contacts:
        portal.associate(crowded, contact)
    portal.associate(small, contacts[0])
    first, other = client.post(PATH, {"inputs": [{"id": crowded.id}, {"id": small.id}]}).json()["results"]
    assert (len(first["to"]), len(other["to"])) == (100, 1)
    assert "paging" not in other
    seen, after = list(first["to"]), first["paging"]["next"]["after"]
    while after:
        (result,) = client.post(PATH, {"inputs": [{"id": crowded.id, "after": after}]}).json()["results"]
        seen += result["to"]
        after = result["paging"]["next"]["after"] if "paging" in result else None
    assert [row["toObjectId"] for row in seen] == [contact.id for contact in contacts]
    assert client.post(PATH, {"inputs": [{"id": crowded.id, "after": "§"}]}).status_code == 400


def test_a_thousand_inputs_at_most(client):
    many = [{"id": str(n)} for n in range(1, 1002)]
    assert client.post(PATH, {"inputs": many}).status_code == 400
    assert client.post(PATH, {"inputs": many[:1000]}).json()["numErrors"] == 1000


def test_associations_move_no_stamp_but_the_count(client, portal, deal, later):
    made, contact = deal(), portal.create("contacts", {})
    before = made.stamp
    later(60)
    portal.associate(made, contact)
    assert (made.stamp, contact.stamp) == (before, before)
    assert made.values["num_associated_contacts"] == "1"
    portal.dissociate(made, contact)
    assert made.values["num_associated_contacts"] == "0"
    assert client.post(PATH, {"inputs": [{"id": made.id}]}).json()["numErrors"] == 1


def test_an_archived_contact_is_not_linked_until_restored(client, portal, deal):
    made, contact = deal(), portal.create("contacts", {})
    portal.associate(made, contact)
    portal.archive(contact)
    assert client.post(PATH, {"inputs": [{"id": made.id}]}).json()["results"] == []
    portal.restore(contact)
    assert len(client.post(PATH, {"inputs": [{"id": made.id}]}).json()["results"]) == 1


def test_a_deal_has_one_primary_company(client, portal, deal):
    made, old, new = deal(), portal.create("companies", {}), portal.create("companies", {})
    portal.associate(made, old, "Primary")
    portal.associate(made, new, "Primary")
    (row,) = client.post("/crm/associations/2026-03/deals/companies/batch/read", {"inputs": [{"id": made.id}]}).json()["results"]
    primary = {to["toObjectId"]: any(kind["label"] == "Primary" for kind in to["associationTypes"]) for to in row["to"]}
    assert primary == {old.id: False, new.id: True}


def test_more_than_a_thousand_targets_and_inline_lists_are_cut(client, portal, deal):
    crowded = deal()
    contacts = [portal.create("contacts", {}) for _ in range(1_050)]
    for contact in contacts:
        portal.associate(crowded, contact)
    seen, after = [], None
    while True:
        (row,) = client.post(PATH, {"inputs": [{"id": crowded.id} | ({"after": after} if after else {})]}).json()["results"]
        seen += [to["toObjectId"] for to in row["to"]]
        if "paging" not in row:
            break
        after = row["paging"]["next"]["after"]
    assert seen == [contact.id for contact in contacts]
    shown = client.get(f"/crm/objects/2026-03/deals/{crowded.id}", associations="contacts,companies").json()["associations"]
    assert (list(shown), len(shown["contacts"]["results"])) == (["contacts"], 100)
    assert shown["contacts"]["results"][0] == {"id": contacts[0].id, "type": "deal_to_contact"}


def test_inline_ids_repeat_once_a_type_and_the_key_is_absent_without_links(client, portal, deal):
    made, alone, company = deal(), deal(), portal.create("companies", {})
    portal.associate(made, company, "Primary")
    rows = client.get("/crm/objects/2026-03/deals", associations="companies").json()["results"]
    kinds = [{"id": company.id, "type": "deal_to_company"}, {"id": company.id, "type": "deal_to_company_unlabeled"}]
    assert [row.get("associations") for row in rows] == [{"companies": {"results": kinds}}, None]
    assert alone.id == rows[1]["id"]
    assert client.get("/crm/objects/2026-03/deals", associations="rockets").status_code == 400


def test_links_made_and_taken_away_through_the_api(client, portal, deal):
    made, contact = deal(), portal.create("contacts", {})
    before = made.stamp
    path = "/crm/associations/2026-03/deals/contacts/batch"
    pair = {"from": {"id": made.id}, "to": {"id": contact.id}, "types": [{"associationCategory": "USER_DEFINED", "associationTypeId": 17}]}
    answer = client.post(f"{path}/create", {"inputs": [pair]})
    assert (answer.status_code, answer.json()["results"][0]["labels"]) == (201, ["VAC chair"])
    answer = client.post(f"{path}/create", {"inputs": [pair, pair | {"to": {"id": "1234"}}, pair | {"to": {"id": "x"}}]})
    assert (answer.status_code, len(answer.json()["results"])) == (207, 1)
    assert [row["message"] for row in answer.json()["errors"]] == ["CONTACT=1234 is not valid", "x is not a valid ID"]
    assert client.post(f"{path}/create", {"inputs": [pair | {"types": [{"associationTypeId": 99}]}]}).status_code == 400
    assert client.post(f"{path}/archive", {"inputs": [{"from": {"id": made.id}, "to": [{"id": contact.id}]}]}).status_code == 204
    assert client.post(PATH, {"inputs": [{"id": made.id}]}).json()["numErrors"] == 1
    assert made.stamp == before


def test_the_default_link(client, portal, deal):
    made, contact = deal(), portal.create("contacts", {})
    path = f"/crm/objects/2026-03/deals/{made.id}/associations/default/contacts"
    rows = client.call("PUT", f"{path}/{contact.id}").json()["results"]
    assert [(row["from"]["id"], row["to"]["id"], row["associationSpec"]["associationTypeId"]) for row in rows] == [
        (made.id, contact.id, 3), (contact.id, made.id, 4)]  # fmt: skip
    assert client.call("PUT", f"{path}/1").status_code == 404
