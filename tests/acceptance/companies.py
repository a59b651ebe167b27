"""A project on a CRM that nobody has provisioned: an org and a portal, their administrator and a rep."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.cli.init import create
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests.acceptance.harness import Project

DATA = "services/data/v68.0"
READER = "KPI_Scorecard_Reader"
INTEGRATION = "KPI_Scorecard_Integration"
ADMIN = "sandbox-admin"


class Company(Project):
    admin: str
    """The administrator's token."""

    def provision(self, monkeypatch: pytest.MonkeyPatch, *words: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """A verb of provision with a token on standard input."""
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token or self.admin}\n"))
        return self.run("provision", *words, "--token-stdin")

    def change(self, file: str, old: str, new: str) -> None:
        path = self.root / "mappings" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


class Org(Company):
    """A project on an org that nobody has provisioned, its administrator and one of its reps."""

    def as_user(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer sandbox-as-{user}"}

    @property
    def admin(self) -> str:
        return f"sandbox-as-{self.world.org.admin}"

    def query(self, text: str, user: str | None = None) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.base_url}/{DATA}/query", params={"q": text}, headers=self.as_user(user or self.world.org.admin), timeout=30)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["records"])

    def fields(self, user: str) -> dict[str, dict[str, Any]]:
        """What one user sees of Opportunity."""
        answer = requests.get(f"{self.base_url}/{DATA}/sobjects/Opportunity/describe", headers=self.as_user(user), timeout=30).json()
        return {field["name"]: field for field in answer["fields"] if field["name"].startswith("KPI_")}

    def rep_who_reads(self) -> str:
        """A rep to whom the administrator gives the readers' set."""
        rep = next(r["Id"] for r in self.query("SELECT Id, Username FROM User WHERE IsActive = true") if self._sells(r["Id"]))
        self.give(rep, READER)
        return str(rep)

    def give(self, user: str, permission_set: str) -> None:
        """The administrator gives a user a permission set."""
        set_id = self.query(f"SELECT Id FROM PermissionSet WHERE Name = '{permission_set}'")[0]["Id"]
        url, body = f"{self.base_url}/{DATA}/sobjects/PermissionSetAssignment", {"AssigneeId": user, "PermissionSetId": set_id}
        assert requests.post(url, json=body, headers=self.as_user(self.world.org.admin), timeout=30).status_code == 201

    def _sells(self, user: str) -> bool:
        return bool(self.query(f"SELECT Id FROM Opportunity WHERE OwnerId = '{user}' AND IsClosed = false LIMIT 1"))


class Portal(Company):
    """A project on a portal that nobody has provisioned."""

    admin = ADMIN

    def made(self) -> set[str]:
        return {name for name in self.world.portal.properties["deals"] if name.startswith("kpi_")}

    def read(self, id: str, *names: str) -> dict[str, Any]:
        """Values of a deal by a key of the rep's."""
        params = {"properties": ",".join(names)}
        answer = requests.get(
            f"{self.base_url}/crm/objects/2026-03/deals/{id}", params=params, headers={"Authorization": "Bearer sandbox-rep"}, timeout=30
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["properties"])

    def page(self, id: str) -> dict[str, str]:
        """What the page of a deal shows, by property."""
        text = requests.get(f"{self.base_url}/sandbox/hubspot/deals/{id}", timeout=30).text
        return dict(re.findall(r'<dd data-field="(\w+)">(.*?)</dd>', text))


@contextmanager
def bare_org(folder: Path, say: Callable[[], Any]) -> Iterator[Org]:
    with _project(folder, "salesforce") as (root, base_url, world):
        yield Org(root, base_url, world, say)


@contextmanager
def bare_portal(folder: Path, say: Callable[[], Any]) -> Iterator[Portal]:
    with _project(folder, "hubspot") as (root, base_url, world):
        world.portal.limits_on = False  # they run on real time, and commands follow each other faster here than a person types them
        yield Portal(root, base_url, world, say)


@contextmanager
def _project(folder: Path, crm: str) -> Iterator[tuple[Path, str, World]]:
    world = World(bare=True)
    world.seed()
    with serving(world) as base_url:
        create(folder / "project", "sandbox", "medtech", port=int(base_url.rpartition(":")[2]), only=crm)
        yield folder / "project", base_url, world
