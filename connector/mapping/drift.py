"""Drift: what of a CRM's schema a mapping rests on, as a canonical sorted snapshot, and how two of them differ.

A snapshot is JSON: per object the mapped fields with type, length, scale, rights and options, and the names of all other fields;
under ``pipelines`` the pipelines with their stages. Nothing here asks a CRM or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.crms.base import Field, Pipeline, StreamSpec
from connector.errors import Finding, Severity
from connector.mapping.schema import CrmMapping
from connector.mapping.source import Document
from connector.mapping.streams import RECORD_TYPE
from connector.mapping.uses import FieldUse, field_uses

PIPELINES = "pipelines"
Content = Mapping[str, Any]
STAGE_FIELDS = frozenset({"StageName", "dealstage", "pipeline"})  # their options are the pipelines' stages
KIND = {
    "text": "text", "long_text": "text", "picklist": "text", "reference": "text", "id": "text", "number": "number", "percent": "number",
    "money": "number", "integer": "number",
}  # fmt: skip
"""Types between which a field may move without its values meaning something else; every other type is a kind of its own."""
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What a mapping asks of one object: the names whose details are kept."""

    object: str
    names: frozenset[str]


def asked(mapping: CrmMapping, specs: Iterable[StreamSpec]) -> tuple[Asked, ...]:
    """Per object that is read, every field that is read of it or looked for, in the order of the streams."""
    found: dict[str, set[str]] = {}
    for spec in specs:
        own = (*spec.fields, *spec.history, *spec.presence)
        found.setdefault(spec.object, set()).update(name for name in own if "." not in name)
    for use in field_uses(mapping):
        if use.object in found and use.role != "formula":
            found[use.object].add(use.field)
    return tuple(Asked(object, frozenset(names)) for object, names in found.items())


# -- snapshots -------------------------------------------------------------------------------------------------------


def of_object(asked: Asked, live: Mapping[str, Field]) -> dict[str, Any]:
    """The snapshot of one object, as the connection's user sees it now."""
    return {
        "fields": {name: _details(live[name]) for name in sorted(asked.names) if name in live},
        "others": sorted(name for name in live if name not in asked.names and not name.casefold().startswith("kpi_")),
    }


def _details(field: Field) -> dict[str, Any]:
    listed = field.type in ("picklist", "multipicklist") and field.name not in STAGE_FIELDS
    return {
        "type": field.type, "length": field.length, "scale": field.scale, "writable": field.writable, "calculated": field.calculated,
        "options": sorted(option.value for option in field.options if option.active) if listed else [],
    }  # fmt: skip


def of_pipelines(pipelines: Iterable[Pipeline], ignored: Iterable[str]) -> dict[str, Any]:
    """The snapshot of pipelines and stages; ignored pipelines are nobody's business."""
    left_out = frozenset(ignored)
    return {
        p.id: {
            "label": p.label, "active": p.active,
            "stages": {s.id: {"label": s.label, "active": s.active, "closed": s.closed, "won": s.won} for s in sorted(p.stages, key=lambda s: s.id)},
        }
        for p in sorted(pipelines, key=lambda p: p.id)
        if p.id not in left_out
    }  # fmt: skip


def stage_labels(accepted: Mapping[str, Content]) -> dict[tuple[str, str], str]:
    """(pipeline id, stage id) → label, from the snapshots of a connection; nothing where none was taken."""
    pipelines = accepted.get(PIPELINES) or {}
    return {(id, stage): told["label"] for id, pipeline in pipelines.items() for stage, told in pipeline["stages"].items()}


def grown(accepted: Content, now: Content) -> dict[str, Any]:
    """The accepted snapshot of an object with the fields that it did not detail yet, because they were mapped since: no drift, a first look."""
    fields = {**now["fields"], **accepted["fields"]}
    return {"fields": dict(sorted(fields.items())), "others": accepted["others"]}


# -- differences ----------------------------------------------------------------------------------------------------------


def differences(connection: str, asked: Asked, accepted: Content, now: Content) -> list[Finding]:
    """How an object's schema differs from the accepted one, one finding for each difference (SC-W035)."""
    object = asked.object
    found: list[Finding] = []
    for name, is_ in now["fields"].items():
        was = accepted["fields"].get(name)
        if was is not None and was != is_:
            found += [_of_field(connection, f"{object}.{name}", said) for said in _changed(was, is_)]
    for name in sorted(asked.names & set(accepted["fields"]) - set(now["fields"])):
        found.append(_of_field(connection, f"{object}.{name}", "is gone, or hidden from the connection's user"))
    known = {*accepted["others"], *accepted["fields"]}
    new = [name for name in now["others"] if name not in known]
    found += [_of_field(connection, f"{object}.{name}", "is new; it is not mapped, so it is not read", "info") for name in new]
    return found


def _changed(was: Content, is_: Content) -> Iterator[str]:
    if was["type"] != is_["type"]:
        yield f"was {was['type']}, is now {is_['type']}"
    for key in ("length", "scale"):
        if was[key] != is_[key]:
            yield f"{key} was {was[key]}, is now {is_[key]}"
    if was["writable"] != is_["writable"]:
        yield "may be edited now" if is_["writable"] else "may no longer be edited by the connection's user"
    if was["calculated"] != is_["calculated"]:
        yield "is calculated now" if is_["calculated"] else "is no longer calculated"
    before, after = set(was["options"]), set(is_["options"])
    if is_["options"] and was["options"] and (new := sorted(after - before)):
        yield f"new {_quoted('option', new)}"
    if is_["options"] and was["options"] and (gone := sorted(before - after)):
        yield f"no longer offers {_quoted('option', gone)}"


