"""Pages for people: a deal, an account, a contact, a colleague as one of the org's users sees them, and who can log in. Plain HTML, nothing from
outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime
from typing import Any

from jinja2 import DictLoader, Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from connector.sandbox.frame import FRAME
from connector.sandbox.salesforce.ids import full_id
from connector.sandbox.salesforce.layouts import HIDDEN, sections
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.paths import reader
from connector.sandbox.salesforce.schema import MASTER_RECORD_TYPE, FieldDef, Moment, ObjectDef, Row

MOST_DEALS = 200
_RECORD = """{% extends "frame" %}{% block body %}
<p class="note"><a href="/sandbox/salesforce/deals?as={{ who.id }}">Deals</a>{% for label, path in around %} · <a href="{{ path }}">{{ label }}</a>
{% endfor %} · seen as <b>{{ who.name }}</b> ({{ who.profile }}), {{ now }}
{% for other in others %} · <a href="?as={{ other.login }}">as {{ other.login }}</a>{% endfor %}</p>
<h1>{{ title }}</h1>
{% for heading, note, fields in sections %}<section><h2>{{ heading }}</h2>
{% if note %}<p class="note" style="padding:0 1rem">{{ note }}</p>{% endif %}
<dl>{% for field in fields %}<div>
<dt{% if field.help %} title="{{ field.help }}"{% endif %}>{{ field.label }}{% if field.computed %} · formula{% endif %}</dt>
<dd data-field="{{ field.name }}">{{ field.value }}</dd></div>
{% endfor %}</dl></section>
{% endfor %}{% endblock %}"""
_DEALS = """{% extends "frame" %}{% block body %}
<p class="note">seen as <b>{{ who.name }}</b> ({{ who.profile }}) · <a href="/sandbox/salesforce/logins">other logins</a></p><h1>{{ title }}</h1>
<table><tr><th>Deal<th>Stage<th>Close date</tr>{% for row in deals %}
<tr><td><a href="/sandbox/salesforce/deals/{{ row.Id }}?as={{ who.id }}">{{ row.Name }}</a><td>{{ row.StageName }}<td>{{ row.CloseDate }}</tr>
{% endfor %}</table>{% endblock %}"""
_LOGINS = """{% extends "frame" %}{% block body %}<h1>{{ title }}</h1>
<p class="note">A token for any of them: <code>POST /sandbox/salesforce/token {"as": "…"}</code>, or the bearer token in the last column.</p>
<table><tr><th>User<th>Login<th>Profile<th>Permission sets<th>Token</tr>{% for who in people %}
<tr><td><a href="/sandbox/salesforce/deals?as={{ who.id }}">{{ who.name }}</a><td>{{ who.login }}<td>{{ who.profile }}<td>{{ who.sets }}
<td><code>sandbox-as-{{ who.login }}</code></tr>
{% endfor %}</table>{% endblock %}"""
_PAGES = Environment(loader=DictLoader({"frame": FRAME, "record": _RECORD, "deals": _DEALS, "logins": _LOGINS}), autoescape=True)
_NOT_PLACED = "Not on the page layout yet: an administrator places the section."
_SCORECARD = "KPI Scorecard"
_BESIDE = "On a row of its own beside the record: the card or the related list shows it, where an administrator has placed one."
PATHS = {"Opportunity": "deals", "Account": "accounts", "Contact": "contacts", "User": "reps"}
"""Objects with pages → where these are, below /sandbox/salesforce."""


def routes(org: Org) -> list[Route]:
    """The pages of an org."""

    def record(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def page(request: Request) -> Response:
            return _record(org, request, name)

        return page

    async def deals(request: Request) -> Response:
        return _deals(org, request)

    async def logins(request: Request) -> Response:
        people = [_who(org, key) for key, row in org.tables["User"].rows.items() if row["IsActive"]]
        return _page("logins", title="Who can log in", people=people)

    return [
        *(Route(f"/sandbox/salesforce/{path}/{{id}}", record(name), methods=["GET"]) for name, path in PATHS.items()),
        Route("/sandbox/salesforce/deals", deals, methods=["GET"]),
        Route("/sandbox/salesforce/logins", logins, methods=["GET"]),
    ]


def _page(name: str, **held: Any) -> Response:
    return HTMLResponse(_PAGES.get_template(name).render(**held))


def _refused(message: str, status: int = 404) -> Response:
    held = _PAGES.from_string('{% extends "frame" %}{% block body %}<h1>{{ title }}</h1>{% endblock %}')
    return HTMLResponse(held.render(title=message), status)


def _who(org: Org, user: str) -> dict[str, str]:
    row = org.find(user) or {}
    sets = [(org.find(key) or {}) for key in org.grants(user).sets]
    login = "admin" if user == org.admin else "integration" if user == org.api_user else row["Username"].split("@")[0]
    return {
        "id": user, "name": row["Name"], "login": login, "profile": str((org.find(row.get("ProfileId", "")) or {}).get("Name", "")),
        "sets": ", ".join(found["Name"] for found in sets if not found.get("IsOwnedByProfile")),
    }  # fmt: skip


def _deals(org: Org, request: Request) -> Response:
    org.settle()
    user = org.login(request.query_params.get("as", "rep"))
    if user is None:
        return _refused("No such user")
    rows = [row for row in org.tables["Opportunity"].rows.values() if not row.get("IsDeleted") and not row.get("IsClosed")]
    rows.sort(key=lambda row: (row["CloseDate"], row["Name"]))
    return _page("deals", title="Open deals", who=_who(org, user), deals=rows[:MOST_DEALS])


def _record(org: Org, request: Request, name: str) -> Response:
    """One record with all that the user may see of it. ``as=rep``: its owner, of a colleague's page that colleague."""
    org.settle()
    key = full_id(str(request.path_params["id"])) or ""
    row = org.tables[name].rows.get(key)
    if row is None or row.get("IsDeleted"):
        return _refused("No such deal" if name == "Opportunity" else "No such record")
    asked = request.query_params.get("as", "rep")
    user = row.get("OwnerId", key) if asked == "rep" else org.login(asked)
    definition = org.seen(name, user) if user is not None else None
    if user is None or definition is None:
        return _refused("No such user")
    moment = org.moment(user)
    others = [{"login": name} for name in ("rep", "admin", "integration") if name != asked]
    shown = moment.now.astimezone(moment.zone).strftime("%-d %b %Y, %H:%M %Z")
    whole = [*_beside(org, definition, row, moment), *_sections(org, definition, row, moment)]
    return _page("record", title=row["Name"], who=_who(org, user), now=shown, others=others, sections=whole, around=_around(org, row, user))


