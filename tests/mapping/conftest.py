"""The repository's own mappings, the worked example, and a live schema that agrees with a mapping in every point."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connector.clock import Calendar
from connector.crms.base import Field, FieldType, Option, Pipeline, Stage
from connector.errors import Finding, MappingError
from connector.mapping import names
from connector.mapping.apply import Mapper
from connector.mapping.load import MappingSet, load
from connector.mapping.schema import CrmMapping
from connector.mapping.uses import field_uses
from connector.model.ladder import Ladder

ROOT = Path(__file__).parents[2]
WORKED = Path(__file__).parent / "worked_example"
CONNECTIONS = {"sf-prod": "salesforce", "hs-prod": "hubspot"}
Edit = Callable[[str, str, str], None]


@pytest.fixture(scope="session")
def own() -> MappingSet:
    return load(ROOT / "mappings")


@pytest.fixture(scope="session")
def salesforce(own: MappingSet) -> Mapper:
    return Mapper(own.by_connection["salesforce"], own.ladder, Calendar("America/New_York"), robots=["005000000000009AAA"])


@pytest.fixture(scope="session")
def hubspot(own: MappingSet) -> Mapper:
    return Mapper(own.by_connection["hubspot"], own.ladder, Calendar("America/New_York"))


@pytest.fixture(scope="session")
def worked() -> MappingSet:
    return load(WORKED, CONNECTIONS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the worked example to spoil."""
    return Path(shutil.copytree(WORKED, tmp_path / "mappings"))


@pytest.fixture
def edit(copy: Path) -> Edit:
    """edit(file, old, new): replace the one occurrence of a text."""

    def change(file: str, old: str, new: str) -> None:
        path = copy / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))

    return change


def _findings_of(directory: Path) -> tuple[Finding, ...]:
    try:
        return load(directory, CONNECTIONS).findings
    except MappingError as error:
        return error.findings


@pytest.fixture
def findings_of() -> Callable[[Path], tuple[Finding, ...]]:
    """Every finding of a directory, errors and warnings."""
    return _findings_of


@pytest.fixture(scope="session")
def live_schema() -> Callable[[CrmMapping], dict[str, dict[str, Field]]]:
    return _live_schema


@pytest.fixture(scope="session")
def live_pipelines() -> Callable[[CrmMapping, Ladder], tuple[Pipeline, ...]]:
    return _live_pipelines


def _live_schema(mapping: CrmMapping) -> dict[str, dict[str, Field]]:
    """A schema in which every mapped field exists with a fitting type, options and rights."""
    schema: dict[str, dict[str, Field]] = {}
    for use in field_uses(mapping):
        fields = schema.setdefault(use.object, {})
        field = fields.get(use.field) or Field(use.field, use.field, _type(use.canonical, use.role == "scorecard"), True)
        values = {*use.values, *(option.value for option in field.options), *_words(mapping, use.path)}
        if values:
            boolean = values <= {"true", "false"}
            field = replace(
                field, type="boolean" if boolean else "picklist", options=() if boolean else tuple(Option(v, v) for v in sorted(values))
            )  # fmt: skip
        if use.source is not None and use.source.refresh:
            field = replace(field, calculated=True, writable=False)
        fields[use.field] = field
    return schema


def _words(mapping: CrmMapping, path: tuple[str | int, ...]) -> tuple[str, ...]:
    if path[:3] == ("activities", "ignore", "when"):
        return mapping.activities.ignore.when[str(path[3])]
    if path[:2] == ("activities", "rules"):
        return mapping.activities.rules[int(path[2])].when[str(path[4])]
    return ()


def _type(canonical: str | None, scorecard: bool) -> FieldType:
    by_kind: dict[str, FieldType] = {"money": "money", "number": "number", "probability": "percent", "date": "date", "instant": "datetime",
                                     "boolean": "boolean", "datetime": "datetime", "text": "text"}  # fmt: skip
    if scorecard:
        kinds = {**names.ACCOUNT_SCORECARD, **names.CONTACT_SCORECARD, **names.WRITTEN}
        return by_kind.get(kinds.get(canonical or "", "text"), "text")
    if canonical in ("gate.opened_on", "gate.decided_on"):
        return "date"
    section, _, key = (canonical or "").rpartition(".")
    return by_kind.get(names.SECTION_FIELDS.get(section, names.OPPORTUNITY_FIELDS).get(key, "text"), "text")


def _live_pipelines(mapping: CrmMapping, ladder: Ladder) -> tuple[Pipeline, ...]:
    """Every mapped pipeline with its stages, flags and probabilities as the ladder has them."""
    return tuple(_pipelines(mapping, ladder))


def _pipelines(mapping: CrmMapping, ladder: Ladder) -> Iterator[Pipeline]:
    for native in mapping.ignored_pipelines:
        yield Pipeline(native, native, (Stage("Whatever", "Whatever"),))
    for native, name in mapping.pipeline_names.items():
        stages = mapping.stages[name]
        made = []
        for stage, key in stages.live.items():
            kind = ladder.stage_class(key)
            closed = kind != "open"
            odds = {"open": 0.5, "won": 1.0}.get(kind, 0.0)
            made.append(Stage(stage, stage, True, closed, kind == "won", odds))
        made += [Stage(stage, stage) for stage in stages.ignored]
        made += [Stage(stage, stage, active=False) for stage in stages.retired]
        yield Pipeline(native, native, tuple(made))
