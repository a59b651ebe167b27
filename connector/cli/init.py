"""connector init: a project in one step; the files are the admin's from then on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

import connector
from connector.cli.main import invocation
from connector.cli.output import Answer
from connector.errors import SettingsError, UsageError

FILE = "connector.toml"
CRMS = ("sandbox", "salesforce", "hubspot")
SANDBOX_PORT = 8425

SETTINGS = {
    "salesforce": """
[connections.{name}]
crm = "salesforce"
environment = "production"
base_url = "https://example.my.salesforce.com"   # your My Domain
api_version = "68.0"
flow = "client-credentials"                      # or jwt, or refresh-token
client_id = "consumer key of the External Client App"

[schedules.{name}]
pull = "*/15 * * * *"
push = "0 6,13 * * *"
quiet_hours = ["08:30-11:30", "13:30-17:30"]
""",
    "hubspot": """
[connections.{name}]
crm = "hubspot"
environment = "production"
base_url = "https://api.hubapi.com"
api_version = "2026-03"
flow = "token"                                   # a service key; or oauth

[schedules.{name}]
pull = "*/15 * * * *"
push = "0 6,13 * * *"
quiet_hours = ["08:30-11:30", "13:30-17:30"]
""",
    "sandbox": """
[connections.{name}]
crm = "{crm}"
environment = "sandbox"
base_url = "http://127.0.0.1:{port}"
flow = "sandbox"

[schedules.{name}]
pull = "*/15 * * * *"
push = "0 6,13 * * *"
""",
}
SECRETS = {
    "salesforce": "CONNECTOR_CONNECTIONS__SF_PROD__CLIENT_SECRET",
    "hubspot": "CONNECTOR_CONNECTIONS__HS_PROD__TOKEN",
}


def init(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="where; default: --project or here")] = None,
    crm: Annotated[str, typer.Option(help="sandbox | salesforce | hubspot")] = "sandbox",
    template: Annotated[str, typer.Option(help="medtech | healthtech: which seven KPIs to start with")] = "medtech",
    port: Annotated[int, typer.Option(help="port of the sandbox")] = SANDBOX_PORT,
    mappings: Annotated[Path | None, typer.Option(help="start from these mapping files instead of the starter ones")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="overwrite what is there")] = False,
) -> Answer:
    """Create a project: connector.toml, mapping files to edit, a state directory."""
    if crm not in CRMS:
        raise UsageError(f"--crm {crm!r} is none of {', '.join(CRMS)}")
    if template not in ("medtech", "healthtech"):
        raise UsageError(f"--template {template!r} is neither medtech nor healthtech")
    root = directory or invocation().project
    create(root, crm, template, port=port, mappings=mappings, overwrite=yes)
    return Answer(
        summary={"project": str(root), "crm": crm, "template": template},
        result={"files": sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())},
        text=[f"created {root / FILE} and {root / 'mappings'}/", *_next(root, crm)],
    )


def create(
    root: Path, crm: str, template: str, *, port: int = SANDBOX_PORT, mappings: Path | None = None, overwrite: bool = False, only: str | None = None
) -> None:
    """Write the project's files. ``only``: one CRM of the sandbox. Raises SettingsError if there is a project already."""
    path = root / FILE
    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists", next_step="add --yes to overwrite it, or choose another directory")
    root.mkdir(parents=True, exist_ok=True)
    path.write_text(_toml(root.resolve().name, crm, port, only), encoding="utf-8")
    _copy_mappings(mappings or starter_mappings(), root / "mappings", crm, template)
    state = root / "state"
    state.mkdir(exist_ok=True)
    state.chmod(0o700)


def starter_mappings() -> Path:
    """The starter mapping files: in the wheel beside the package, in a checkout at its root."""
    package = Path(connector.__file__).parent
    shipped = package / "starter_mappings"
    return shipped if shipped.is_dir() else package.parent / "mappings"


def _toml(name: str, crm: str, port: int, only: str | None) -> str:
    head = f'# Non-secret settings. Secrets come from the environment.\n[project]\nname = "{name}"\n'
    if crm != "sandbox":
        return head + SETTINGS[crm].format(name="sf-prod" if crm == "salesforce" else "hs-prod")
    both = {"salesforce": "sf-demo", "hubspot": "hs-demo"}
    return head + "".join(SETTINGS["sandbox"].format(name=n, crm=c, port=port) for c, n in both.items() if only in (None, c))


def _copy_mappings(source: Path, target: Path, crm: str, template: Literal["medtech", "healthtech"] | str) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("examples"))
    for other in {"salesforce", "hubspot"} - {crm}:
        if crm != "sandbox":
            (target / f"{other}.yaml").unlink(missing_ok=True)
    kpis = target / "kpis.yaml"
    if template == "healthtech":
        kpis.write_text(re.sub(r"preset:\s*medtech_core", "preset: healthtech_core", kpis.read_text(encoding="utf-8")), encoding="utf-8")


def _next(root: Path, crm: str) -> list[str]:
    at = "" if root == Path() else f" --project {root}"
    if crm == "sandbox":
        return [f"next: connector{at} sandbox up && connector{at} sync && connector{at} kpis compute"]
    return [
        f"next: 1. correct base_url and client_id in {root / FILE}",
        f"      2. export {SECRETS[crm]}=…",
        f"      3. connector{at} check",
        f"      4. edit mappings/, then connector{at} mapping check --live",
    ]
