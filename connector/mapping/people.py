"""Contacts and their part in a deal: persona and stance, resolved in the order of the personas page §2."""

from __future__ import annotations

from collections.abc import Iterable

from connector.clock import Calendar
from connector.crms.base import Link, Record
from connector.mapping import names, values
from connector.mapping.schema import Assignment, CrmMapping
from connector.mapping.uses import BUYING_ROLE, input_key, is_denied
from connector.model.records import CanonicalRecord, Contact, ContactRole, Mapped, Replace, Tombstone


class PeopleMapper:
    def __init__(self, mapping: CrmMapping, calendar: Calendar) -> None:
        self._mapping = mapping
        self._people = mapping.personas
        self._calendar = calendar
        self._labels = {name.casefold(): assignment for name, assignment in (*self._people.roles.items(), *self._people.labels.items())}

    def contact(self, record: Record) -> Mapped:
        """Id, account, title, persona, stance and the opinion-leader flag: nothing else of a person is kept."""
        if record.deleted:
            return Mapped(tombstones=(Tombstone("contacts", record.id, record.merged_into),))
        salesforce = self._mapping.crm == "salesforce"
        title = values.text(record.values.get("Title" if salesforce else "jobtitle"))
        if salesforce:
            account = reference(record, "AccountId")
        else:
            account = main_link(record.links.get("companies", ()))
        persona, stance = self._of_the_contact(record, title)
        kol = None
        source = self._people.kol
        if source is not None and self._readable(source.field):
            raw = values.translated(record.values.get(source.field), source)
            kol = values.boolean(raw, source.field)
        field = input_key(self._mapping, "contacts")
        key = None if field is None else values.text(record.values.get(field))
        return Mapped(rows=(Contact(record.id, account, title, persona, stance, kol, key),))

    def _readable(self, field: str) -> bool:
        return not is_denied(self._mapping, names.CONTACT_OBJECT[self._mapping.crm], field)

    def _of_the_contact(self, record: Record, title: str | None) -> tuple[str | None, str | None]:
        """Mapped field, then buying role, then title."""
        persona = stance = None
        source = self._people.contact_field
        if source is not None and source.values is not None and self._readable(source.field):
            persona = values.translated(record.values.get(source.field), source)
        if self._people.buying_role:
            raw = values.text(record.values.get(BUYING_ROLE)) or ""
            chosen = [self._people.buying_role[part] for part in raw.split(";") if part in self._people.buying_role]
            persona = persona or _first(a.persona for a in chosen)
            stance = _first(a.stance for a in chosen)
        return persona or values.longest_phrase(title, self._people.titles), stance

    def role(self, record: Record) -> Mapped:
        """One OpportunityContactRole. Roles have no tombstones: a deleted one is a set of one that is empty now."""
        deal, contact = reference(record, "OpportunityId"), reference(record, "ContactId")
        if record.deleted:
            return Mapped(replaces=(Replace("contact_roles", "id", record.id),))
        if deal is None or contact is None:
            return Mapped()
        role = values.text(record.values.get("Role"))
        assignment = self._labels.get(role.casefold(), Assignment()) if role else Assignment()
        primary = values.boolean(record.values.get("IsPrimary"), "IsPrimary")
        added = values.instant(record.values.get("CreatedDate"), "CreatedDate")
        day = None if added is None else self._calendar.day(added)
        return Mapped(rows=(ContactRole(deal, contact, role, assignment.persona, assignment.stance, primary, day, record.id),))

    def linked(self, deal: str, links: Iterable[Link]) -> tuple[tuple[CanonicalRecord, ...], Replace]:
        """The whole set of contacts on one HubSpot deal, by association label. Associations carry no date."""
        merged: dict[str, dict[str, None]] = {}
        for link in links:
            merged.setdefault(str(link.id), {}).update(dict.fromkeys(link.labels))
        rows: list[CanonicalRecord] = []
        for contact, labels in merged.items():
            told = [self._labels[label.casefold()] for label in labels if label.casefold() in self._labels]
            rows.append(
                ContactRole(
                    deal, contact, "; ".join(labels) or None, _first(a.persona for a in told), _first(a.stance for a in told),
                    True if any(label.casefold() == "primary" for label in labels) else None,
                )
            )  # fmt: skip
        return tuple(rows), Replace("contact_roles", "opportunity", deal)

    def sweep(self, record: Record) -> Mapped:
        """The contact_roles stream of HubSpot: a deal's whole set. A deal read without its set changes nothing."""
        if record.deleted or "contacts" not in record.links:
            return Mapped()
        rows, replace = self.linked(record.id, record.links["contacts"])
        return Mapped(rows=rows, replaces=(replace,))

    def lookups(self, record: Record, deal: str) -> tuple[tuple[CanonicalRecord, ...], tuple[Replace, ...]]:
        """Contacts named by a lookup field of the deal. ``role`` names field and deal, so that a changed lookup replaces the former one."""
        rows: list[CanonicalRecord] = []
        replaces: list[Replace] = []
        for field, persona in self._people.lookups.items():
            if is_denied(self._mapping, self._mapping.opportunities.object, field):
                continue
            role = f"{field} of {deal}"
            replaces.append(Replace("contact_roles", "role", role))
            contact = reference(record, field)
            if contact is not None:
                rows.append(ContactRole(deal, contact, role, persona, id=role))
        return tuple(rows), tuple(replaces)


def _first(candidates: Iterable[str | None]) -> str | None:
    return next((c for c in candidates if c is not None), None)


def reference(record: Record, field: str) -> str | None:
    """An id, Salesforce's in its long spelling."""
    plain = values.text(record.values.get(field))
    return None if plain is None else values.id18(plain)


def main_link(links: Iterable[Link]) -> str | None:
    """The link labelled Primary, else the only one; several without a primary one are no answer."""
    found: dict[str, set[str]] = {}
    for link in links:
        found.setdefault(str(link.id), set()).update(label.casefold() for label in link.labels)
    primary = [id for id, labels in found.items() if "primary" in labels]
    if len(primary) == 1:
        return primary[0]
    return next(iter(found)) if len(found) == 1 else None


def first_link(links: Iterable[Link]) -> str | None:
    """As :func:`main_link`; of several without a primary one the oldest record, by its id."""
    several = tuple(links)
    ids = sorted({str(link.id) for link in several}, key=lambda id: (len(id), id))
    return main_link(several) or (ids[0] if ids else None)
