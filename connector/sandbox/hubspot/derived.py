"""What HubSpot fills in by itself when a record is made or changed: domains, vids, owners, task counters, amounts of deals."""

from __future__ import annotations

from collections.abc import Mapping

from connector.sandbox.hubspot.records import stamp

ENGAGEMENTS = frozenset({"calls", "emails", "meetings", "tasks", "notes", "communications"})
_BODIES = ("hs_meeting_body", "hs_task_body", "hs_note_body", "hs_call_body")


def at_birth(kind: str, number: int, values: Mapping[str, str], at: int) -> dict[str, str]:
    """Values of a record that comes through the API, which nobody sent."""
    made = {"hs_object_source": "INTEGRATION", "hs_object_source_id": "8425001", "hs_object_source_label": "INTEGRATION"}
    if kind == "contacts":
        made |= {"hs_is_contact": "true", "hs_is_unworked": "true", "hs_all_contact_vids": str(number), "hs_pipeline": "contacts-lifecycle-pipeline"}
        made |= {"lifecyclestage": "subscriber"}
    elif kind == "companies":
        made |= {"hs_pipeline": "companies-lifecycle-pipeline", "lifecyclestage": "lead", "num_associated_contacts": "0"}
        made |= {"hs_v2_date_entered_current_stage": stamp(at), "hs_v2_time_in_current_stage": stamp(at)}
        made |= {"website": values["domain"]} if values.get("domain") else {}
    elif kind == "tickets":
        made |= {"hs_ticket_id": str(number), "hs_helpdesk_sort_timestamp": stamp(at)}
    elif kind == "deals":
        made |= {"num_associated_contacts": "0", "num_notes": "0", "hs_closed_amount": "0", "hs_is_closed_won": "false", "hs_is_closed_lost": "false"}
    elif kind == "meetings":
        made |= {"hs_meeting_source": "CRM_UI"}
    elif kind == "tasks":
        made |= {
            "hs_task_type": "TODO",
            "hs_task_status": "NOT_STARTED",
            "hs_task_priority": "NONE",
            "hs_task_completion_count": "0",
            "hs_task_is_completed": "0",
        }
        made |= {f"hs_task_is_completed_{way}": "0" for way in ("call", "email", "linked_in", "sequence")}
        made |= {"hs_task_is_overdue": "false", "hs_task_is_past_due_date": "false"}
    return {name: value for name, value in made.items() if not values.get(name)}


def on_change(kind: str, values: Mapping[str, str], users: Mapping[str, str], at: int) -> dict[str, str]:
    """Values that follow from others. ``values``: those just set; ``users``: owner id → user id."""
    made: dict[str, str] = {}
    if kind == "contacts" and "email" in values:
        made["hs_email_domain"] = values["email"].rpartition("@")[2]
    if kind == "companies" and "name" in values:
        made["hs_task_label"] = values["name"]
    if kind == "tasks" and "hs_task_status" in values and "hs_task_is_completed" not in values:
        done = values["hs_task_status"] == "COMPLETED"
        made |= {"hs_task_is_completed": "1" if done else "0", "hs_task_completion_count": "1" if done else "0"}
        made |= {"hs_task_completion_date": stamp(at)} if done else {}
    if kind in ENGAGEMENTS:
        made |= _of_engagement(values, users, at)
    return made


def _of_engagement(values: Mapping[str, str], users: Mapping[str, str], at: int) -> dict[str, str]:
    made: dict[str, str] = {}
    owner = values.get("hubspot_owner_id")
    if owner:
        made |= {"hs_all_owner_ids": owner, "hs_user_ids_of_all_owners": users.get(owner, ""), "hubspot_owner_assigneddate": stamp(at)}
    body = next((values[name] for name in _BODIES if name in values), None)
    if body is not None:
        html = f"<html>\n <head></head>\n <body>\n  {body}\n </body>\n</html>"
        made |= {"hs_body_preview": body, "hs_body_preview_html": html, "hs_body_preview_is_truncated": "false"}
    return made
