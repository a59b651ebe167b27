"""The composition root: from a project directory to opened connections, definitions and a store. Verbs get everything from here."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector import settings
from connector.clock import Calendar, Clock, SystemClock
from connector.errors import AuthenticationError, Finding, SettingsError

if TYPE_CHECKING:
    from connector.connected import Connected, Definitions, MappedConnection
    from connector.crms.base import Crm, Meter, RefreshTokens
    from connector.crms.provisioning import Provisioner
    from connector.mapping.load import MappingSet
    from connector.mapping.schema import CrmMapping
    from connector.settings import Connection, Resolved
    from connector.state.calls import Budget
    from connector.state.store import Store

SANDBOX_TOKEN = "sandbox-token"  # noqa: S105 - the sandbox takes any token that starts with "sandbox-"
DEFAULT_BATCH = {"salesforce": 200, "hubspot": 100}
FLOWS = {"salesforce": "client-credentials", "hubspot": "token"}
"""The flow of a connection that names none."""
SECRETS: dict[str, tuple[str, ...]] = {
    "sandbox": (),
    "client-credentials": ("client_secret",),
    "jwt": ("private_key",),
    "refresh-token": ("client_secret", "refresh_token"),
    "token": ("token",),
    "oauth": ("client_secret", "refresh_token"),
}
"""Flow → the secrets it signs in with."""
NEW_DAY_AT_MIDNIGHT = frozenset({"hubspot"})
"""CRMs whose day of calls begins at midnight in the account's time zone; elsewhere it is the last 24 hours."""
LATCHING = frozenset({"SC-E051", "SC-E053"})
"""Refusals that do not pass by themselves."""


