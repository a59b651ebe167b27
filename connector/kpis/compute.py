"""Computing measures: by preset or by name, from a book; and a book from a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from connector.clock import parse_instant
from connector.errors import InputError, MappingError
from connector.kpis.book.book import Book, derived
from connector.kpis.book.sections import SCHEMAS
from connector.kpis.definition import REGISTRY, Kpi, Measure, Unit
from connector.kpis.inputs.reading import from_rows, nearest
from connector.kpis.parts import divided
from connector.kpis.questions import (
    buyers,
    compliance,
    conversion,
    coverage,
    engagement,
    forecast,
    health,
    kol,
    lead_sources,
    pipeline,
    programme,
    prospecting,
    results,
    retention,
    speed,
    stage_times,
    team,
    unit_economics,
    velocity,
)
from connector.model.kpi_settings import KpiSettings, Selection
from connector.model.ladder import Ladder

DEFINITION_VERSION = "1"
QUESTIONS = (
    pipeline, coverage, forecast, results, buyers, lead_sources, speed, velocity, stage_times, prospecting, conversion, compliance, engagement, kol,
    team, unit_economics, retention, health, programme,
)  # fmt: skip
"""The modules that declare KPIs, one per question, in the order of the catalogue."""
PRESETS: Mapping[str, tuple[str, ...]] = {
    "medtech_core": (
        "weighted_pipeline_coverage", "win_rate", "sales_cycle_length", "demo_to_trial_conversion", "kol_engagement_score",
        "clinical_to_commercial_handoff_time", "time_to_first_order_new_hire",
    ),
    "healthtech_core": (
        "net_new_arr", "weighted_pipeline_coverage", "sales_cycle_length", "stage_dwell_time", "cac_payback_months", "logo_retention_rate", "nrr",
        "qualified_meeting_to_close", "deals_stuck_in_compliance_review",
    ),
}  # fmt: skip
"""Preset → KPIs (catalogue, section 6)."""


def selected(selection: Selection) -> tuple[str, ...]:
    """The names switched on by ``kpis:`` of kpis.yaml, in order: preset, plus ``add``, minus ``remove``. Raises MappingError for unknown names."""
    known([*selection.add, *selection.remove])
    preset = PRESETS[selection.preset] if selection.preset else ()
    return tuple(name for name in dict.fromkeys([*preset, *selection.add]) if name not in selection.remove)


def known(names: Iterable[str]) -> list[Kpi]:
    """The KPIs of these names. Raises MappingError SC-E022 for the first unknown one, with the nearest name."""
    found = []
    for name in names:
        if name not in REGISTRY:
            near = nearest(name, REGISTRY)
            raise MappingError(f"unknown KPI {name!r}" + (f"; did you mean {near}?" if near else ""), code="SC-E022", next_step="connector kpis list")
        found.append(REGISTRY[name])
    return found


def units() -> dict[str, Mapping[str, Unit]]:
    """KPI → variant → unit, of every declared KPI."""
    return {kpi.name: kpi.units for kpi in REGISTRY.values()}


def compute(book: Book, names: Sequence[str] | None = None) -> list[Measure]:
    """Every measure of the named KPIs (None: those switched on), in the order of the names. Each is worked out once for a book, whoever asks."""
    chosen = known(selected(book.settings.kpis) if names is None else names)
    return [measure for kpi in chosen for measure in _measures(book, kpi.name)]


@derived
def _measures(book: Book, name: str) -> tuple[Measure, ...]:
    return tuple(REGISTRY[name].measures(book))


def compute_by(book: Book, dimensions: Sequence[str], names: Sequence[str] | None = None, only: Mapping[str, str] | None = None) -> list[Measure]:
    """The company rows of the named KPIs (None: those switched on) for every combination of values of some dimensions.

    ``only``: dimension → the one value wanted of it. Subject: ``segment=hospital,owner=R1``. KPIs that are not divisible are left out, see
    :func:`indivisible`. Benchmarks and rates inside a part are those of the part. Raises MappingError for a dimension that deals do not have.
    """
    chosen = [kpi for kpi in known(selected(book.settings.kpis) if names is None else names) if kpi.divisible]
    return [
        replace(measure, subject=subject)
        for subject, part in divided(book, dimensions, only)
        for kpi in chosen
        for measure in kpi.measures(part)
        if measure.subject == "company"
    ]


def indivisible(names: Iterable[str]) -> list[str]:
    """Those of some KPIs that cannot be divided: an input that belongs to no deal enters them."""
    return [kpi.name for kpi in known(names) if not kpi.divisible]


def document(book: Book, measures: Iterable[Measure]) -> list[dict[str, object]]:
    """Measures as JSON rows, with as_of, history_quality and definition_version."""
    qualities = {rests: book.quality(rests) for rests in ("stage_history", "gates", "none")}
    stamp = book.as_of.isoformat().replace("+00:00", "Z")
    return [
        m.as_dict() | {"as_of": stamp, "history_quality": qualities[REGISTRY[m.kpi].rests_on], "definition_version": DEFINITION_VERSION}
        for m in measures
    ]


def computable(book: Book, names: Sequence[str] | None = None) -> list[tuple[str, bool, str | None]]:
    """(name, whether it can be computed, what it lacks) of the named KPIs (None: all declared). Part of a KPI may still be computed."""
    answers = []
    for kpi in known(sorted(REGISTRY) if names is None else names):
        lacking = [told for need in kpi.needs if (told := _lack(book, need)) is not None]
        answers.append((kpi.name, not lacking, ", ".join(lacking) or None))
    return answers


def _lack(book: Book, need: str) -> str | None:
    """What to give a KPI that needs this, or None where it is there."""
    kind, _, key = need.rpartition(":")
    if kind == "stage":
        return None if key in book.ladder.rungs else f"stage {key} in stages.yaml"
    if kind == "gate":
        return None if key in book.ladder.gate_by_key else f"gate {key} in stages.yaml"
    if kind == "setting":
        value: Any = book.settings
        for part in key.split("."):
            value = getattr(value, part)
        return f"{key} in kpis.yaml" if value is None or value in ({}, ()) else None
    return None if book.inputs.rows(key) is not None else f"inputs/{key}.csv"


def from_file(path: Path, *, as_of: str | None = None, windows: Sequence[str] = ()) -> Book:
    """A book from a file of the golden form (kpis/golden.md): no CRM, no state.

    ``as_of``: an instant instead of the file's own; ``windows``: labels beside the file's own. Raises InputError SC-E090 where it cannot be
    read, names what it does not know, or holds a value of the wrong kind.
    """
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path.name}:{error.lineno}:{error.colno} is not JSON: {error.msg}") from None
    given = dict(_mapping(_mapping(content, path.name).get("inputs"), f"{path.name}: inputs"))
    given |= {"as_of": as_of} if as_of is not None else {}
    given["windows"] = [*(given.get("windows") or ()), *windows]
    return from_inputs(given, path.name)


def from_inputs(given: Mapping[str, Any], name: str = "inputs") -> Book:
    """The same from the object under ``inputs``: as_of, windows, stages, kpis, crm, files, state (stage_map is for the CRM's mapping)."""
    allowed = ("as_of", "windows", "stages", "kpis", "stage_map", "crm", "files", "state")
    _only(given, allowed, f"{name}: inputs")
    for key in ("as_of", "stages", "kpis", "crm"):
        if key not in given:
            raise InputError(f"{name}: inputs.{key} is absent")
    crm = _mapping(given["crm"], f"{name}: inputs.crm")
    _only(crm, tuple(SCHEMAS), f"{name}: inputs.crm")
    for section, rows in crm.items():
        _rows(rows, f"{name}: inputs.crm.{section}")
    _identified(crm, name)
    state = _mapping(given.get("state") or {}, f"{name}: inputs.state")
    _only(state, ("kpi_snapshots", "observed_since"), f"{name}: inputs.state")
    try:
        ladder, settings = Ladder.model_validate(given["stages"]), KpiSettings.model_validate(given["kpis"])
        as_of = parse_instant(str(given["as_of"]))
        since = date.fromisoformat(state["observed_since"]) if state.get("observed_since") else None
        snapshots = [
            {**row, "date": date.fromisoformat(row["date"])} for row in _rows(state.get("kpi_snapshots") or [], f"{name}: inputs.state.kpi_snapshots")
        ]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(f"{name}: inputs {error.title} {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{name}: inputs: {error}") from None
    files = _mapping(given.get("files") or {}, f"{name}: inputs.files")
    read = from_rows({file: _rows(rows, f"{name}: inputs.files.{file}") for file, rows in files.items()})
    windows = tuple(given.get("windows") or ())
    return Book.build(
        crm, as_of=as_of, ladder=ladder, settings=settings, inputs=read, snapshots=snapshots, extra_windows=windows, observed_since=since
    )


def _identified(crm: Mapping[str, Any], name: str) -> None:
    """Every record has an id, and no two deals, accounts, owners or contacts share one."""
    for section in ("accounts", "owners", "opportunities", "contacts"):
        seen: set[str] = set()
        for place, row in enumerate(crm.get(section) or ()):
            id = row.get("id")
            if not id or str(id) in seen:
                raise InputError(f"{name}: inputs.crm.{section}[{place}].id: {'is used twice: ' + str(id) if id else 'is absent'}")
            seen.add(str(id))


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{place} is not an object")
    return value


def _rows(value: Any, place: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InputError(f"{place} is not a list of objects")
    return value


def _only(value: Mapping[str, Any], allowed: Sequence[str], place: str) -> None:
    for key in value:
        if key not in allowed:
            near = nearest(key, allowed)
            raise InputError(f"{place}: unknown key {key}" + (f"; did you mean {near}?" if near else ""))
