"""What rigs are made of: a server for all of them, settings, starter mappings, an empty state, and a clock on which nobody waits."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from datetime import datetime
from functools import cache
from pathlib import Path

from connector.cli.init import starter_mappings
from connector.mapping.load import MappingSet
from connector.sandbox.server import serving
from connector.sandbox.world import World
from connector.state import schema

NAME = "crm"  # of the connection
TOML = """[connections.{name}]
crm = "{crm}"
environment = "sandbox"
base_url = "{url}"
flow = "sandbox"

[guards]
max_records_share = 1.0
max_clears = 100000
max_field_share = 1.0
unmapped_stage_share = 1.0
min_pull_vs_mean = 0.0
"""
"""Guards are wide open: a share of three deals says nothing."""


class RigClock:
    """The world's clock, as the connector sees it. Sleeping is noted in ``slept`` and takes no time, real or virtual."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.world.clock.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@cache
def served(crm: str) -> tuple[World, str]:
    """The world of a CRM and its address: one server for all rigs of the process."""
    stack = ExitStack()
    atexit.register(stack.close)
    world = World()
    return world, stack.enter_context(serving(world))


@cache
def starter(crm: str) -> MappingSet:
    """The starter mappings, valid, for a project of one connection."""
    from connector.kpis.catalogue import NAMES
    from connector.mapping import load

    return load.load(starter_mappings(), {NAME: crm}, kpi_names=NAMES)


@cache
def _migrated() -> bytes:
    """An empty state at the newest revision."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "connector.db"
        schema.migrate(path)
        return path.read_bytes()


def new_state(folder: Path, content: bytes | None = None) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("connector.db*"):
        old.unlink()
    path = folder / "connector.db"
    path.touch(mode=0o600)
    path.write_bytes(content or _migrated())
