"""Settings, mapping and secrets are changed outside the connector: each run looks whether they are what the last one found, and says so in the
audit, with the hashes before and after. Of a secret only its name is said; what is kept to tell a change by is salted and slow to guess from.

Whoever starts the run is the one who saw the change, not the one who made it: that is for the version control of the project to say.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator

import orjson

from connector.app import SECRETS, App, flow_of
from connector.errors import MappingError, SettingsError

SALT = 16


def look(app: App) -> None:
    """Record what differs from what the last run found; the first run finds everything new. A mapping that is not valid is not looked at."""
    known, book = app.store.witness.known(), app.store.witness
    settings = orjson.dumps(app.resolved.settings.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    found = {"settings": hashlib.sha256(settings).hexdigest()}
    with contextlib.suppress(MappingError):
        found["mapping"] = app.mappings.version
    for name, digest in found.items():
        if digest != known.get(name):
            book.note(name, known.get(name), digest, f"{name}.changed", with_hashes=True)
    present = dict(_secrets(app))
    for name, value in present.items():
        before = known.get(name)
        if before is None or not _same(before, value):
            book.note(name, before, _digest(value, secrets.token_bytes(SALT)), "secret.changed" if before else "secret.set", with_hashes=False)
    for name in sorted(known.keys() - present.keys() - {"settings", "mapping"}):
        book.note(name, known[name], None, "secret.removed", with_hashes=False)


def _secrets(app: App) -> Iterator[tuple[str, str]]:
    """Every secret that the settings call for and that is set."""
    resolved = app.resolved
    for name, declared in resolved.settings.connections.items():
        for key in SECRETS[flow_of(declared)]:
            if (value := resolved.secret_if_set(name, key)) is not None:
                yield f"connections.{name}.{key}", value
    with contextlib.suppress(SettingsError):
        if (password := resolved.smtp_password()) is not None:
            yield "alerts.smtp.password", password
    with contextlib.suppress(SettingsError):
        yield "CONNECTOR_SECRETS_KEY", ",".join(resolved.secrets_keys())


def _digest(value: str, salt: bytes) -> str:
    return f"{salt.hex()}:{hashlib.scrypt(value.encode(), salt=salt, n=2**14, r=8, p=1).hex()}"


def _same(digest: str, value: str) -> bool:
    return secrets.compare_digest(_digest(value, bytes.fromhex(digest.partition(":")[0])), digest)
