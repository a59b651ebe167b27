"""A developer project with a read-only card for the deal record, for teams that upload through a pipeline of their own (``hs project upload``).

Platform versions from 2025.2 on take app cards. The card reads the written properties and has no backend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from connector.crms.provisioning import FieldSpec, Wanted
from connector.errors import SettingsError

SCOPE = "crm.objects.deals.read"
CARD_PLACE = "crm.record.tab"
UI_EXTENSIONS = "0.17.0"
"""The version of @hubspot/ui-extensions that the card was checked against; it asks for React 18."""
REACT, TYPESCRIPT = "18.3.1", "^5.9.0"
_TEMPLATES = Path(__file__).parent / "templates"


def files(wanted: Wanted, version: str) -> Mapping[str, str]:
    """path → text. ``version``: HubSpot's platform version, ``2026.03``. Raises SettingsError."""
    if not re.fullmatch(r"\d{4}\.\d{1,2}", version):
        raise SettingsError(f"platform_version {version!r}: HubSpot's are written as 2026.03")
    deal = wanted.object("opportunity")
    fields = deal.fields if deal is not None else ()
    return {
        "hsproject.json": _json({"name": "kpi-scorecard", "srcDir": "src", "platformVersion": version}),
        "src/app/app-hsmeta.json": _json(_app()),
        "src/app/cards/scorecard-hsmeta.json": _json(_card()),
        "src/app/cards/Card.tsx": _template("Card.tsx").replace("@FIELDS@", _literal([_field(spec) for spec in fields])),
        "src/app/cards/package.json": _json(_package()),
        "src/app/cards/tsconfig.json": _json(_compiler()),
        "README.md": _template("README.md").replace("@FIELDS@", _rows(wanted)),
        "DEPLOY.md": _template("DEPLOY.md").replace("@PLATFORM@", version).replace("@LEFT_OUT@", _left_out(wanted)),
    }


def _app() -> Mapping[str, Any]:
    auth = {"type": "static", "requiredScopes": [SCOPE], "optionalScopes": [], "conditionallyRequiredScopes": []}
    config = {
        "name": "KPI Scorecard", "description": "Shows the scorecard of a deal. Reads only.", "distribution": "private", "auth": auth,
        "permittedUrls": {"fetch": [], "iframe": [], "img": []},
    }  # fmt: skip
    return {"uid": "kpi-scorecard-app", "type": "app", "config": config}


def _card() -> Mapping[str, Any]:
    config = {"name": "Deal scorecard", "location": CARD_PLACE, "entrypoint": "/app/cards/Card.tsx", "objectTypes": ["deals"]}
    return {"uid": "kpi-scorecard", "type": "card", "config": config}


def _package() -> Mapping[str, Any]:
    return {
        "name": "kpi-scorecard-card", "version": "1.0.0", "private": True, "license": "UNLICENSED", "scripts": {"check": "tsc"},
        "dependencies": {"@hubspot/ui-extensions": UI_EXTENSIONS, "react": REACT},
        "devDependencies": {"@types/react": "^18.3.0", "typescript": TYPESCRIPT},
    }  # fmt: skip


def _compiler() -> Mapping[str, Any]:
    options = {
        "strict": True, "noEmit": True, "jsx": "react", "target": "ES2022", "lib": ["ES2022"], "module": "ESNext", "moduleResolution": "bundler",
        "noUnusedLocals": True, "noUncheckedIndexedAccess": True, "skipLibCheck": True, "types": [],
    }  # fmt: skip
    return {"compilerOptions": options, "include": ["*.tsx"]}


def _field(spec: FieldSpec) -> Mapping[str, Any]:
    made: dict[str, Any] = {"key": spec.key, "name": spec.name, "label": spec.label, "kind": spec.type}
    return made | ({"options": {option.value: option.label for option in spec.options}} if spec.options else {})


def _literal(value: Any) -> str:
    """JSON, which is a literal of TypeScript, too."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _json(value: Any) -> str:
    return _literal(value) + "\n"


def _rows(wanted: Wanted) -> str:
    return "\n".join(
        f"| {spec.name} | {field.name} | {field.label} | {'calculated' if field.formula else 'written'} | {field.help} |"
        for spec in wanted.objects
        for field in spec.fields
    )


def _left_out(wanted: Wanted) -> str:
    return "\n".join(f"* {key}: {why}" for key, why in sorted(wanted.left_out.items())) or "* nothing"


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
