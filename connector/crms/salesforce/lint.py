"""What makes an org refuse a bundle, or what would harm the company's own, found before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from connector.crms.provisioning import FieldSpec, Wanted
from connector.crms.salesforce import extras

NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
FOLDERS = frozenset({"objects", "permissionsets", "customPermissions", "reportTypes", "reports", "lwc", "package.xml"})
"""All that a bundle may hold. Layouts and record pages are the administrator's: deploying one overwrites what is there. A dashboard is too: one that
runs as its viewer may be one too many for the org, which refuses all with it; one that runs as somebody shows that person's deals to everybody."""
RESERVED = frozenset({"Scorecard", "ScorecardMetric", "ScorecardAssociation"})
MOST_LABEL, MOST_VIEW_LABEL, MOST_TEXT, MOST_FORMULA, MOST_NAME = 40, 39, 255, 3_900, 40
OBJECT_NEEDS = ("label", "pluralLabel", "nameField", "sharingModel", "deploymentStatus", "description")
RIGHTS = ("allowCreate", "allowDelete", "allowEdit", "allowRead", "modifyAllRecords", "viewAllRecords")
MODULES = frozenset({"lwc", "lightning/uiRecordApi", "lightning/uiRelatedListApi"})
STANDARD_WORDS = frozenset({
    "IsClosed", "LastStageChangeDate", "CloseDate", "CreatedDate", "Amount", "IF", "OR", "AND", "NOT", "ISBLANK", "BLANKVALUE", "TODAY",
    "DATEVALUE", "CASE", "CONTAINS", "NULL", "TRUE", "FALSE",
})  # fmt: skip
"""Standard fields and functions that our formulas use."""


def problems(wanted: Wanted, files: Mapping[str, str], own: frozenset[str] = frozenset()) -> list[str]:
    """Every problem of a package in metadata format, in words. ``own``: the org's own fields that formulas may read."""
    return [
        *_files(files), *_fields(wanted, own), *_own_objects(wanted, files), *_sets(wanted, files), *_rights(wanted, files), *_views(files),
        *_columns(wanted, files), *_reports(files), *_card(wanted, files),
    ]  # fmt: skip


def _files(files: Mapping[str, str]) -> Iterator[str]:
    for path, text in files.items():
        if path.split("/")[0] not in FOLDERS:
            yield f"{path}: the connector never deploys this kind of component"
        if path.endswith((".js", ".html")):
            continue
        if "<!--" in text:
            yield f"{path}: comments are not accepted everywhere"
        try:
            root = _parsed(text)
        except ElementTree.ParseError as error:
            yield f"{path}: not well-formed ({error})"
            continue
        for found in root.iter(f"{NAMESPACE}description"):
            if len(found.text or "") > MOST_TEXT:
                yield f"{path}: a description is longer than {MOST_TEXT} characters"


def _fields(wanted: Wanted, own: frozenset[str]) -> Iterator[str]:
    for spec in wanted.objects:
        if spec.name.removesuffix("__c") in RESERVED:
            yield f"{spec.name}: the name of a standard object"
        if len(spec.by_name) < len(spec.fields):
            yield f"{spec.name}: a field is named twice"
        known = {*spec.by_name, *own, *(f"KPI_Opportunity__r.{name}" for name in own)}
        for field in spec.fields:
            yield from (f"{spec.name}.{field.name}: {said}" for said in _field(field, known))


def _field(field: FieldSpec, known: set[str]) -> Iterator[str]:
    bare = field.name.removesuffix("__c")
    if not re.fullmatch(r"KPI_[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__c", field.name) or len(bare) > MOST_NAME:
        yield "not a name of a scorecard field"
    if not field.label or len(field.label) > MOST_LABEL:
        yield f"the label is empty or longer than {MOST_LABEL} characters"
    for text in (field.help, field.about):
        if not text or len(text) > MOST_TEXT:
            yield f"help and description are needed, of at most {MOST_TEXT} characters"
    if field.type == "picklist" and not field.options:
        yield "a picklist without values"
    if field.formula is None:
        return
    if len(field.formula) > MOST_FORMULA:
        yield f"the formula is longer than {MOST_FORMULA:,} characters"
    bare_text = re.sub(r'"(?:\\.|[^"\\])*"', "", field.formula)
    if '"' in bare_text or bare_text.count("(") != bare_text.count(")"):
        yield "the formula's brackets or quotes do not match"
    if own_name := next((word for word in re.findall(r"(?:\w+\.)*[A-Za-z]\w*", bare_text) if not _is_known(word, known)), None):
        yield f"the formula reads {own_name}, which is neither ours nor mapped"


