"""Read a mappings directory: every file, every finding, in one pass.

Nothing here asks a CRM; ``check`` does. Source: the command-line page §3 and §6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from connector.errors import Finding, MappingError
from connector.mapping import crosscheck, names
from connector.mapping.schema import CrmMapping
from connector.mapping.source import Document, Path_, read
from connector.model.kpi_settings import KpiSettings
from connector.model.ladder import Ladder

Model = TypeVar("Model", bound=BaseModel)
STAGES, KPIS = "stages.yaml", "kpis.yaml"
_PAIRS = "keys and values are wanted here"
_WANTED = {
    "string_type": "text is wanted here", "tuple_type": "a list is wanted here", "dict_type": _PAIRS, "model_type": _PAIRS,
    "model_attributes_type": _PAIRS, "int_type": "a whole number is wanted here", "float_type": "a number is wanted here",
    "bool_type": "true or false is wanted here",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MappingSet:
    """A valid mappings directory.

    ``by_connection``: connection → its mapping (without ``connections``: the file's own connection, or the CRM's kind).
    ``version``: twelve hex digits over the data of every file; comments do not change it. ``findings``: warnings only.
    ``kpis_document``: where everything of kpis.yaml stands.
    """

    ladder: Ladder
    kpis: KpiSettings
    by_connection: Mapping[str, CrmMapping]
    version: str
    findings: tuple[Finding, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)  # connection → file name as shown
    kpis_document: Document = field(default_factory=lambda: Document(KPIS, {}))


def load(mappings_dir: Path, connections: Mapping[str, str] | None = None, kpi_names: Collection[str] | None = None) -> MappingSet:
    """Validate and join all files. ``connections``: name → CRM kind; ``kpi_names``: the registry's, to check kpis.yaml against.

    Raises MappingError with every finding of every file if one of them is an error.
    """
    findings: list[Finding] = []
    documents: list[Document] = []

    def take(path: Path, model: type[Model]) -> tuple[Document, Model] | None:
        document, problems = read(path, _shown(mappings_dir, path))
        findings.extend(problems)
        if document is None:
            return None
        documents.append(document)
        value, invalid = validate(document, model)
        findings.extend(invalid)
        if invalid:
            value, _ = validate(_without_unknown_keys(document, invalid), model)
        return (document, value) if value is not None else None

    for name in (STAGES, KPIS):
        if not (mappings_dir / name).is_file():
            findings.append(
                Finding("SC-E025", f"{name} is missing", file=_shown(mappings_dir, mappings_dir / name), next="connector init writes one")
            )
    ladder = take(mappings_dir / STAGES, Ladder) if (mappings_dir / STAGES).is_file() else None
    kpis = take(mappings_dir / KPIS, KpiSettings) if (mappings_dir / KPIS).is_file() else None
    mappings = [found for path in _crm_files(mappings_dir) if (found := take(path, CrmMapping)) is not None]
    if ladder:
        findings += crosscheck.ladder(*ladder)
    if kpis:
        dimensions = {name for _, mapping in mappings for name in mapping.opportunities.dimensions}
        findings += crosscheck.kpis(*kpis, ladder[1] if ladder else None, kpi_names, dimensions)
    for document, mapping in mappings:
        findings += crosscheck.crm(document, mapping, ladder[1] if ladder else None, kpis[1] if kpis else None)
    readable = len(mappings) == len(_crm_files(mappings_dir))
    served, unserved = _assign(mappings_dir, mappings, connections)
    findings += [f for f in unserved if readable or f.code != "SC-E025"]  # a file that could not be read may be the one
    errors = [f for f in findings if f.severity == "error"]
    if errors or ladder is None or kpis is None:
        ordered = tuple(sorted(findings, key=lambda f: (f.file or "", f.line or 0, f.column or 0)))
        raise MappingError(_verdict(errors), findings=ordered)
    version = hashlib.sha256(b"".join(document.digest() for document in documents)).hexdigest()[:12]
    return MappingSet(
        ladder[1], kpis[1], MappingProxyType({name: mapping for name, (_, mapping) in served.items()}), version, tuple(findings),
        MappingProxyType({name: document.file for name, (document, _) in served.items()}), kpis[0],
    )  # fmt: skip


def _verdict(errors: Collection[Finding]) -> str:
    files = len({f.file for f in errors})
    return f"{len(errors)} {'problem' if len(errors) == 1 else 'problems'} in {files} {'file' if files == 1 else 'files'}"


def _shown(mappings_dir: Path, path: Path) -> str:
    return f"{mappings_dir.name}/{path.relative_to(mappings_dir)}"


def _crm_files(mappings_dir: Path) -> list[Path]:
    return sorted(p for p in mappings_dir.glob("*.yaml") if p.name not in (STAGES, KPIS))


def _assign(
    mappings_dir: Path, mappings: Iterable[tuple[Document, CrmMapping]], connections: Mapping[str, str] | None
) -> tuple[dict[str, tuple[Document, CrmMapping]], list[Finding]]:
    """Which file serves which connection: the one that names it, else the one of its CRM that names none."""
    findings: list[Finding] = []
    by_key: dict[tuple[str, str | None], tuple[Document, CrmMapping]] = {}
    for document, mapping in mappings:
        key = (mapping.crm, mapping.connection)
        if key in by_key:
            findings.append(
                document.finding("SC-E020", f"{by_key[key][0].file} serves the same connections", ("crm",), next="name one connection in each")
            )
        by_key.setdefault(key, (document, mapping))
        if connections is not None and mapping.connection is not None and mapping.connection not in connections:
            near = names.nearest(mapping.connection, connections)
            findings.append(document.finding("SC-E020", f"unknown connection {mapping.connection}", ("connection",), near=near))
        elif connections is not None and mapping.connection is not None and connections[mapping.connection] != mapping.crm:
            findings.append(document.finding("SC-E020", f"{mapping.connection} is not a {mapping.crm} connection", ("connection",)))
    if connections is None:
        return {mapping.connection or mapping.crm: (document, mapping) for document, mapping in by_key.values()}, findings
    served: dict[str, tuple[Document, CrmMapping]] = {}
    for name, crm in connections.items():
        found = by_key.get((crm, name)) or by_key.get((crm, None))
        if found is not None:
            served[name] = found
        elif not any(mapping.crm == crm for _, mapping in by_key.values()):
            message = f"no mapping file for connection {name}"
            findings.append(Finding("SC-E025", message, file=f"{mappings_dir.name}/{crm}.yaml", next=f"write {crm}.yaml"))
        else:
            findings.append(
                Finding("SC-E025", f"no mapping file names connection {name}", file=mappings_dir.name, next=f"set connection: {name} in one")
            )
    return served, findings


# -- what pydantic says, in words ---------------------------------------------------------------------------------------


def validate(document: Document, model: type[Model]) -> tuple[Model | None, list[Finding]]:
    """The model of a document, or every problem of its shape (SC-E020, SC-E025) at its place."""
    try:
        value = model.model_validate_json(orjson.dumps(document.data), strict=True)
    except ValidationError as error:
        found = (_finding(document, model, detail) for detail in error.errors(include_url=False))
        return None, list(dict.fromkeys(found))
    if isinstance(value, CrmMapping):
        value.placed(document)
    return value, []


def _without_unknown_keys(document: Document, findings: Iterable[Finding]) -> Document:
    """The document less its unknown keys, so that one of them does not hide what else is wrong."""
    data = orjson.loads(orjson.dumps(document.data))
    unknown = {(f.line, f.column) for f in findings if f.code == "SC-E020" and f.message.startswith("unknown key")}
    for path, place in document.keys.items():
        if place in unknown:
            parent = data
            for part in path[:-1]:
                parent = parent[part]
            del parent[path[-1]]
    return Document(document.file, data, document.values, document.keys)


def _finding(document: Document, model: type[BaseModel], detail: Any) -> Finding:
    path, rest = _real_path(document.data, detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        key = str(rest[-1]) if rest else "a key"
        return document.finding("SC-E025", f"{key} is missing", path, next=f"add {key}:")
    if kind == "extra_forbidden":
        key = str(path[-1])
        near = names.nearest(key, _known_keys(model, path))
        return document.finding("SC-E020", f"unknown key {key}", path, key=True, near=near)
    if kind == "literal_error":
        listed = detail["ctx"]["expected"].replace(" or ", ", ").split(",")
        allowed = [word.strip("' ").replace("True", "true") for word in listed]
        near = names.nearest(str(detail["input"]), allowed)
        return document.finding("SC-E020", f"{_quoted(detail['input'])} is none of {', '.join(allowed)}", path, near=near)
    if kind == "string_pattern_mismatch":
        at_key = "[key]" in detail["loc"]
        return document.finding("SC-E020", f"{_quoted(detail['input'])} is not a name of an object or field", path, key=at_key)
    message = str(detail["msg"]).removeprefix("Value error, ")
    next_step = "write it in quotes" if kind == "string_type" and isinstance(detail["input"], bool | int | float) else None
    return document.finding("SC-E020", _WANTED.get(kind, message[:1].lower() + message[1:]), path, next=next_step)


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _real_path(data: Any, loc: Iterable[str | int]) -> tuple[Path_, list[str | int]]:
    """The part of pydantic's location that exists in the data (tags of unions do not), and what could not be followed."""
    path: Path_ = ()
    rest: list[str | int] = []
    part: Any
    for part in loc:
        inside = isinstance(part, int) and part < len(data) if isinstance(data, list) else isinstance(data, dict) and part in data
        if inside:
            data = data[part]
            path = (*path, part)
        elif part != "[key]" and not str(part).startswith("<"):
            rest.append(part)
    return path, rest


def _known_keys(model: type[BaseModel], path: Path_) -> list[str]:
    """Keys that the model knows at the parent of a path; all keys of all parts if that cannot be told."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    nodes: list[Mapping[str, Any]] = [schema]
    for part in path[:-1]:
        nodes = [found for node in nodes for found in _step(definitions, node, part)]
    return sorted({key for node in nodes for whole in _resolve(definitions, node) for key in whole.get("properties", {})})


def _resolve(definitions: Mapping[str, Any], node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in node:
        return _resolve(definitions, definitions[node["$ref"].rsplit("/", 1)[-1]])
    branches = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
    return [whole for branch in branches for whole in _resolve(definitions, branch)] if branches else [node]


def _step(definitions: Mapping[str, Any], node: Mapping[str, Any], part: str | int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for whole in _resolve(definitions, node):
        if isinstance(part, int):
            found += [item for item in (whole.get("items"), *whole.get("prefixItems", ())) if isinstance(item, dict)]
        elif part in whole.get("properties", {}):
            found.append(whole["properties"][part])
        elif isinstance(whole.get("additionalProperties"), dict):
            found.append(whole["additionalProperties"])
    return found