class App:
    """One project, opened. Everything is imported and made when first asked for, so that a verb pays for what it uses."""

    def __init__(self, root: Path, *, env_file: Path | None = None, environment: Mapping[str, str] | None = None, clock: Clock | None = None) -> None:
        self.resolved: Resolved = settings.load(root, env_file=env_file, environment=environment)
        self.clock = clock or SystemClock()
        self._open = contextlib.ExitStack()
        self._mapped: dict[str, tuple[CrmMapping, Definitions, MappedConnection]] = {}

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
        from connector.kpis.inputs import reading as inputs

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

        mapping, definitions = self.mapping(name), self.definitions
        made = self._mapped.get(name)
        if made is None or made[0] is not mapping or made[1] is not definitions:
            made = self._mapped[name] = mapping, definitions, MappedConnection.of(name, mapping, definitions)
        return made[2]

    @contextlib.contextmanager
    def connected(self, name: str, *, despite_latch: bool = False) -> Iterator[Connected]:
        """One connection, opened and closed again; its calls are in the state when it is closed.

        A refusal for good latches the connection until its credential changes. Raises AuthenticationError, before anything is
        sent, where it is latched; ``despite_latch``: a person asks for one more try.
        """
        from connector.connected import Connected, Spending
        from connector.mapping.places import manifest

        mapping = self.mapping(name)
        credential = self.credential(name)
        if not despite_latch:
            self._refuse_latched(name, credential)
        crm = self.crm(name, manifest=manifest(mapping))
        spending = Spending(self.store.calls, name, crm.meter, self._days_of(name))
        try:
            yield Connected(self.mapped(name), crm, self.write_batch(name), spending.note, self.bulk_write_above(name))
        except AuthenticationError as refused:
            if refused.code in LATCHING:
                self.store.connections.latch(name, refused.code, refused.message, credential=credential)
            raise
        finally:
            crm.close()
            spending.note()

    @contextlib.contextmanager
    def provisioner(self, name: str, token: str | None = None) -> Iterator[Provisioner]:
        """What provisions a connection's CRM, opened and closed again. ``token``: an administrator's, used for this alone and kept nowhere;
        None: the connection's own credential, which may only look. Raises SettingsError where the CRM has no provisioning.
        """
        from connector.connected import Spending
        from connector.crms import registry

        declared = self.resolved.connection(name)
        made = registry.provisioner(declared.crm)(self._settings(name, declared), self.clock, token)
        spending = Spending(self.store.calls, name, made.meter, self._days_of(name))
        try:
            yield made
        finally:
            made.close()
            spending.note()

    def _settings(self, name: str, declared: Connection) -> Any:
        """What an adapter is opened with. Raises SettingsError."""
        if declared.flow == "sandbox" and not (declared.base_url and settings.loopback(declared.base_url)):
            raise SettingsError(f'connections.{name}: flow = "sandbox" is allowed on loopback only')
        return _SETTINGS[declared.crm](self.resolved, name, declared, self.calls_today(name), self._refresh_tokens(name, declared))

    def credential(self, name: str) -> str:
        """A hash of what a connection signs in with: another one may try where this one was refused."""
        declared = self.resolved.connection(name)
        secrets = [self.resolved.secret_if_set(name, key) for key in SECRETS[flow_of(declared)]]
        parts = (declared.crm, declared.base_url, flow_of(declared), declared.client_id, declared.username, *secrets)
        return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:32]

    def _refuse_latched(self, name: str, credential: str) -> None:
        latch = self.store.connections.latched(name, credential=credential)
        if latch is not None:
            raise AuthenticationError(
                f"{name}: the CRM refused this credential on {latch.since:%Y-%m-%d at %H:%M} UTC ({latch.message}); it is not tried again",
                code=latch.code,
                next_step=f"renew the credential; or, if it was mended in the CRM: connector connections check {name}",
            )

    def day_began(self, name: str) -> datetime:
        """When the present day of calls of a connection's account began: the CRM counts 24 hours back, or from its midnight."""
        return self._day_in(self._zone(name))

    def _zone(self, name: str) -> str | None:
        """The account's time zone, where its day of calls goes by it and the account has named it."""
        return self.store.connections.time_zone(name) if self.resolved.connection(name).crm in NEW_DAY_AT_MIDNIGHT else None

    def _day_in(self, zone: str | None) -> datetime:
        now = self.clock.now()
        if zone is not None:
            calendar = Calendar(zone)
            with contextlib.suppress(KeyError, ValueError):  # a zone this machine does not know
                return calendar.start_of(calendar.day(now))
        return now - timedelta(hours=24)

    def _days_of(self, name: str) -> Callable[[], datetime]:
        """:meth:`day_began` for the time that a connection is open: the account names its zone once."""
        known: list[str] = []

        def began() -> datetime:
            if not known and (zone := self._zone(name)) is not None:
                known.append(zone)
            return self._day_in(known[0] if known else None)

        return began

    def calls_today(self, name: str) -> int:
        """Our own calls of the account's day, through every connection that leads to it."""
        return self.store.calls.used(name, self.day_began(name))

    def budget(self, name: str, meter: Meter | None = None) -> Budget:
        """What the account's day has cost and may cost; with an open connection's meter also by the CRM's own gauge."""
        from connector.state.calls import Budget

        limits = self.resolved.connection(name).limits
        gauge = (None, None) if meter is None else (meter.allocation_used, meter.allocation_max)
        return Budget(self.calls_today(name), limits.daily_calls, limits.stop_at_share, *gauge)

    def write_batch(self, name: str) -> int:
        """Records per write call of a connection."""
        declared = self.resolved.connection(name)
        return declared.limits.write_batch or DEFAULT_BATCH[declared.crm]

    def bulk_write_above(self, name: str) -> int | None:
        """Records of a push above which they are written by a bulk job; None: never, as where the CRM has none."""
        declared = self.resolved.connection(name)
        return declared.limits.bulk_write_above if declared.crm == "salesforce" else None

    def crm(self, name: str, *, manifest: Mapping[str, frozenset[str]]) -> Crm:
        """The adapter of a connection; nothing is sent yet."""
        from connector.crms import registry

        declared = self.resolved.connection(name)
        return registry.adapter(declared.crm)(self._settings(name, declared), clock=self.clock, manifest=manifest)

    def _refresh_tokens(self, name: str, declared: Connection) -> RefreshTokens | None:
        """Where the flow's refresh token lives on. Raises SettingsError where there is no token, or no key to encrypt it with."""
        if "refresh_token" not in SECRETS[flow_of(declared)]:
            return None
        from connector.state.tokens import StoredTokens

        initial, keys = self.resolved.secret(name, "refresh_token"), self.resolved.secrets_keys()
        return StoredTokens(self.store.database, self.clock, name, initial=initial, keys=keys)

    def mapping_findings(self) -> Sequence[Finding]:
        """Warnings of valid mapping files and of inputs; targets that no KPI can be held to."""
        return [*self.mappings.findings, *self.definitions.inputs.findings, *self._target_findings()]

    def _target_findings(self) -> Sequence[Finding]:
        if not self.mappings.kpis.targets:
            return []
        from connector.kpis import compute
        from connector.mapping import crosscheck

        return crosscheck.targets(self.mappings.kpis_document, self.mappings.kpis, compute.units())

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def flow_of(declared: Connection) -> str:
    """How a connection signs in."""
    return declared.flow or FLOWS[declared.crm]


