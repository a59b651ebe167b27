"""Which CRMs there are. One line per CRM; nothing is imported until a connection of that kind is opened."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from connector.crms.base import Crm
from connector.errors import SettingsError

ADAPTERS: dict[str, str] = {
    "salesforce": "connector.crms.salesforce:SalesforceCrm",
    "hubspot": "connector.crms.hubspot:HubSpotCrm",
    "memory": "connector.crms.memory:MemoryCrm",
}


def adapter(kind: str) -> Callable[..., Crm]:
    """The class that opens a connection of this kind: ``adapter("salesforce")(settings, clock=…, manifest=…)``.

    Raises SettingsError (SC-E010) for a kind that is not listed.
    """
    if kind not in ADAPTERS:
        raise SettingsError(f"unknown kind of CRM {kind!r}; known: {', '.join(sorted(ADAPTERS))}")
    module, _, name = ADAPTERS[kind].partition(":")
    factory: Callable[..., Crm] = getattr(import_module(module), name)
    return factory
