"""The files of a deployment: one zip in metadata format for the org, or a source project for teams with a pipeline of their own."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from connector.crms.provisioning import FieldSpec, ObjectSpec, SpecType, Wanted
from connector.crms.salesforce import extras

TYPES: Mapping[SpecType, str] = {
    "text": "Text", "number": "Number", "percent": "Percent", "money": "Currency", "date": "Date", "datetime": "DateTime",
    "picklist": "Picklist", "boolean": "Checkbox", "lookup": "Lookup",
}  # fmt: skip
MARKED = frozenset({"ListView", "CompactLayout", "CustomPermission", "ReportType", "Report", "LightningComponentBundle"})
"""What an org does not tell by query in the form in which it was deployed."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Every file of a zip bears this date: the same fields make the same bytes."""


@dataclass(frozen=True, slots=True)
class Component:
    """One component. ``member``: how package.xml names it; ``source``: path → text in a source project, below force-app/main/default;
    ``metadata``: the same in metadata format, none for parts of an object's file."""

    kind: str
    member: str
    source: Mapping[str, str]
    metadata: Mapping[str, str]


def components(wanted: Wanted, version: str) -> tuple[Component, ...]:
    """Everything, in the order in which people read it; the integration user's set bears a mark of each component that it cannot be compared by."""
    marks = [mark(part) for part in _components(wanted, version, ()) if part.kind in MARKED]
    return tuple(_components(wanted, version, marks))


def mark(part: Component) -> str:
    """A component in eight characters, the first three of its name, the others of what is in it."""
    name, held = hashlib.sha256(f"{part.kind} {part.member}".encode()), hashlib.sha256()
    for path, text in sorted(part.source.items()):
        held.update(f"{path}\0{text}\0".encode())
    return f"{name.hexdigest()[:3]}{held.hexdigest()[:5]}"


def marks_of(text: str | None) -> frozenset[str]:
    """The marks in the description of a permission set: what was deployed with it."""
    _, found, rest = (text or "").rpartition(" Bundle ")
    return frozenset(rest.rstrip(".").split()) if found else frozenset()


def metadata_files(wanted: Wanted, version: str) -> dict[str, str]:
    """path → text of the whole package in metadata format."""
    parts = components(wanted, version)
    files = {path: text for part in parts for path, text in part.metadata.items()}
    for spec in wanted.objects:
        layout = extras.compact_layout(wanted) if spec.grain == "opportunity" else None
        own_views = [view for view in extras.views(wanted) if view.object == spec.name]
        files[f"objects/{spec.name}.object"] = _render("object.xml", spec=spec, layout=layout, views=own_views)
    return {"package.xml": package(parts, version), **files}


def package(parts: tuple[Component, ...], version: str) -> str:
    """package.xml."""
    members: dict[str, list[str]] = {}
    for part in parts:
        members.setdefault(part.kind, []).append(part.member)
    return _render("package.xml", types=[(kind, sorted(members[kind])) for kind in sorted(members)], version=version)


def zipped(files: Mapping[str, str]) -> bytes:
    """A zip of the files, the same bytes for the same files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, EPOCH), text.encode())
    return held.getvalue()


def _components(wanted: Wanted, version: str, marks: Sequence[str]) -> Iterator[Component]:
    for spec in wanted.objects:
        if spec.own:
            path = f"objects/{spec.name}/{spec.name}.object-meta.xml"
            yield Component("CustomObject", spec.name, {path: _render("own_object.xml", spec=spec)}, {})
        for field in spec.fields:
            yield _field(spec, field)
    for view in extras.views(wanted):
        path = f"objects/{view.object}/listViews/{view.name}.listView-meta.xml"
        yield Component("ListView", f"{view.object}.{view.name}", {path: _render("view.xml", view=view)}, {})
    layout, deal = extras.compact_layout(wanted), wanted.object("opportunity")
    if layout is not None and deal is not None:
        path = f"objects/{deal.name}/compactLayouts/{layout.name}.compactLayout-meta.xml"
        yield Component("CompactLayout", f"{deal.name}.{layout.name}", {path: _render("compact.xml", layout=layout)}, {})
    yield _whole("CustomPermission", extras.BYPASS, f"customPermissions/{extras.BYPASS}.customPermission", _render("custom_permission.xml"))
    for set_ in extras.permission_sets(wanted, marks):
        yield _whole("PermissionSet", set_.name, f"permissionsets/{set_.name}.permissionset", _render("permission_set.xml", set=set_))
    yield from _reports(wanted)
    yield from _card(wanted, version)


def _field(spec: ObjectSpec, field: FieldSpec) -> Component:
    path = f"objects/{spec.name}/fields/{field.name}.field-meta.xml"
    return Component("CustomField", f"{spec.name}.{field.name}", {path: _render("field.xml", spec=field)}, {})


def _whole(kind: str, member: str, path: str, text: str) -> Component:
    """A component with a file of its own, which a source project calls ``…-meta.xml``."""
    return Component(kind, member, {f"{path}-meta.xml": text}, {path: text})


def _reports(wanted: Wanted) -> Iterator[Component]:
    spec = extras.deals(wanted)
    if spec is None:
        return
    name = extras.REPORT_TYPE if not spec.own else "KPI_Deal_Scorecards"
    own_fields = ("Name",) if spec.own else ("Name", "Account", "StageName", "Amount", "CloseDate", "Owner")
    text = _render(
        "report_type.xml", object=spec.name, category="other" if spec.own else "opportunities",
        label="KPI deal scorecards" if spec.own else "KPI opportunities", fields=(*own_fields, *(f.name for f in spec.fields)),
    )  # fmt: skip
    yield _whole("ReportType", name, f"reportTypes/{name}.reportType", text)
    found = list(extras.reports(wanted))
    if not found:
        return
    folder = _render("report_folder.xml")
    yield Component(
        "Report", extras.FOLDER, {f"reports/{extras.FOLDER}.reportFolder-meta.xml": folder}, {f"reports/{extras.FOLDER}-meta.xml": folder}
    )
    for report in found:
        path = f"reports/{extras.FOLDER}/{report.name}.report"
        yield _whole("Report", f"{extras.FOLDER}/{report.name}", path, _render("report.xml", report=report))


def _card(wanted: Wanted, version: str) -> Iterator[Component]:
    card = extras.card(wanted)
    if card is None:
        return
    files = {
        f"lwc/{extras.CARD}/{extras.CARD}.{ending}": _render(f"lwc/{extras.CARD}.{ending}", card=card, version=version)
        for ending in ("js", "html", "js-meta.xml")
    }
    yield Component("LightningComponentBundle", extras.CARD, files, files)


def _render(name: str, **values: Any) -> str:
    return _TEMPLATES.get_template(name).render(types=values.pop("types", TYPES), **values) + "\n"


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(enabled_extensions=("xml",), default=False),
    undefined=StrictUndefined,
)
_TEMPLATES.globals["relationship"] = extras.relationship
