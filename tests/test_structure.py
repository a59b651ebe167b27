"""The import rules of ARCHITECTURE.md, read from the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "connector"
MODULES = sorted(ROOT.rglob("*.py"))

ALLOWED = {  # column → what of ours it may import beside itself
    "errors": set(),
    "clock": set(),
    "model": {"model"},
    "privacy": {"errors"},
    "crms": {"crms", "errors", "privacy", "clock"},
    "mapping": {"mapping", "errors", "model", "crms.base", "privacy", "clock"},
    "kpis": {"kpis", "errors", "clock", "model"},
    "report": {"report", "errors", "clock", "model", "kpis"},
    "scorecard": {"scorecard", "errors", "model", "crms.base", "crms.provisioning"},
    "state": {"state", "errors", "model", "clock"},
    "sandbox": {"sandbox"},
    "alerts": {"errors", "settings", "model"},
}
HOMES = {  # third-party package → the only places that import it
    "simple_salesforce": ("crms/salesforce/",),
    "hubspot": ("crms/hubspot/",),
    "tenacity": ("crms/retry.py", "alerts.py"),
    "smtplib": ("alerts.py",),
    "sqlmodel": ("state/",),
    "sqlalchemy": ("state/",),
    "alembic": ("state/",),
    "apscheduler": ("schedule.py",),
    "ruamel": ("mapping/",),
    "scipy": ("kpis/stats.py",),
    "starlette": ("sandbox/",),
    "uvicorn": ("sandbox/",),
    "lark": ("sandbox/",),
    "typer": ("cli/",),
    "altair": ("report/charts.py",),
    "jinja2": ("report/page.py", "sandbox/", "crms/salesforce/bundle.py"),
}


def _imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_a_column_imports_only_what_it_may(path: Path) -> None:
    column = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if column not in ALLOWED:
        return
    for name in _imports(path):
        if not name.startswith("connector."):
            continue
        ours = name.removeprefix("connector.")
        assert any(ours == a or ours.startswith(f"{a}.") for a in ALLOWED[column]), f"{_place(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_third_party_names_have_one_home(path: Path) -> None:
    for name in _imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or _place(path).startswith(homes), f"{_place(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_time_comes_from_a_clock(path: Path) -> None:
    if _place(path).startswith(("clock.py", "sandbox/")):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert called not in ("datetime.now", "datetime.utcnow", "date.today", "time.time", "datetime.today"), (
                f"{_place(path)}:{node.lineno} {called}"
            )


def test_no_import_cycles() -> None:
    graph = {_dotted(path): _known(_imports(path)) for path in MODULES}
    done: set[str] = set()

    def visit(node: str, trail: tuple[str, ...]) -> None:
        assert node not in trail, " → ".join((*trail[trail.index(node) :], node))
        if node in done:
            return
        for after in graph.get(node, ()):
            visit(after, (*trail, node))
        done.add(node)

    for start in graph:
        visit(start, ())


def _dotted(path: Path) -> str:
    dotted = path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".")
    return dotted.removesuffix(".__init__")


def _known(names: list[str]) -> set[str]:
    modules = {_dotted(path) for path in MODULES}
    found = set()
    for name in names:
        whole = name
        while whole and whole not in modules:
            whole = whole.rpartition(".")[0]
        if whole and whole != "connector":
            found.add(whole)
    return found
