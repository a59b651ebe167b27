"""The same deployment as a source project, for teams whose releases go through a pipeline of their own (``sf project deploy start``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from connector.crms.provisioning import Wanted
from connector.crms.salesforce import bundle, extras, lint
from connector.errors import Blocked

ROOT = "force-app/main/default"


def files(wanted: Wanted, version: str) -> Mapping[str, str]:
    """path → text. Raises Blocked (SC-E150) for what an org would refuse."""
    if found := lint.problems(wanted, bundle.metadata_files(wanted, version), wanted.reads):
        raise Blocked(f"the project is not written: {found[0]}", code="SC-E150", next_step="correct the mapping, or report it")
    parts = bundle.components(wanted, version)
    about = {
        "packageDirectories": [{"path": "force-app", "default": True}], "name": "kpi-scorecard", "namespace": "",
        "sfdcLoginUrl": "https://login.salesforce.com", "sourceApiVersion": version,
    }  # fmt: skip
    made = {
        "sfdx-project.json": orjson.dumps(about, option=orjson.OPT_INDENT_2).decode() + "\n",
        "manifest/package.xml": bundle.package(parts, version),
        "README.md": _page("README.md", wanted),
        "DEPLOY.md": _page("DEPLOY.md", wanted),
    }
    return made | {f"{ROOT}/{path}": text for part in parts for path, text in part.source.items()}


def _page(name: str, wanted: Wanted) -> str:
    text = (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
    fields = "\n".join(
        f"| {spec.name} | {field.name} | {field.label} | {'formula' if field.formula else 'written'} | {field.help} |"
        for spec in wanted.objects
        for field in spec.fields
    )
    return text.replace("@FIELDS@", fields).replace("@INTEGRATION@", extras.INTEGRATION).replace("@READER@", extras.READER)
