from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector import privacy
from connector.clock import Calendar
from connector.mapping.apply import Mapper
from connector.mapping.schema import CrmMapping
from connector.mapping.uses import is_denied
from connector.model.ladder import Ladder

LADDER = Ladder.model_validate({"ladder": [{"key": "closed_won", "label": "Won", "kind": "won"}]})
FREE_TEXT = {
    "Opportunity": ["Description", "NextStep"], "Task": ["Description"], "Event": ["Description"], "deals": ["description", "hs_next_step"],
    "calls": ["hs_call_body", "hs_call_recording_url"], "emails": ["hs_email_text", "hs_email_html"],
    "meetings": ["hs_meeting_body", "hs_internal_meeting_notes"], "tasks": ["hs_task_body"], "notes": ["hs_note_body", "hs_timestamp"],
    "Contact": ["FirstName", "LastName", "Email", "Phone", "Birthdate", "MailingStreet"], "contacts": ["firstname", "email", "phone", "address"],
    "EmailMessage": ["Subject", "TextBody"], "ContentVersion": ["Title"],
}  # fmt: skip


@pytest.mark.parametrize(("object", "field"), [(o, f) for o, fields in FREE_TEXT.items() for f in fields])
def test_built_in_deny_list(object: str, field: str) -> None:
    assert privacy.denied(object, field)
    assert privacy.denied(object, field.upper())


def test_what_may_be_read_and_what_an_admin_adds() -> None:
    assert not privacy.denied("Contact", "Title")
    assert not privacy.denied("contacts", "jobtitle")
    assert not privacy.denied("Account", "Name")
    assert privacy.denied("Opportunity", "Case_Notes__c", {"opportunity": ["case_notes__C"]})
    assert not privacy.denied("Task", "Case_Notes__c", {"Opportunity": ["Case_Notes__c"]})
    assert privacy.denied("deals", "procedure_note", names_like=["procedure_note"])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Patient_Name__c", "patient"), ("patientCount", "patient"), ("MRN__c", "mrn"), ("dob", "dob"), ("Contact_SSN__c", "ssn"),
        ("Diagnosis__c", "diagnos"),
        ("icd10_code", "icd"), ("Insurance_Plan__c", "insur"), ("MemberId", "member_id"), ("member_id", "member_id"),
        ("Outpatient_Volume__c", None), ("Incidents__c", None), ("Adobe_Id__c", None), ("Reassurance", None), ("Amount", None),
        ("hs_object_id", None),
    ],
)  # fmt: skip
def test_names_that_look_like_patient_data(name: str, word: str | None) -> None:
    assert privacy.looks_protected(name) == word


_FIELDS = st.sampled_from([
    "Amount", "CloseDate", "Description", "NextStep", "Patient_Id__c", "Custom__c", "description", "hs_next_step", "amount", "Secret__c", "MRN__c",
    "hs_task_body", "Segment__c", "Email", "Title", "email", "firstname",
])  # fmt: skip
_NAMES = st.sampled_from(["name", "owner", "created_at", "closes_on", "amount", "arr", "lead_source", "product", "loi_signed_on", "deal_type"])


@st.composite
def _mappings(draw: st.DrawFn) -> CrmMapping:
    crm = draw(st.sampled_from(["salesforce", "hubspot"]))
    deal, account, contact = ("Opportunity", "Account", "Contact") if crm == "salesforce" else ("deals", "companies", "contacts")
    activity = draw(st.sampled_from(["Task", "Event"] if crm == "salesforce" else ["calls", "meetings", "tasks"]))
    fields = {name: {"from": field} for name, field in draw(st.dictionaries(_NAMES, _FIELDS, min_size=1)).items()}
    fields["segment"] = {"from": f"{account}.{draw(_FIELDS)}", "values": {"x": "clinic"}}
    gate = {"opened_on": {"from": draw(_FIELDS)}, "result": {"from": draw(_FIELDS), "values": {"a": "approved"}}}
    return CrmMapping.model_validate({
        "version": 1, "crm": crm, "opportunities": {"object": deal, "pipelines": {"p": "all"}, "fields": fields},
        "stages": {"all": {"live": {"Won": "closed_won"}}}, "gates": {"vac": gate},
        "activities": {"objects": (activity,), "rules": ({"topic": "demo", "when": {draw(_FIELDS): ("a",)}},),
                       "outcome": {"from": f"{activity}.{draw(_FIELDS)}", "values": {"a": "held"}}},
        "personas": {"kol": {"from": f"{contact}.{draw(_FIELDS)}"}, "lookups": {draw(_FIELDS): "cfo"}, "titles": {"cfo": ("cfo",)}},
        "scorecard": {"opportunity": {"pace": "KPI_Pace__c" if crm == "salesforce" else "kpi_pace"}},
        "deny": {"fields": {deal: tuple(draw(st.lists(_FIELDS, max_size=3)))}, "names_like": draw(st.sampled_from([(), ("patient", "secret")]))},
    })  # fmt: skip


@pytest.mark.property
@settings(max_examples=300, deadline=None)
@given(_mappings())
def test_nothing_denied_is_ever_selected(mapping: CrmMapping) -> None:
    for spec in Mapper(mapping, LADDER, Calendar()).streams():
        for field in (*spec.fields, *spec.history):
            assert not is_denied(mapping, spec.object, field.rpartition(".")[2]), (spec.object, field)
            assert not privacy.denied(spec.object, field)
        assert spec.presence == ()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Bearer 00Dxx!AQcAQH0dMHZfz972", "Authorization: Bearer ***"),
        ("token pat-na1-1234abcd-99 refused", "token *** refused"),
        ("access_token=abc123&x=1", "access_token=***&x=1"),
        ('{"client_secret": "hush hush", "n": 1}', '{"client_secret": "***", "n": 1}'),
        ("from dana.lee@hospital.example", "from d***@h***.example"),
        ("member 123-45-6789", "member ***"),
        ("eyJhbGciOi.eyJzdWIi.c2ln", "***"),
        ("plain words stay", "plain words stay"),
    ],
)
def test_redaction(text: str, clean: str) -> None:
    assert privacy.redact(text) == clean


def test_redaction_of_events_by_key() -> None:
    event = {"Authorization": "x", "subject": "Dr Smith", "deal": {"dealname": "Smith knee", "id": "1"}, "n": 3, "rows": [("a@b.io", None)]}
    assert privacy.redacted(event) == {
        "Authorization": "***", "subject": "***", "deal": {"dealname": "***", "id": "1"}, "n": 3, "rows": [("a***@b***.io", None)],
    }  # fmt: skip


@pytest.mark.property
@given(st.text(alphabet=string.ascii_letters + string.digits, min_size=12, max_size=60))
def test_a_bearer_token_never_survives(token: str) -> None:
    assert token not in privacy.redact(f"GET /x Authorization: Bearer {token}")