def _quoted(word: str, values: Sequence[str]) -> str:
    shown = ", ".join(f'"{value}"' for value in values[:SHOWN])
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return f"{word}{'s' if len(values) > 1 else ''} {shown}{more}"


def stage_differences(connection: str, accepted: Content, now: Content) -> list[Finding]:
    """New, renamed, retired and re-classed stages and pipelines (SC-W036). The same change in several pipelines is said once."""
    said: dict[str, list[str]] = {}
    for id in sorted({*accepted, *now}):
        was, is_ = accepted.get(id), now.get(id)
        if is_ is None or was is None:
            label = (is_ or was)["label"]  # type: ignore[index]  # one of the two is there
            said.setdefault(f'pipeline {id} ("{label}") {"is new" if was is None else "is gone"}', [])
            continue
        if was["label"] != is_["label"]:
            said.setdefault(f'pipeline {id} was called "{was["label"]}", is now "{is_["label"]}"', [])
        if was["active"] != is_["active"]:
            said.setdefault(f"pipeline {id} {'is in use again' if is_['active'] else 'was retired'}", [])
        for text in _stages(was["stages"], is_["stages"]):
            said.setdefault(text, []).append(id)
    return [_finding(connection, "SC-W036", f"{text} (pipeline {', '.join(ids)})" if ids else text) for text, ids in said.items()]


def _stages(was: Content, is_: Content) -> Iterator[str]:
    """A stage that is new and retired at once says nothing: Salesforce lists what was retired anywhere in every pipeline. One that left and
    one that came is how a renamed value of a picklist looks."""
    came = [id for id in sorted(set(is_) - set(was)) if is_[id]["active"]]
    left = [id for id in sorted(was) if was[id]["active"] and not (id in is_ and is_[id]["active"])]
    if len(came) == len(left) == 1:
        yield f'stage "{left[0]}" is gone and "{came[0]}" is new: renamed?'
    else:
        yield from (f'stage "{id}" is new{_called(is_[id]["label"], id)}' for id in came)
        yield from (f'stage "{id}"{_called(was[id]["label"], id)} {"was retired" if id in is_ else "is gone"}' for id in left)
    for id in sorted(set(was) & set(is_)):
        before, after = was[id], is_[id]
        if before["label"] != after["label"]:
            yield f'stage "{id}" was called "{before["label"]}", is now "{after["label"]}"'
        if after["active"] and not before["active"]:
            yield f'stage "{id}" is in use again'
        if (before["closed"], before["won"]) != (after["closed"], after["won"]):
            yield f'stage "{id}" was {_class(before)}, is now {_class(after)}'


def _called(label: str, id: str) -> str:
    return "" if label == id else f' ("{label}")'


def _class(stage: Content) -> str:
    return "open" if not stage["closed"] else "closed, won" if stage["won"] else "closed, not won"


def _of_field(connection: str, field: str, said: str, severity: Severity = "warning") -> Finding:
    return replace(_finding(connection, "SC-W035", f"{field} {said}", severity), path=field)


def _finding(connection: str, code: str, message: str, severity: Severity = "warning") -> Finding:
    return Finding(code, f"{connection}: {message}", severity, next=f"look at it, then connector discover --connection {connection} accepts it")


# -- what keeps a stream from being read -------------------------------------------------------------------------------------


def unreadable(mapping: CrmMapping, spec: StreamSpec, live: Mapping[str, Field], accepted: Content | None) -> dict[str, Finding]:
    """Fields of a stream that are gone, hidden, or of another kind than accepted → SC-E021, at the place where they are mapped."""
    document = mapping.source or Document(mapping.connection or mapping.crm, {})
    places = {use.field: use for use in reversed(field_uses(mapping)) if use.object == spec.object}
    known: Content = accepted["fields"] if accepted else {}
    found: dict[str, Finding] = {}
    for name in dict.fromkeys((*spec.fields, *spec.history, *spec.presence)):
        if "." in name or name == RECORD_TYPE:
            continue
        if name not in live:
            said = f"{spec.object}.{name} is not there, or hidden from the connection's user"
            step = "show the field to the connection's user, or take it out of the mapping"
            found[name] = _at(document, places.get(name), f"{said}: {spec.name} is not read, what is stored stays", step)
        elif name in known and _kind(known[name]["type"]) != _kind(live[name].type):
            said = f"{spec.object}.{name} was {known[name]['type']}, is now {live[name].type}"
            step = "correct the mapping, then connector discover accepts the type"
            found[name] = _at(document, places.get(name), f"{said}: {spec.name} is not read, what is stored stays", step)
    return found


def _at(document: Document, use: FieldUse | None, message: str, step: str) -> Finding:
    if use is None:
        return Finding("SC-E021", message, next=step)
    return document.finding("SC-E021", message, use.path, key=use.at_key, shown=use.shown, next=step)


def _kind(type_: str) -> str:
    return KIND.get(type_, type_)