def _is_known(word: str, known: set[str]) -> bool:
    return word in known or word in STANDARD_WORDS or word.removeprefix("KPI_Opportunity__r.") in STANDARD_WORDS


def _own_objects(wanted: Wanted, files: Mapping[str, str]) -> Iterator[str]:
    """Rows of objects that are ours are found again by one key, and outlive the record that they point to."""
    parents: dict[tuple[str, str], str] = {}
    for spec in (spec for spec in wanted.objects if spec.own):
        path = f"objects/{spec.name}.object"
        if not re.fullmatch(r"KPI_[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__c", spec.name) or path not in files:
            yield f"{spec.name}: not the name of an object of ours, or its file is missing"
            continue
        root = _parsed(files[path])
        yield from (f"{path}: {tag} is missing" for tag in OBJECT_NEEDS if root.find(NAMESPACE + tag) is None)
        fields = list(root.iter(f"{NAMESPACE}fields"))
        keys = [field for field in fields if _text(field, "externalId") == "true"]
        if len(keys) != 1:
            yield f"{path}: {len(keys)} key fields, where rows are found by one"
        for key in keys:
            if (_text(key, "unique"), _text(key, "caseSensitive")) != ("true", "false"):
                yield f"{path}: {_text(key, 'fullName')} must be unique, in any case"
        for lookup in (field for field in fields if _text(field, "type") == "Lookup"):
            if _text(lookup, "deleteConstraint") != "SetNull":
                yield f"{path}: {_text(lookup, 'fullName')} would be deleted with its parent, or keep it from being deleted"
            reached = (_text(lookup, "referenceTo"), _text(lookup, "relationshipName"))
            if reached in parents:
                yield f"{path}: {reached[0]} would reach {spec.name} and {parents[reached]} by one name, {reached[1]}"
            parents[reached] = spec.name


def _rights(wanted: Wanted, files: Mapping[str, str]) -> Iterator[str]:
    """Rows are made, edited and, by a rollback or after their deal, removed on our own objects alone; readers read. Nobody gets more than that."""
    grains = {spec.name: spec.grain for spec in wanted.objects}
    own = {spec.name for spec in wanted.objects if spec.own}
    for name in extras.SETS:
        text = files.get(f"permissionsets/{name}.permissionset")
        if text is None:
            continue
        writes, root = name == extras.INTEGRATION, _parsed(text)
        held = {_text(row, "object"): row for row in root.iter(f"{NAMESPACE}objectPermissions")}
        yield from (f"{name}: no access to {missing}" for missing in sorted(grains.keys() - held.keys()))
        for object_, row in held.items():
            allowed = {right for right in RIGHTS if _text(row, right) == "true"}
            wants = {"allowRead"}
            if writes and object_ in own:
                wants |= {"allowCreate", "allowEdit", "allowDelete", "viewAllRecords"}
            elif writes and object_ in grains:
                wants |= {"allowEdit"}
            more = allowed - wants - ({"viewAllRecords"} if writes and grains.get(object_, object_) in ("opportunity", "Opportunity") else set())
            yield from (f"{name}: {right} on {object_} is more than is needed" for right in sorted(more))
            yield from (f"{name}: {right} on {object_} is missing" for right in sorted(wants - allowed))
        for tag, known in (("userPermissions", {"ApiEnabled"}), ("customPermissions", {extras.BYPASS})):
            given = {_text(row, "name") for row in root.iter(NAMESPACE + tag)}
            yield from (f"{name}: {extra} is more than is needed" for extra in sorted(given - (known if writes else set())))


def _columns(wanted: Wanted, files: Mapping[str, str]) -> Iterator[str]:
    """Views and report types name fields that are there; those of the platform are spelt its own way and looked at by the org."""
    known = {spec.name: set(spec.by_name) for spec in wanted.objects}
    for path, text in files.items():
        if path.startswith("objects/"):
            about = path.removeprefix("objects/").removesuffix(".object")
            for view in _parsed(text).iter(f"{NAMESPACE}listViews"):
                named = [column.text or "" for column in view.findall(f"{NAMESPACE}columns")]
                named += [_text(row, "field") for row in view.findall(f"{NAMESPACE}filters")]
                for name in dict.fromkeys(named):
                    if name.endswith("__c") and name not in known.get(about, ()):
                        yield f"{path}: {_text(view, 'fullName')} shows {name}, which is not in the bundle"
        if path.startswith("reportTypes/"):
            for column in _parsed(text).iter(f"{NAMESPACE}columns"):
                table, name = _text(column, "table"), _text(column, "field")
                if name.endswith("__c") and name not in known.get(table, ()):
                    yield f"{path}: {table}.{name} is not in the bundle"


