"""Pages for people: a deal as a user of the portal sees it. Plain HTML, nothing from outside.

HubSpot shows every user every property, unless an administrator restricts it; what differs between portals is which groups stand on the record.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import DictLoader, Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from connector.sandbox.frame import FRAME
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record, parse_stamp
from connector.sandbox.hubspot.schema import Property

MOST_DEALS = 200
SCORECARD = "kpi_scorecard"
ABOUT = ("dealname", "amount", "closedate", "pipeline", "dealstage", "hubspot_owner_id")
_DEAL = """{% extends "frame" %}{% block body %}
<p class="note"><a href="/sandbox/hubspot/deals">Deals</a> · {{ now }}</p>
<h1>{{ title }}</h1>
{% for heading, fields in sections %}<section><h2>{{ heading }}</h2>
<dl>{% for field in fields %}<div>
<dt{% if field.help %} title="{{ field.help }}"{% endif %}>{{ field.label }}{% if field.computed %} · calculated{% endif %}</dt>
<dd data-field="{{ field.name }}">{{ field.value }}</dd></div>
{% endfor %}</dl></section>
{% endfor %}{% endblock %}"""
_DEALS = """{% extends "frame" %}{% block body %}<h1>{{ title }}</h1>
<table><tr><th>Deal<th>Stage<th>Close date<th>Owner</tr>{% for row in deals %}
<tr><td><a href="/sandbox/hubspot/deals/{{ row.id }}">{{ row.dealname }}</a><td>{{ row.dealstage }}<td>{{ row.closedate }}<td>{{ row.owner }}</tr>
{% endfor %}</table>{% endblock %}"""
_NONE = """{% extends "frame" %}{% block body %}<h1>{{ title }}</h1>{% endblock %}"""
_PAGES = Environment(loader=DictLoader({"frame": FRAME, "deal": _DEAL, "deals": _DEALS, "none": _NONE}), autoescape=True)


def routes(portal: Portal) -> list[Route]:
    """The pages of a portal."""

    async def deal(request: Request) -> Response:
        return _deal(portal, str(request.path_params["id"]))

    async def deals(request: Request) -> Response:
        return _deals(portal)

    return [
        Route("/sandbox/hubspot/deals/{id}", deal, methods=["GET"]),
        Route("/sandbox/hubspot/deals", deals, methods=["GET"]),
    ]


def _page(name: str, status: int = 200, **held: Any) -> Response:
    return HTMLResponse(_PAGES.get_template(name).render(**held), status)


def _deals(portal: Portal) -> Response:
    records = [portal.records["deals"][number] for number in portal.live["deals"]]
    rows = sorted((r for r in records if r.values.get("hs_is_closed") != "true"), key=lambda r: (r.values.get("closedate", ""), r.number))
    known = portal.properties["deals"]

    def told(record: Record) -> dict[str, str]:
        shown_ = {name: shown(portal, known[name], record) for name in ("dealname", "dealstage", "closedate")}
        return shown_ | {"id": record.id, "owner": shown(portal, known["hubspot_owner_id"], record)}

    return _page("deals", title="Open deals", deals=[told(record) for record in rows[:MOST_DEALS]])


def _deal(portal: Portal, id_: str) -> Response:
    record = portal.resolve("deals", id_)
    if record is None or record.archived_at is not None:
        return _page("none", 404, title="No such deal")
    now = portal.clock.now.astimezone(ZoneInfo(portal.time_zone)).strftime("%-d %b %Y, %H:%M %Z")
    known = portal.properties["deals"]
    groups = portal.groups["deals"]
    card = [prop for prop in known.values() if prop.group == SCORECARD and not prop.hidden]
    found = [
        ("About this deal", [known[name] for name in ABOUT]),
        (str(groups.get(SCORECARD, {}).get("label", "KPI Scorecard")), card),
    ]
    sections = [(heading, [_field(portal, prop, record) for prop in props]) for heading, props in found if props]
    return _page("deal", title=record.values.get("dealname", record.id), now=now, sections=sections)


def _field(portal: Portal, prop: Property, record: Record) -> dict[str, Any]:
    return {
        "name": prop.name, "label": prop.label, "help": prop.description, "computed": prop.calculated, "value": shown(portal, prop, record),
    }  # fmt: skip


def shown(portal: Portal, prop: Property, record: Record) -> str:
    """A value as the screen writes it: labels of options, days and instants in words, the latter in the portal's zone."""
    value = record.values.get(prop.name, "")
    if value == "":
        return "--"
    if prop.name in ("dealstage", "pipeline"):
        return _stage(portal, prop.name, value)
    if prop.name == "hubspot_owner_id":
        owner = portal.owners.get(value)
        return f"{owner.first} {owner.last}" if owner is not None else value
    if prop.type == "enumeration":
        labels = dict(prop.options)
        return "; ".join(labels.get(part, part) for part in value.split(";"))
    if prop.type == "date":
        return date.fromisoformat(value).strftime("%-d %b %Y")
    if prop.type == "datetime":
        at = datetime.fromtimestamp(parse_stamp(value) / 1000, UTC).astimezone(ZoneInfo(portal.time_zone))
        return at.strftime("%-d %b %Y, %H:%M %Z")
    return _number(prop, value) if prop.type == "number" else value


def _stage(portal: Portal, name: str, value: str) -> str:
    found = portal.stage(value) if name == "dealstage" else None
    if found is not None:
        return found[1].label
    return next((pipeline.label for pipeline in portal.pipelines if pipeline.id == value), value)


def _number(prop: Property, value: str) -> str:
    if prop.number_hint == "percentage":
        return f"{(Decimal(value) * 100).normalize():f}%"
    plain = f"{Decimal(value):,f}"
    return f"${plain}" if prop.currency_symbol else plain
