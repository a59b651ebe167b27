"""The composition root: from a project directory to opened connections, definitions and a store. Verbs get everything from here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector import settings
from connector.clock import Clock, SystemClock
from connector.errors import Finding, SettingsError

if TYPE_CHECKING:
    from connector.connected import Connected, Definitions, MappedConnection
    from connector.crms.base import Crm
    from connector.mapping.load import MappingSet
    from connector.mapping.schema import CrmMapping
    from connector.settings import Connection, Resolved
    from connector.state.store import Store

SANDBOX_TOKEN = "sandbox-token"  # noqa: S105 - the sandbox takes any token that starts with "sandbox-"
DEFAULT_BATCH = {"salesforce": 200, "hubspot": 100}


class App:
    """One project, opened. Everything is imported and made when first asked for, so that a verb pays for what it uses."""

    def __init__(self, root: Path, *, env_file: Path | None = None, environment: Mapping[str, str] | None = None, clock: Clock | None = None) -> None:
        self.resolved: Resolved = settings.load(root, env_file=env_file, environment=environment)
        self.clock = clock or SystemClock()
        self._open = contextlib.ExitStack()

    @cached_property
    def store(self) -> Store:
        """The state, migrated to the head."""
        from connector.state.store import Store

        return self._open.enter_context(contextlib.closing(Store.open(self.resolved.state_dir, self.clock)))

    @cached_property
    def mappings(self) -> MappingSet:
        """The admin's files, valid. Raises MappingError with every finding."""
        from connector.kpis.catalogue import NAMES
        from connector.mapping import load as mapping_files

        kinds = {name: c.crm for name, c in self.resolved.settings.connections.items()}
        return mapping_files.load(self.resolved.mappings_dir, kinds, kpi_names=NAMES)

    @cached_property
    def definitions(self) -> Definitions:
        """Ladder, KPI settings and inputs."""
        from connector.connected import Definitions
        from connector.kpis import inputs

        found = inputs.load(self.resolved.mappings_dir, self.mappings.kpis.inputs)
        return Definitions(self.mappings.ladder, self.mappings.kpis, found, self.mappings.version)

    def names(self, only: str | None = None) -> Sequence[str]:
        """Connections of the project, or the one asked for. Raises SettingsError if there is none."""
        if only is not None:
            self.resolved.connection(only)
            return [only]
        if not self.resolved.settings.connections:
            raise SettingsError(f"{settings.FILE} has no connection", next_step="connector init --crm sandbox")
        return list(self.resolved.settings.connections)

    def mapping(self, name: str) -> CrmMapping:
        """The mapping of a connection. Raises SettingsError where no file serves it."""
        if name not in self.mappings.by_connection:
            crm = self.resolved.connection(name).crm
            raise SettingsError(f"no mapping file for connection {name}", next_step=f"create {self.resolved.mappings_dir / crm}.yaml")
        return self.mappings.by_connection[name]

    def mapped(self, name: str) -> MappedConnection:
        """A connection as its mapping sees it; the CRM is not opened."""
        from connector.connected import MappedConnection

        return MappedConnection.of(name, self.mapping(name), self.definitions)

    @contextlib.contextmanager
    def connected(self, name: str) -> Iterator[Connected]:
        """One connection, opened and closed again."""
        from connector.connected import Connected

        mapping = self.mapping(name)
        crm = self.crm(name, manifest={mapping.opportunities.object: frozenset(mapping.scorecard.written.values())})
        try:
            yield Connected(self.mapped(name), crm, self.write_batch(name))
        finally:
            crm.close()

    def write_batch(self, name: str) -> int:
        """Records per write call of a connection."""
        declared = self.resolved.connection(name)
        return declared.limits.write_batch or DEFAULT_BATCH[declared.crm]

    def crm(self, name: str, *, manifest: Mapping[str, frozenset[str]]) -> Crm:
        """The adapter of a connection; nothing is sent yet."""
        from connector.crms import registry

        declared = self.resolved.connection(name)
        if declared.flow == "sandbox" and not (declared.base_url and settings.loopback(declared.base_url)):
            raise SettingsError(f'connections.{name}: flow = "sandbox" is allowed on loopback only')
        made = _SETTINGS[declared.crm](self.resolved, name, declared, self.store.calls_today(name))
        return registry.adapter(declared.crm)(made, clock=self.clock, manifest=manifest)

    def mapping_findings(self) -> Sequence[Finding]:
        """Warnings of valid mapping files and of inputs."""
        return [*self.mappings.findings, *self.definitions.inputs.findings]

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _salesforce(resolved: Resolved, name: str, declared: Connection, used_today: int) -> Any:
    from connector.crms.salesforce.settings import SalesforceSettings

    flow = declared.flow or "client-credentials"
    return SalesforceSettings(
        base_url=declared.base_url or "",
        api_version=declared.api_version or "68.0",
        flow=flow,  # type: ignore[arg-type]  # the class refuses flows that are not Salesforce's
        client_id=declared.client_id,
        username=declared.username,
        **_limits(declared, used_today),
        client_secret=resolved.secret(name, "client_secret") if flow == "client-credentials" else None,
        private_key=resolved.secret(name, "private_key") if flow == "jwt" else None,
    )


def _hubspot(resolved: Resolved, name: str, declared: Connection, used_today: int) -> Any:
    from connector.crms.hubspot.settings import HubSpotSettings

    return HubSpotSettings(
        token=SANDBOX_TOKEN if declared.flow == "sandbox" else resolved.secret(name, "token"),
        base_url=declared.base_url or "https://api.hubapi.com",
        api_version=declared.api_version or "2026-03",
        **_limits(declared, used_today),
    )


def _limits(declared: Connection, used_today: int) -> dict[str, Any]:
    limits = declared.limits
    batch = {"write_batch": limits.write_batch} if limits.write_batch else {}
    return {"daily_calls": limits.daily_calls, "stop_at_share": limits.stop_at_share, "used_today": used_today, **batch}


_SETTINGS = {"salesforce": _salesforce, "hubspot": _hubspot}