def _card(wanted: Wanted, files: Mapping[str, str]) -> Iterator[str]:
    """The card needs no code of the org's own, stands on a page that there is, and finds its row by a name that the lookup bears."""
    card, home = extras.card(wanted), f"lwc/{extras.CARD}/{extras.CARD}"
    if card is None:
        return
    script, meta = files.get(f"{home}.js", ""), files.get(f"{home}.js-meta.xml")
    for module in re.findall(r"""from\s+['"]([^'"]+)['"]""", script):
        if module not in MODULES:
            yield f"{home}.js: imports {module}; the card reads through the platform's own data service alone"
    if meta is not None:
        pages = {found.text or "" for found in _parsed(meta).iter(f"{NAMESPACE}object")}
        if pages != {card.page}:
            yield f"{home}.js-meta.xml: it may be placed on {', '.join(sorted(pages)) or 'no page'}, not on {card.page}"
    for related in re.findall(r"relatedListId:\s*'([^']*)'", script):
        names = {
            f"{_text(field, 'relationshipName')}__r"
            for field in _parsed(files[f"objects/{card.object}.object"]).iter(f"{NAMESPACE}fields")
            if _text(field, "referenceTo") == card.page
        }
        if related not in names:
            yield f"{home}.js: {card.page} has no related list {related}"
    fields = {spec.name for spec in card.fields}
    for name in re.findall(r"field:\s*'([^']*)'", script):
        if name not in fields:
            yield f"{home}.js: shows {name}, which is not in the bundle"


def _sets(wanted: Wanted, files: Mapping[str, str]) -> Iterator[str]:
    """Both sets hold every field, since a deployed set replaces the one that is there; a formula is never editable."""
    every = {f"{spec.name}.{field.name}": field for spec in wanted.objects for field in spec.fields}
    for path, text in files.items():
        if not path.startswith("permissionsets/"):
            continue
        name = path.removeprefix("permissionsets/").removesuffix(".permissionset")
        if name not in extras.SETS:
            yield f"{path}: not a permission set of ours"
            continue
        held = {_text(row, "field"): _text(row, "editable") == "true" for row in _parsed(text).iter(f"{NAMESPACE}fieldPermissions")}
        yield from (f"{name}: {missing} is missing" for missing in sorted(every.keys() - held.keys()))
        yield from (f"{name}: {foreign} is no field of ours" for foreign in sorted(held.keys() - every.keys()))
        for field, editable in held.items():
            spec = every.get(field)
            if spec is not None and editable and (spec.formula is not None or name == extras.READER):
                yield f"{name}: {field} may not be editable"
    yield from (f"{name}: not in the bundle" for name in extras.SETS if f"permissionsets/{name}.permissionset" not in files)


def _views(files: Mapping[str, str]) -> Iterator[str]:
    for path, text in files.items():
        if path.startswith("objects/"):
            for view in _parsed(text).iter(f"{NAMESPACE}listViews"):
                if len(_text(view, "label")) > MOST_VIEW_LABEL:
                    yield f"{path}: the label of {_text(view, 'fullName')} has {MOST_VIEW_LABEL + 1} characters or more"
                if len(view.findall(f"{NAMESPACE}columns")) > extras.MOST_COLUMNS:
                    yield f"{path}: {_text(view, 'fullName')} has more than {extras.MOST_COLUMNS} columns"
            for field in _parsed(text).iter(f"{NAMESPACE}fields"):
                if _text(field, "required") == "true":
                    yield f"{path}: {_text(field, 'fullName')} is required, which no permission set may name"


def _reports(files: Mapping[str, str]) -> Iterator[str]:
    folders = {
        path.removeprefix("reports/").removesuffix("-meta.xml") for path in files if path.startswith("reports/") and path.endswith("-meta.xml")
    }
    for path, text in files.items():
        if path.startswith("reports/") and path.endswith("-meta.xml") and "folderShares" not in text:
            yield f"{path}: a folder without shares is seen by nobody"
        if path.endswith(".report"):
            root = _parsed(text)
            if path.split("/")[1] not in folders:
                yield f"{path}: its folder is not in the bundle"
            grouped = {_text(row, "field") for row in root.iter(f"{NAMESPACE}groupingsDown")}
            columns = {_text(row, "field") for row in root.iter(f"{NAMESPACE}columns")}
            yield from (f"{path}: {both} is a column and a grouping" for both in sorted(grouped & columns))


def _text(row: ElementTree.Element, name: str) -> str:
    found = row.find(NAMESPACE + name)
    return (found.text or "") if found is not None else ""


def _parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 - what we made ourselves
