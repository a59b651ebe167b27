"""What is never read, what looks like protected data, and what a log line may not show.

Definitions: the security page, P2 (free-text bodies), P7 (names that look like patient data), R1 (redaction of log lines).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

DENIED_EVERYWHERE = frozenset({
    "description", "nextstep", "hs_next_step", "hs_note_body", "hs_email_text", "hs_email_html", "hs_call_body", "hs_call_recording_url",
    "hs_meeting_body", "hs_internal_meeting_notes", "hs_task_body", "hs_body_preview", "hs_body_preview_html", "hs_email_headers",
    "textbody", "htmlbody", "body", "bodypreview", "versiondata",
})  # fmt: skip
"""Free text that no mapping can ask for, lower case. That a next step exists may be asked (``presence: true``), never what it says."""

DENIED_ON_CONTACTS = frozenset({
    "name", "firstname", "lastname", "middlename", "salutation", "email", "phone", "mobilephone", "homephone", "otherphone", "assistantphone",
    "fax", "birthdate", "mailingstreet", "mailingaddress", "mailingcity", "mailingpostalcode", "otherstreet", "otheraddress",
    "date_of_birth", "address", "city", "zip", "work_email", "hs_additional_emails", "hs_full_name_or_email",
})  # fmt: skip
DENIED_OBJECTS = frozenset({"note", "notes", "attachment", "contentversion", "contentdocument", "communications"})
ALLOWED_ON_MESSAGES = frozenset({
    "id", "relatedtoid", "messagedate", "incoming", "status", "createdbyid", "activityid", "isdeleted", "systemmodstamp",
})  # fmt: skip
"""All that may be asked of an EmailMessage: that it was sent, when, which way, about which deal. Everything else is denied."""
CONTACT_OBJECTS = frozenset({"contact", "contacts", "lead", "leads"})

PROTECTED_WORDS = ("patient", "mrn", "dob", "ssn", "diagnos", "icd", "insur", "member_id")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")

SECRET_KEYS = frozenset({
    "authorization", "cookie", "set-cookie", "access_token", "refresh_token", "client_secret", "password", "private_key", "token", "assertion",
    "secret", "subject", "hs_email_subject", "hs_meeting_title", "hs_call_title", "hs_task_subject", "dealname",
})  # fmt: skip
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~!-]{6,}"), r"\1 ***"),
    (re.compile(r"\b00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]+"), "***"),
    (re.compile(r"\bpat-(?:na|eu)\d-[A-Za-z0-9-]+"), "***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "***"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S), "***"),
    (re.compile(r"""(?i)\b((?:access|refresh)_token|client_secret|password|assertion)(["']?\s*[:=]\s*)(["'])(?:(?!\3).)*\3"""), r"\1\2\3***\3"),
    (re.compile(r"(?i)\b((?:access|refresh)_token|client_secret|password|assertion)([^\w*]{1,4})[^\s&\"',}]+"), r"\1\2***"),
    (re.compile(r"\b\d{3}-\d{2}-\d{4}\b"), "***"),
)
_MAIL = re.compile(r"\b([A-Za-z0-9])[A-Za-z0-9._%+-]*@([A-Za-z0-9])[A-Za-z0-9.-]*\.([A-Za-z]{2,})\b")


def is_identifier(name: str) -> bool:
    """True for a name that may enter a query or a path: a letter, then letters, digits, ``_`` and ``.`` (T4).

    >>> is_identifier("Account.Customer_Type__c"), is_identifier("Id FROM User")
    (True, False)
    """
    return _IDENTIFIER.fullmatch(name) is not None


def denied(object: str, field: str, extra: Mapping[str, Collection[str]] | None = None, names_like: Iterable[str] = ()) -> bool:
    """True if the field may not be read: the built-in list, ``extra`` (object → fields, any case) and names like the given words.

    >>> denied("Opportunity", "NextStep"), denied("Contact", "Email"), denied("deals", "amount")
    (True, True, False)
    """
    name = field.casefold()
    if name in DENIED_EVERYWHERE or object.casefold() in DENIED_OBJECTS:
        return True
    if object.casefold() in CONTACT_OBJECTS and name in DENIED_ON_CONTACTS:
        return True
    if object.casefold() == "emailmessage" and name not in ALLOWED_ON_MESSAGES:
        return True
    for owner, names in (extra or {}).items():
        if owner.casefold() == object.casefold() and name in {n.casefold() for n in names}:
            return True
    return looks_protected(field, names_like) is not None


def looks_protected(name: str, words: Iterable[str] = PROTECTED_WORDS) -> str | None:
    """The word by which a field name or header looks like patient data, or None. Words of three letters must stand alone.

    >>> looks_protected("Patient_Count__c"), looks_protected("Incidence__c"), looks_protected("ICD10__c"), looks_protected("memberId")
    ('patient', None, 'icd', 'member_id')
    """
    return _protected(name, tuple(words))


@lru_cache(maxsize=8192)  # every run asks the same names of its mapping again
def _protected(name: str, words: tuple[str, ...]) -> str | None:
    parts = [part.casefold() for part in _CAMEL.split(name) if part]
    joined = "_".join(parts)
    for word in words:
        low = word.casefold()
        if len(low) <= 3:
            hit = any(part.rstrip("0123456789") == low for part in parts)
        else:
            hit = f"_{joined}".find(f"_{low}") >= 0
        if hit:
            return word
    return None


def redact(text: str) -> str:
    """A log line without credentials, social-security numbers and e-mail addresses.

    >>> redact("Authorization: Bearer abc.def.ghi for dana@hospital.com")
    'Authorization: Bearer *** for d***@h***.com'
    """
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return _MAIL.sub(r"\1***@\2***.\3", text)


def redacted(event: object) -> object:
    """The same structure with every text redacted and the values of secret or free-text keys masked.

    >>> redacted({"token": "x", "n": 1, "who": ["a@b.io"]})
    {'token': '***', 'n': 1, 'who': ['a***@b***.io']}
    """
    if isinstance(event, str):
        return redact(event)
    if isinstance(event, Mapping):
        return {k: "***" if v is not None and str(k).casefold() in SECRET_KEYS else redacted(v) for k, v in event.items()}
    if isinstance(event, list | tuple):
        return type(event)(redacted(item) for item in event) if type(event) in (list, tuple) else [redacted(item) for item in event]
    return event
