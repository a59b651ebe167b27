"""Headers that are missing, off, or run the wrong way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import format_datetime

from starlette.types import Message, Send

from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults.rules import Fault

Headers = list[tuple[bytes, bytes]]
NO_DATE = b"x-sandbox-no-date"
"""Marks an answer that is to be sent without a Date; the server takes it off before it leaves."""
_SALESFORCE, _HUBSPOT = b"sforce-limit-info", b"x-hubspot-ratelimit-"


def changing(fault: Fault, clock: VirtualClock, send: Send) -> Send:
    """A ``send`` that changes the headers of an answer as a ``headers`` fault says."""
    change, struck = _CHANGES[fault.kind], fault.struck

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": change(fault, struck, clock, list(message["headers"]))}
        await send(message)

    return changed


def _undated(fault: Fault, struck: int, clock: VirtualClock, headers: Headers) -> Headers:
    return [*((name, value) for name, value in headers if name.lower() != b"date"), (NO_DATE, b"1")]


def _misdated(fault: Fault, struck: int, clock: VirtualClock, headers: Headers) -> Headers:
    at = format_datetime(clock.now + timedelta(seconds=fault.seconds or 0), usegmt=True).encode()
    return [*((name, value) for name, value in headers if name.lower() != b"date"), (b"date", at)]


def _silent(fault: Fault, struck: int, clock: VirtualClock, headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if not name.lower().startswith((_SALESFORCE, _HUBSPOT))]


def _falling(fault: Fault, struck: int, clock: VirtualClock, headers: Headers) -> Headers:
    by = int(fault.parameters.get("by", "10")) * struck
    return [(name, _fallen(name.lower(), value, by)) for name, value in headers]


def _fallen(name: bytes, value: bytes, by: int) -> bytes:
    if name == _SALESFORCE:
        used, _, most = value.removeprefix(b"api-usage=").partition(b"/")
        return f"api-usage={max(0, int(used) - by)}/{most.decode()}".encode()
    if name.startswith(_HUBSPOT) and name.endswith(b"remaining"):
        return str(int(value) + by).encode()
    return value


_CHANGES: Mapping[str, Callable[[Fault, int, VirtualClock, Headers], Headers]] = {
    "no-date": _undated, "wrong-date": _misdated, "no-limit-headers": _silent, "falling-limits": _falling,
}  # fmt: skip
