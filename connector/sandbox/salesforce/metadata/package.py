"""The zip of a deployment: package.xml, the files, and which of them is which component."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from connector.sandbox.salesforce.metadata.xml import Node, XmlProblem, parse

LARGEST = 39 * 1024 * 1024
LARGEST_FILE = 10 * 1024 * 1024
MOST_FILES = 10_000
MANIFEST = "package.xml"
TYPES: Mapping[str, tuple[str, str, str]] = {
    "CustomPermission": ("customPermissions", ".customPermission", "CustomPermission"),
    "PermissionSet": ("permissionsets", ".permissionset", "PermissionSet"),
    "CustomObject": ("objects", ".object", "CustomObject"),
    "ReportType": ("reportTypes", ".reportType", "ReportType"),
    "Report": ("reports", ".report", "Report"),
    "Dashboard": ("dashboards", ".dashboard", "Dashboard"),
}
"""Type → its directory, the end of its files' names, the root element."""
PARTS = {"CustomField": "fields", "ListView": "listViews", "CompactLayout": "compactLayouts", "ValidationRule": "validationRules"}
"""Types that live in an object's file → the element they are."""
FOLDERS = {"reports": ("Report", "ReportFolder"), "dashboards": ("Dashboard", "DashboardFolder")}
BUNDLES = {"lwc": "LightningComponentBundle"}
KNOWN = frozenset({*TYPES, *PARTS, *BUNDLES.values()})


@dataclass(frozen=True, slots=True)
class Component:
    """One thing to be deployed. ``node``: its element, None for a bundle, whose ``files`` are path → content. ``made``: there is no such
    component in the org yet, set by whoever knows."""

    type: str
    name: str
    file: str
    node: Node
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return self.type, self.name


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of componentFailures."""

    message: str
    file: str
    type: str = ""
    name: str = ""
    line: int = 1
    column: int = 1
    kind: str = "Error"


@dataclass
class Package:
    """What a zip holds. ``declared``: type → members of package.xml."""

    files: dict[str, bytes]
    version: str = ""
    declared: dict[str, list[str]] = field(default_factory=dict)
    components: list[Component] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(content: bytes) -> Package:
    """The package of a zip, its problems in it: what is not declared, what is missing, what cannot be read."""
    files, problem = _unzipped(content)
    package = Package(files)
    if problem is not None:
        package.problems.append(Problem(problem, MANIFEST, name=MANIFEST))
        return package
    if MANIFEST not in files:
        package.problems.append(Problem("No package.xml found", MANIFEST, name=MANIFEST))
        return package
    try:
        _manifest(package, parse(files[MANIFEST]))
    except XmlProblem as found:
        package.problems.append(Problem(f"Error parsing file: {found.message}", MANIFEST, name=MANIFEST, line=found.line, column=found.column))
        return package
    _components(package)
    _compare(package)
    return package


def _unzipped(content: bytes) -> tuple[dict[str, bytes], str | None]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES or any(entry.file_size > LARGEST_FILE for entry in entries):
                return {}, "Maximum size of request reached. Maximum size of request is 52428800 bytes."
            return {entry.filename: archive.read(entry) for entry in entries}, None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError):
        return {}, "Not a valid zip file"


def _manifest(package: Package, root: Node) -> None:
    package.version = root.get("version") or ""
    if root.tag != "Package" or not package.version:
        line = f"Error parsing file: Element {root.tag} invalid at this location" if root.tag != "Package" else "Required field is missing: version"
        package.problems.append(Problem(line, MANIFEST, name=MANIFEST, line=root.line))
    for types in root.all("types"):
        name = types.get("name") or ""
        if name not in KNOWN:
            package.problems.append(Problem(f"Unknown type name '{name}' specified in package.xml", MANIFEST, name=MANIFEST, line=types.line))
            continue
        package.declared.setdefault(name, []).extend(member.text for member in types.all("members"))
    for child in root.children:
        if child.tag not in ("types", "version", "fullName", "description", "apiAccessLevel"):
            package.problems.append(Problem(f"Error parsing file: Element {child.tag} invalid at this location in type Package", MANIFEST,
                                            name=MANIFEST, line=child.line))  # fmt: skip


def _components(package: Package) -> None:
    bundles: dict[tuple[str, str], dict[str, bytes]] = {}
    for path, content in sorted(package.files.items()):
        if path == MANIFEST:
            continue
        directory, _, rest = path.partition("/")
        if directory in BUNDLES and "/" in rest:
            bundles.setdefault((BUNDLES[directory], rest.split("/")[0]), {})[path] = content
            continue
        found = _typed(directory, rest)
        if found is None:
            package.problems.append(Problem("Unknown file or directory in the package", path, name=path))
            continue
        _file(package, found, path, content)
    for (kind, name), files in bundles.items():
        package.components.append(Component(kind, name, f"lwc/{name}", Node(kind, 1, 1), files))


def _typed(directory: str, rest: str) -> tuple[str, str, str] | None:
    """Type, full name and root element of a file, None where an org knows no such file."""
    for kind, (home, end, root) in TYPES.items():
        if directory == home and rest.endswith(end) and ("/" in rest) is (kind in ("Report", "Dashboard")):
            return kind, rest.removesuffix(end), root
    if directory in FOLDERS and "/" not in rest and rest.endswith("-meta.xml"):
        kind, root = FOLDERS[directory]
        return kind, rest.removesuffix("-meta.xml"), root
    return None


def _file(package: Package, found: tuple[str, str, str], path: str, content: bytes) -> None:
    kind, name, root = found
    try:
        node = parse(content)
    except XmlProblem as problem:
        package.problems.append(Problem(f"Error parsing file: {problem.message}", path, kind, name, problem.line, problem.column))
        return
    if node.tag != root:
        package.problems.append(Problem(f"Error parsing file: Element {node.tag} invalid at this location, {root} expected", path, kind, name))
        return
    package.components.append(Component(kind, name, path, node))
    if kind == "CustomObject":
        for part, element in PARTS.items():
            package.components += [
                Component(part, f"{name}.{child.get('fullName') or ''}", path, child) for child in node.all(element)
            ]  # fmt: skip


def _compare(package: Package) -> None:
    """What package.xml names and the zip does not hold, and the other way round; twice the same name."""
    held: dict[tuple[str, str], Component] = {}
    for component in package.components:
        if component.key in held:
            package.problems.append(Problem(f"Duplicate developer name: {component.name} occurs more than once in the deployment", component.file,
                                            component.type, component.name, component.node.line, component.node.column))  # fmt: skip
        held[component.key] = component
    for kind, members in package.declared.items():
        for member in members:
            if member != "*" and (kind, member) not in held and not any(p.name == member and p.type == kind for p in package.problems):
                message = f"An object '{member}' of type {kind} was named in package.xml, but was not found in zipped directory"
                package.problems.append(Problem(message, MANIFEST, "", member))
    for component in package.components:
        if not any(name in package.declared.get(kind, ()) for kind, name in _names(component)):
            package.problems.append(Problem("Not in package.xml", component.file, component.type, component.name, component.node.line))


def _names(component: Component) -> Iterator[tuple[str, str]]:
    """Under which names of package.xml a component travels: its own, all of its type, its object's."""
    yield component.type, component.name
    yield component.type, "*"
    if component.type in PARTS:
        yield "CustomObject", component.name.split(".")[0]
    if component.type == "CustomObject":  # an object's file may be there for its parts alone
        for part, element in PARTS.items():
            for child in component.node.all(element):
                yield part, f"{component.name}.{child.get('fullName')}"
                yield part, "*"
