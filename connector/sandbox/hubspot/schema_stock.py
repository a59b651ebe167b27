"""Properties that HubSpot itself puts on every portal's records, beside those the business of the sandbox works with.

One property a line: ``name type [fieldType][!] | label | options``. A ``!`` means that nobody can write it.
"""

from __future__ import annotations

_SOURCE = """
hs_object_source string text! | Record source
hs_object_source_id string text! | Record source ID
hs_object_source_label string text! | Record source detail"""

_ENGAGEMENT = """
hs_all_owner_ids enumeration checkbox! | All owner IDs
hs_user_ids_of_all_owners enumeration checkbox! | User IDs of all owners
hubspot_owner_assigneddate datetime date! | Owner assigned date
hs_body_preview string text! | Body preview
hs_body_preview_html string html! | Body preview (HTML)
hs_body_preview_is_truncated bool booleancheckbox! | Body preview is truncated"""

_STAGE = """
hs_v2_date_entered_current_stage datetime calculation_read_time! | Date entered current stage
hs_v2_time_in_current_stage datetime calculation_read_time! | Time in current stage"""

_TABLES: dict[str, tuple[str, ...]] = {
    "deals": (_SOURCE, """
hs_forecast_amount number calculation_equation! | Forecast amount
hs_closed_amount number calculation_equation! | Closed deal amount
num_notes number calculation_rollup! | Number of sales activities
closed_lost_reason string textarea | Closed lost reason"""),
    "contacts": (_SOURCE, """
hs_email_domain string text! | Email domain
hs_is_contact bool booleancheckbox! | Is a contact
hs_is_unworked bool calculation_equation! | Contact unworked
hs_all_contact_vids enumeration checkbox! | All vids for a contact
hs_pipeline string text! | Lifecycle pipeline
lifecyclestage enumeration radio | Lifecycle stage | subscriber=Subscriber, lead=Lead, opportunity=Opportunity, customer=Customer
hs_lifecyclestage_subscriber_date datetime date! | Became a subscriber date
hs_calculated_merged_vids enumeration checkbox! | Merged vids with timestamps
associatedcompanyid number number | Primary associated company ID
closedate datetime date | Close date
company string text | Company name
country string text | Country
city string text | City
address string text | Street address
phone string phonenumber | Phone number
mobilephone string phonenumber | Mobile phone number
website string text | Website URL
message string textarea | Message"""),
    "companies": (_SOURCE, """
website string text | Website URL
industry string text | Industry
description string textarea | Description
phone string phonenumber | Phone number
city string text | City
state string text | State
country string text | Country
facebookfans number number | Facebook fans
twitterhandle string text | Twitter handle
hs_pipeline string text! | Lifecycle pipeline
hs_task_label string text! | Record name
lifecyclestage enumeration radio | Lifecycle stage | subscriber=Subscriber, lead=Lead, opportunity=Opportunity, customer=Customer
num_associated_contacts number calculation_rollup! | Number of associated contacts""", _STAGE),
    "calls": (_SOURCE, _ENGAGEMENT, "hs_call_body string html | Call notes"),
    "emails": (_SOURCE, _ENGAGEMENT, "hs_email_text string textarea | Email body"),
    "meetings": (_SOURCE, _ENGAGEMENT, """
hs_meeting_body string html | Meeting description
hs_meeting_source string text! | Meeting source"""),
    "notes": (_SOURCE, _ENGAGEMENT, "hs_note_body string html | Note body"),
    "communications": (_SOURCE, _ENGAGEMENT, """
hs_communication_channel_type enumeration select | Channel type | WHATS_APP=WhatsApp, LINKEDIN_MESSAGE=LinkedIn, SMS=SMS
hs_communication_logged_from enumeration select | Logged from | CRM=CRM
hs_communication_body string html | Communication body"""),
    "tasks": (_SOURCE, _ENGAGEMENT, """
hs_task_body string html | Task notes
hs_task_completion_count number number! | Completion count
hs_task_is_completed_call number calculation_equation! | Completed calls
hs_task_is_completed_email number calculation_equation! | Completed emails
hs_task_is_completed_linked_in number calculation_equation! | Completed LinkedIn tasks
hs_task_is_completed_sequence number calculation_equation! | Completed sequence tasks
hs_task_is_overdue bool calculation_equation! | Is overdue
hs_task_is_past_due_date bool calculation_equation! | Is past due date"""),
    "tickets": (_SOURCE, """
subject string text | Ticket name
content string textarea | Ticket description
hs_pipeline enumeration select | Pipeline
hs_pipeline_stage enumeration radio | Ticket status
hs_ticket_priority enumeration select | Priority | LOW=Low, MEDIUM=Medium, HIGH=High, URGENT=Urgent
hs_ticket_category enumeration select | Category | PRODUCT_ISSUE=Product issue, BILLING_ISSUE=Billing issue, GENERAL_INQUIRY=General inquiry
hs_ticket_id number number! | Ticket ID
hs_is_closed bool calculation_equation! | Is closed
closed_date datetime date | Close date
source_type enumeration select | Source | CHAT=Chat, EMAIL=Email, FORM=Form, PHONE=Phone
hs_helpdesk_sort_timestamp datetime date! | Help desk sort timestamp""", _STAGE),
    "leads": (_SOURCE, """
hs_lead_name string text | Lead name
hs_lead_type enumeration select | Lead type | NEW_BUSINESS=New business, UPSELL=Upsell, RE_ATTEMPTING=Re-attempting
hs_lead_label enumeration select | Lead label | WARM=Warm, COLD=Cold, HOT=Hot
hs_lead_source string text | Lead source
hs_pipeline enumeration select | Pipeline
hs_pipeline_stage enumeration radio | Lead stage
hs_is_closed bool calculation_equation! | Is closed
hs_lead_disqualification_reason string text | Disqualification reason""", _STAGE),
    "products": (_SOURCE, """
name string text | Name
description string textarea | Description
price number number | Unit price
hs_sku string text | SKU
hs_cost_of_goods_sold number number | Unit cost
recurringbillingfrequency enumeration select | Billing frequency | monthly=Monthly, annually=Annually
hs_recurring_billing_period string text | Term"""),
}  # fmt: skip


def tables() -> dict[str, str]:
    """Object type → its rows as text."""
    return {kind: "\n".join(part.strip() for part in parts) for kind, parts in _TABLES.items()}