def _salesforce(resolved: Resolved, name: str, declared: Connection, used_today: int, tokens: RefreshTokens | None) -> Any:
    from connector.crms.salesforce.settings import SalesforceSettings

    flow = flow_of(declared)
    return SalesforceSettings(
        base_url=declared.base_url or "",
        api_version=declared.api_version or "68.0",
        flow=flow,  # type: ignore[arg-type]  # the class refuses flows that are not Salesforce's
        client_id=declared.client_id,
        username=declared.username,
        **_limits(declared, used_today),
        bulk_above=declared.limits.bulk_above,
        bulk_wait=declared.limits.bulk_wait,
        bulk_write_above=declared.limits.bulk_write_above,
        client_secret=_client_secret(resolved, name, flow),
        private_key=resolved.secret(name, "private_key") if flow == "jwt" else None,
        refresh_token=resolved.secret(name, "refresh_token") if tokens else None,
        refresh_tokens=tokens,
    )


def _client_secret(resolved: Resolved, name: str, flow: str) -> str | None:
    """A refresh-token app of Salesforce may be a public one, without a secret."""
    if flow == "refresh-token":
        return resolved.secret_if_set(name, "client_secret")
    return resolved.secret(name, "client_secret") if flow == "client-credentials" else None


def _hubspot(resolved: Resolved, name: str, declared: Connection, used_today: int, tokens: RefreshTokens | None) -> Any:
    from connector.crms.hubspot.settings import HubSpotSettings

    oauth: dict[str, Any] = {}
    if tokens:
        oauth = {
            "client_id": declared.client_id, "client_secret": resolved.secret(name, "client_secret"),
            "refresh_token": resolved.secret(name, "refresh_token"), "refresh_tokens": tokens,
        }  # fmt: skip
    return HubSpotSettings(
        token=None if tokens else SANDBOX_TOKEN if declared.flow == "sandbox" else resolved.secret(name, "token"),
        base_url=declared.base_url or "https://api.hubapi.com",
        api_version=declared.api_version or "2026-03",
        **_limits(declared, used_today),
        **oauth,
    )


def _limits(declared: Connection, used_today: int) -> dict[str, Any]:
    limits = declared.limits
    batch = {"write_batch": limits.write_batch} if limits.write_batch else {}
    return {"daily_calls": limits.daily_calls, "stop_at_share": limits.stop_at_share, "used_today": used_today, **batch}


_SETTINGS = {"salesforce": _salesforce, "hubspot": _hubspot}