Section = tuple[str, str, list[dict[str, Any]]]
"""Heading, note, fields."""


def _around(org: Org, row: Row, user: str) -> list[tuple[str, str]]:
    """Label and address of the records that this one names and that have a page."""
    found = []
    for label, field in (("Account", "AccountId"), ("Owner", "OwnerId")):
        other = org.find(row.get(field, ""))
        if other is not None and not other.get("IsDeleted"):
            path = PATHS[org.prefixes[other["Id"][:3]]]
            found.append((f"{label}: {other['Name']}", f"/sandbox/salesforce/{path}/{other['Id']}?as={user}"))
    return found


def _beside(org: Org, definition: ObjectDef, row: Row, moment: Moment) -> list[Section]:
    """Rows of deployed objects that point to the record, the latest first, as far as the user may see them."""
    found: list[Section] = []
    for child in definition.children:
        seen = org.seen(child.object, moment.user)
        if seen is None or not seen.guarded or child.field not in seen.fields:
            continue
        names = [name for name, field in seen.fields.items() if field.custom and name != child.field and not field.external_id]
        table = org.tables[child.object]
        for key in sorted(table.ids_with(child.field, (row["Id"],)), reverse=True):
            if not table.rows[key].get("IsDeleted"):
                found.append((f"{seen.label} {table.rows[key]['Name']}", _BESIDE, _fields(org, seen, names, table.rows[key], moment)))
    return found


def _sections(org: Org, definition: ObjectDef, row: Row, moment: Moment) -> list[Section]:
    """The page's sections with what the user may see; scorecard fields that nobody has placed come first, and say so."""
    laid = sections(org, definition.name, row.get("RecordTypeId", MASTER_RECORD_TYPE))
    placed = {name for _, names in laid for name in names}
    loose = [field.name for field in definition.fields.values() if field.name not in placed and field.name not in HIDDEN]
    found = [(_SCORECARD, _NOT_PLACED, loose), *((heading, "", list(names)) for heading, names in reversed(laid))]
    whole = [(heading, note, _fields(org, definition, names, row, moment)) for heading, note, names in found]
    return [section for section in whole if section[2]]


def _fields(org: Org, definition: ObjectDef, names: Iterable[str], row: Row, moment: Moment) -> list[dict[str, Any]]:
    fields = [definition.fields[name] for name in names if name in definition.fields]
    return [
        {
            "name": field.name, "label": field.label, "help": field.help_text, "computed": field.calculated,
            "value": shown(org, field, reader(field, moment)(row), row, moment),
        } for field in fields
    ]  # fmt: skip


def shown(org: Org, field: FieldDef, value: Any, row: Row, moment: Moment) -> str:
    """A value as the page writes it: days and instants in words, the latter in the reader's zone; numbers at the field's scale."""
    if field.type == "boolean":
        return "☑" if value else "☐"
    if value is None or value == "":
        return "—"
    if field.type == "date":
        return date.fromisoformat(value).strftime("%-d %b %Y")
    if field.type == "datetime":
        return datetime.fromisoformat(value).astimezone(moment.zone).strftime("%-d %b %Y, %H:%M %Z")
    if field.type == "percent":
        return f"{value:,.{field.scale}f}%"
    if field.type == "currency":
        return f"{row.get('CurrencyIsoCode', 'USD')} {value:,.{field.scale}f}"
    if field.type in ("double", "int"):
        return f"{value:,.{field.scale}f}"
    if field.type == "reference":
        return str((org.find(value) or {}).get("Name", value))
    return str(value)
