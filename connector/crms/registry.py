"""Which CRMs there are. One line per CRM; nothing is imported until a connection of that kind is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from connector.crms.base import Crm
from connector.crms.provisioning import Provisioner, Wanted
from connector.errors import SettingsError

ADAPTERS: dict[str, str] = {
    "salesforce": "connector.crms.salesforce:SalesforceCrm",
    "hubspot": "connector.crms.hubspot:HubSpotCrm",
    "memory": "connector.crms.memory:MemoryCrm",
}

PROVISIONERS: dict[str, str] = {
    "salesforce": "connector.crms.salesforce.provision:SalesforceProvisioner",
    "hubspot": "connector.crms.hubspot.provision:HubSpotProvisioner",
}
"""What brings fields into a CRM: ``(settings, clock, token)``, token None for the connection's own credential."""
PROJECTS: dict[str, str] = {
    "salesforce": "connector.crms.salesforce.project:files",
    "hubspot": "connector.crms.hubspot.project:files",
}
"""A project that the vendor's own tools deploy: ``(wanted, api version)`` → path → text."""


def adapter(kind: str) -> Callable[..., Crm]:
    """The class that opens a connection of this kind: ``adapter("salesforce")(settings, clock=…, manifest=…)``.

    Raises SettingsError (SC-E010) for a kind that is not listed.
    """
    factory: Callable[..., Crm] = _loaded(ADAPTERS, kind, f"unknown kind of CRM {kind!r}")
    return factory


def provisioner(kind: str) -> Callable[..., Provisioner]:
    """The class that provisions a CRM of this kind. Raises SettingsError (SC-E010) where there is none."""
    factory: Callable[..., Provisioner] = _loaded(PROVISIONERS, kind, f"fields of {kind} are not provisioned by the connector")
    return factory


def project(kind: str) -> Callable[[Wanted, str], Mapping[str, str]]:
    """What writes the vendor's project for this kind of CRM. Raises SettingsError (SC-E010) where there is none."""
    files: Callable[[Wanted, str], Mapping[str, str]] = _loaded(PROJECTS, kind, f"there is no project for {kind}")
    return files


def _loaded(table: Mapping[str, str], kind: str, problem: str) -> Any:
    if kind not in table:
        raise SettingsError(f"{problem}; known: {', '.join(sorted(table))}")
    module, _, name = table[kind].partition(":")
    return getattr(import_module(module), name)
