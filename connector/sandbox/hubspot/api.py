"""The portal over HTTP: the routes, and how an answer is put on the wire."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.hubspot import access, api_links, api_records, api_schema, api_settings, api_tokens, api_writes, pages
from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import NOT_FOUND_HTML, Failure, NotFound
from connector.sandbox.hubspot.portal import Portal

GZIP_FROM = 1_000
VERSIONS, URL_MAX = access.VERSIONS, access.URL_MAX

Handler = Callable[[Call], Answer]

_TOKENS: list[tuple[str, str, Handler]] = [
    ("POST", "/oauth/{v}/token", api_tokens.token),
    ("POST", "/oauth/{v}/token/introspect", api_tokens.introspect),
    ("POST", "/oauth/{v}/token/revoke", api_tokens.revoke),
]
_READS: list[tuple[str, str, Handler]] = [
    ("GET", "/account-info/{v}/details", api_settings.account),
    ("GET", "/account-info/{v}/api-usage/daily/private-apps", api_settings.usage),
    ("GET", "/crm/properties/{v}/{type}", api_schema.properties),
    ("GET", "/crm/properties/{v}/{type}/groups", api_schema.groups),
    ("GET", "/crm/properties/{v}/{type}/groups/{name}", api_schema.read_group),
    ("GET", "/crm/properties/{v}/{type}/{name}", api_schema.read_property),
    ("GET", "/crm/property-validations/{v}/{type}", api_schema.validations),
    ("GET", "/crm/property-validations/{v}/{type}/{name}", api_schema.property_validations),
    ("GET", "/crm/pipelines/{v}/{type}", api_schema.pipelines),
    ("GET", "/crm/pipelines/{v}/{type}/{pipeline}", api_schema.pipeline),
    ("GET", "/crm/pipelines/{v}/{type}/{pipeline}/audit", api_schema.pipeline_audit),
    ("GET", "/crm/pipelines/{v}/{type}/{pipeline}/stages", api_schema.stages),
    ("GET", "/crm/pipelines/{v}/{type}/{pipeline}/stages/{stage}/audit", api_schema.stage_audit),
    ("GET", "/crm/associations/{v}/{from}/{to}/labels", api_links.labels),
    ("POST", "/crm/associations/{v}/{from}/{to}/batch/read", api_links.batch_read),
    ("GET", "/crm/objects/{v}/{from}/{id}/associations/{to}", api_links.list_links),
    ("GET", "/crm/owners/{v}", api_settings.owners),
    ("GET", "/crm/owners/{v}/{id}", api_settings.owner),
    ("GET", "/crm/limits/{v}/calculated-properties", api_settings.calculated_limits),
    ("GET", "/crm/limits/{v}/custom-properties", api_settings.custom_limits),
    ("GET", "/crm/limits/{v}/pipelines", api_settings.pipeline_limits),
    ("GET", "/crm/limits/{v}/records", api_settings.record_limits),
    ("GET", "/crm/limits/{v}/associations/labels", api_settings.label_limits),
    ("GET", "/settings/currencies/{v}/company-currency", api_settings.company_currency),
    ("GET", "/settings/currencies/{v}/codes", api_settings.currency_codes),
    ("GET", "/settings/currencies/{v}/exchange-rates", api_settings.exchange_rates),
    ("GET", "/settings/currencies/{v}/exchange-rates/current", api_settings.current_rates),
    ("GET", "/crm/objects/{v}/{type}", api_records.list_records),
    ("POST", "/crm/objects/{v}/{type}/search", api_records.search_records),
    ("POST", "/crm/objects/{v}/{type}/batch/read", api_records.batch_read),
    ("GET", "/crm/objects/{v}/{type}/{id}", api_records.get_record),
]
_WRITES: list[tuple[str, str, Handler]] = [
    ("POST", "/crm/objects/{v}/{type}/batch/create", api_writes.batch_create),
    ("POST", "/crm/objects/{v}/{type}/batch/update", api_writes.batch_update),
    ("POST", "/crm/objects/{v}/{type}/batch/upsert", api_writes.batch_upsert),
    ("POST", "/crm/objects/{v}/{type}/batch/archive", api_writes.batch_archive),
    ("POST", "/crm/objects/{v}/{type}/gdpr-delete", api_writes.gdpr_delete),
    ("POST", "/crm/objects/{v}/{type}/merge", api_writes.merge),
    ("POST", "/crm/objects/{v}/{type}", api_writes.create),
    ("PATCH", "/crm/objects/{v}/{type}/{id}", api_writes.patch),
    ("DELETE", "/crm/objects/{v}/{type}/{id}", api_writes.archive),
    ("PUT", "/crm/objects/{v}/{from}/{id}/associations/default/{to}/{other}", api_links.put_default),
    ("POST", "/crm/associations/{v}/{from}/{to}/batch/create", api_links.batch_create),
    ("POST", "/crm/associations/{v}/{from}/{to}/batch/archive", api_links.batch_archive),
    ("POST", "/crm/properties/{v}/{type}", api_schema.create_property),
    ("POST", "/crm/properties/{v}/{type}/batch/create", api_schema.batch_create),
    ("POST", "/crm/properties/{v}/{type}/groups", api_schema.create_group),
    ("PATCH", "/crm/properties/{v}/{type}/{name}", api_schema.patch_property),
    ("DELETE", "/crm/properties/{v}/{type}/{name}", api_schema.archive_property),
]


def routes(portal: Portal) -> list[Route]:
    """Every endpoint. The server must not add a Date header of its own: answers carry the virtual now."""
    open_ = [Route(path, _endpoint(portal, handler, known=False), methods=[verb]) for verb, path, handler in _TOKENS]
    reads = [Route(path, _endpoint(portal, handler), methods=[verb]) for verb, path, handler in _READS]
    writes = [Route(path, _endpoint(portal, handler, writes=True), methods=[verb]) for verb, path, handler in _WRITES]
    return [*open_, *reads, *writes, *pages.routes(portal)]


def _endpoint(portal: Portal, handler: Handler, *, writes: bool = False, known: bool = True) -> Callable[[Request], Any]:
    search = handler is api_records.search_records

    async def endpoint(request: Request) -> Response:
        correlation = str(uuid.UUID(int=next(portal.correlations), version=4))
        headers = {"X-HubSpot-Correlation-Id": correlation, "Vary": "Accept-Encoding"}
        form = None if known else await request.form()
        raw = b"" if form is not None else await request.body()
        call = Call(portal, request.path_params, request.query_params, raw, correlation, form)
        try:
            call.access, limited = access.admit(portal, request, search=search, known=known)
            headers |= limited
            if writes:
                between, portal.before_write = portal.before_write, []
                for act in between:
                    act(portal)
            answer = handler(call)
            if writes:
                portal.clock.advance_to(portal.clock.now + timedelta(seconds=1))
        except Failure as failure:
            answer = Answer(failure.body(correlation), failure.status, failure.headers)
        except NotFound:
            headers |= {"X-HubSpot-NotFound": "true", "Cache-Control": "must-revalidate,no-cache,no-store"}
            answer = Answer(NOT_FOUND_HTML, 404, {"Content-Type": "text/html;charset=iso-8859-1"})
        return _response(portal, request, answer, headers)

    return endpoint


def _response(portal: Portal, request: Request, answer: Answer, headers: dict[str, str]) -> Response:
    content = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
    headers = {"Content-Type": "application/json;charset=utf-8", "Date": format_datetime(portal.clock.now, usegmt=True)} | headers | answer.headers
    if answer.status == 204:  # nothing in it, so nothing is said about it
        content = b""
        headers = {name: value for name, value in headers.items() if name not in ("Content-Type", "Vary") or name in answer.headers}
    if len(content) >= GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = gzip.compress(content, compresslevel=1), "gzip"
    response = Response(content, answer.status, headers)
    if portal.mixed_case_headers:
        written = {name.lower(): name for name in headers}
        response.raw_headers = [(written.get(name.decode(), name.decode()).encode(), value) for name, value in response.raw_headers]
    return response
