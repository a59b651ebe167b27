"""A project on a sandbox, driven through the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from connector.cli.main import main
from connector.sandbox.world import World

SF_RECORD = "services/data/v68.0/sobjects/Opportunity"
HS_RECORD = "crm/objects/2026-03/0-3"


@dataclass
class Project:
    """A project directory and the world behind its connections."""

    root: Path
    base_url: str
    world: World
    say: Callable[[], Any]

    def run(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run a verb with --json: (exit code, the document)."""
        code = main(["--project", str(self.root), *words, "--json"])
        return code, json.loads(self.say().out)

    def ok(self, *words: str) -> dict[str, Any]:
        """The document of a verb that must succeed."""
        code, document = self.run(*words)
        assert code == 0, document
        return document

    def record(self, crm: str, id: str) -> dict[str, Any]:
        """The record as the CRM's own API shows it."""
        headers = {"Authorization": "Bearer sandbox-rep"}
        if crm == "salesforce":
            return dict(requests.get(f"{self.base_url}/{SF_RECORD}/{id}", headers=self.rep(), timeout=30).json())
        wanted = ",".join(f"kpi_{name}" for name in HS_NAMES)
        return dict(requests.get(f"{self.base_url}/{HS_RECORD}/{id}?properties={wanted}", headers=headers, timeout=30).json()["properties"])

    def edit(self, crm: str, id: str, values: dict[str, Any]) -> None:
        """A user's own edit of a deal."""
        if crm == "salesforce":
            answer = requests.patch(f"{self.base_url}/{SF_RECORD}/{id}", json=values, headers=self.rep(), timeout=30)
        else:
            headers = {"Authorization": "Bearer sandbox-rep"}
            answer = requests.patch(f"{self.base_url}/{HS_RECORD}/{id}", json={"properties": values}, headers=headers, timeout=30)
        assert answer.status_code in (200, 204), answer.text

    def rep(self) -> dict[str, str]:
        """A session in the Salesforce org."""
        form = {"grant_type": "client_credentials", "client_id": "rep", "client_secret": "rep"}
        token = requests.post(f"{self.base_url}/services/oauth2/token", data=form, timeout=30).json()["access_token"]
        return {"Authorization": f"Bearer {token}"}


HS_NAMES = (
    "stage", "stage_entered_on", "stage_benchmark_days", "pace", "open_gates", "gate_progress", "compliance_since", "secq_received_on",
    "pilot_limit_on", "personas", "personas_missing", "last_buyer_activity", "touch_density", "regressions", "close_pushes", "stale_reason",
    "win_chance", "win_chance_n", "data_gaps", "blended_arr", "updated_at", "definition",
)  # fmt: skip
