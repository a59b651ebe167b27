"""Leads, tickets, mails and line items from a CRM into the sections of a book, where the mapping has them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from connector import sync
from connector.state.frames import sections
from tests.mapping.test_sections import HUBSPOT, SALESFORCE
from tests.rig import NAME, Rig, opened


def told(rig: Rig) -> dict[str, list[dict[str, Any]]]:
    mapped, definitions = rig.app.mapped(NAME), rig.app.definitions
    return sections(
        rig.app.store, NAME, day=definitions.calendar.day, stage_of=mapped.stages.canonical, pipeline_of=mapped.stages.pipeline,
        ignored=mapped.stages.ignored,
    )  # fmt: skip


def mapped_too(rig: Rig, more: str, *, mails: bool = False) -> None:
    path = rig.own_mappings() / f"{rig.crm}.yaml"
    text = path.read_text()
    if mails:
        text = text.replace("objects: [Task, Event]", "objects: [Task, Event, EmailMessage]")
    path.write_text(text + more)
    rig.reopen()


def test_salesforce(tmp_path: Path) -> None:
    with opened("salesforce", tmp_path) as rig:
        mapped_too(rig, SALESFORCE.replace("MQL_On__c, type: date", "CreatedDate"), mails=True)
        org, deal = rig.world.org, rig.deals[0]
        converted = org.insert("Lead", {"LastName": "Doe", "Company": "Mercy", "LeadSource": "Web", "OwnerId": rig.owners[0]})
        won = {"Name": "From a lead", "StageName": "Prospect", "CloseDate": date(2027, 1, 31)}
        new_deal = org.convert_lead(converted, opportunity=won)[2]
        gone = org.insert("Lead", {"LastName": "Roe", "Company": "Unity", "OwnerId": rig.owners[0]})
        case = org.insert("Case", {"AccountId": rig.accounts[0], "Priority": "High", "OwnerId": rig.owners[0], "Subject": "secret"})
        task = org.insert("Task", {
            "WhatId": deal, "OwnerId": rig.owners[0], "Subject": "Email: x", "TaskSubtype": "Email", "Status": "Completed",
            "ActivityDate": date(2026, 11, 2),
        })  # fmt: skip
        mail = org.insert("EmailMessage", {
            "RelatedToId": deal, "ActivityId": task, "Incoming": True, "Status": "Read", "MessageDate": rig.now, "TextBody": "secret",
        })  # fmt: skip
        small, large = (org.insert("Product2", {"Name": name, "Family": "Capital"}) for name in ("Kit", "Console"))
        for product, price in ((small, 10), (large, 900)):
            org.insert("OpportunityLineItem", {"OpportunityId": deal, "Product2Id": product, "Quantity": 1, "UnitPrice": price, "TotalPrice": price})
        org.set_silently("Opportunity", deal, {"Primary_Product__c": None})
        rig.advance(seconds=4000)
        pulled = rig.pull()
        assert not pulled.findings
        assert {r.stream: (r.live, r.held) for r in pulled.reconciled if r.stream in ("leads", "tickets", "line_items", "emails")} == {
            "leads": (2, 2), "tickets": (1, 1), "line_items": (2, 2), "emails": (1, 1),
        }  # fmt: skip
        found = told(rig)
        lead = next(row for row in found["leads"] if row["id"] == converted)
        assert (lead["lead_source"], lead["mql_on"], lead["opportunity"]) == ("Web", date(2026, 11, 2), new_deal)
        assert found["tickets"] == [{"id": case, "account": rig.accounts[0], "severity": "critical", "opened_on": date(2026, 11, 2)}]
        mails = [row for row in found["activities"] if row["kind"] == "email"]
        assert [(row["id"], row["direction"], row["opportunity"]) for row in mails] == [(mail, "inbound", deal)]  # not its task as well
        assert next(row["product"] for row in found["opportunities"] if row["id"] == deal) == "Console"
        assert "secret" not in str(found)
        org.delete("Lead", gone)
        rig.advance(seconds=4000)
        rig.pull()
        assert [row["id"] for row in told(rig)["leads"]] == [converted]
        book = sync.book(rig.app.mapped(NAME), rig.app.store, rig.app.definitions, rig.now + timedelta(days=1))
        assert (book.leads.height, book.tickets.height) == (1, 1)


def test_hubspot(tmp_path: Path) -> None:
    with opened("hubspot", tmp_path) as rig:
        more = HUBSPOT.replace("hs_lifecyclestage_marketingqualifiedlead_date", "hs_lifecyclestage_subscriber_date")
        more = more.replace("hs_analytics_source", "lifecyclestage")
        mapped_too(rig, more)
        portal = rig.world.portal
        contact = portal.resolve("contacts", rig.contacts[0])
        company = portal.resolve("companies", rig.accounts[0])
        assert contact is not None
        assert company is not None
        portal.update(contact, {"lifecyclestage": "opportunity"})
        ticket = portal.create("tickets", {"subject": "secret", "hs_pipeline": "0", "hs_pipeline_stage": "1", "hs_ticket_priority": "URGENT"})
        portal.associate(ticket, company)
        rig.advance(seconds=4000)
        pulled = rig.pull()
        assert not pulled.findings
        assert {r.stream: (r.live, r.held) for r in pulled.reconciled if r.stream in ("leads", "tickets")} == {"leads": (4, 4), "tickets": (1, 1)}
        found = told(rig)
        lead = next(row for row in found["leads"] if row["id"] == rig.contacts[0])
        assert (lead["lead_source"], lead["opportunity"]) == ("opportunity", rig.deals[0])
        (held,) = found["tickets"]
        assert (held["account"], held["severity"]) == (rig.accounts[0], "critical")
        assert held["opened_on"] == rig.app.definitions.calendar.day(datetime.fromisoformat("2026-11-02T14:00:00+00:00"))
        assert "secret" not in str(found)
