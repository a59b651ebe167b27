"""connector.toml, the environment and secrets: one resolver, which knows where each value comes from.

First source that has a value wins: command-line flag, environment, environment ``*_FILE``, ``--env-file``, connector.toml, default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from rapidfuzz import fuzz, process

from connector.errors import Finding, SettingsError, located

FILE = "connector.toml"
SECRET_KEYS = ("client_secret", "private_key", "token", "refresh_token", "password")
KEY_VARIABLE = "CONNECTOR_SECRETS_KEY"
SPAN, SECONDS = re.compile(r"(\d{1,6})([smh])"), {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONG_SPAN = re.compile(r"(\d{1,6})([smhd])")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
QUIET = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


class Section(BaseModel):
    """Unknown settings are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Project(Section):
    name: str = "revops"
    mappings_dir: str = "mappings"
    state_dir: str = "state"


class ConnectionLimits(Section):
    """``daily_calls``: calls of the account's day, of which pulls may use ``stop_at_share``; ``write_batch``: records per write call.

    Salesforce only: ``bulk_above``, rows of one read from which on it is made by a Bulk job (default 20,000; "never"), and ``bulk_wait``,
    how long a run waits for such a job ("90s", "15m", "2h"; default 1h): the next run goes on with it. ``bulk_write_above``: records of one
    push from which on they are written by Bulk jobs (default 20,000; "never").
    """

    daily_calls: int = 20_000
    stop_at_share: float = 0.80
    write_batch: int | None = Field(default=None, ge=1, le=200)
    bulk_above: int | None = Field(default=20_000, ge=0)
    bulk_wait: timedelta = timedelta(hours=1)
    bulk_write_above: int | None = Field(default=20_000, ge=0)

    @field_validator("bulk_above", "bulk_write_above", mode="before")
    @classmethod
    def _never(cls, value: object) -> object:
        return None if value == "never" else value

    @field_validator("bulk_wait", mode="before")
    @classmethod
    def _span(cls, value: object) -> timedelta:
        match = SPAN.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r} is not a time like 90s, 15m or 2h")
        return timedelta(seconds=int(match[1]) * SECONDS[match[2]])


class Connection(Section):
    """One CRM. ``flow = "sandbox"`` needs no secret and is allowed on loopback only.

    ``refresh-token`` (Salesforce) and ``oauth`` (HubSpot) keep the newest refresh token in the state, encrypted.
    ``platform_version``: of the developer project that ``provision export`` writes, HubSpot only.
    """

    crm: Literal["salesforce", "hubspot"]
    environment: Literal["production", "sandbox"] = "production"
    base_url: str | None = None
    api_version: str | None = None
    platform_version: str = Field(default="2026.03", pattern=r"^\d{4}\.\d{1,2}$")
    flow: Literal["sandbox", "client-credentials", "jwt", "refresh-token", "token", "oauth"] | None = None
    client_id: str | None = None
    username: str | None = None
    limits: ConnectionLimits = ConnectionLimits()

    @field_validator("base_url")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme != "https" and not loopback(value):
            raise ValueError("plain http is refused except for loopback")
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _belongs_to_the_crm(self) -> Connection:
        if self.crm != "salesforce" and {"bulk_above", "bulk_wait", "bulk_write_above"} & self.limits.model_fields_set:
            raise ValueError("limits.bulk_above, limits.bulk_wait and limits.bulk_write_above are for Salesforce only")
        if self.crm != "hubspot" and "platform_version" in self.model_fields_set:
            raise ValueError("platform_version is for HubSpot only")
        return self


class Schedule(Section):
    """Cron lines with weekdays by name only, or ``every = "15m"`` style intervals."""

    pull: str = "*/15 * * * *"
    push: str = "0 6,13 * * *"
    push_on_stage_change: bool = False
    quiet_hours: tuple[str, ...] = ()
    jitter: str | None = None

    @field_validator("quiet_hours")
    @classmethod
    def _hours(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for hours in value:
            if not QUIET.fullmatch(hours):
                raise ValueError(f"{hours!r} is not HH:MM-HH:MM")
        return value


class Guards(Section):
    max_records_share: float = 0.25
    max_backfill_share: float = 0.05
    max_clears: int = 0
    max_field_share: float = 0.50
    unmapped_stage_share: float = 0.0
    min_pull_vs_mean: float = 0.5
    max_write_calls: int = 500
    require_approval: Literal["on-guard", "production", "always"] = "on-guard"


class Privacy(Section):
    deal_names: Literal["show", "omit"] = "show"

    @property
    def names(self) -> bool:
        """Whether records may be called by their names, in the console, plans and exports."""
        return self.deal_names == "show"


def span(value: object) -> timedelta:
    """``90s``, ``15m``, ``2h`` or ``7d``. Raises ValueError."""
    match = LONG_SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a time like 90s, 15m, 2h or 7d")
    return timedelta(seconds=int(match[1]) * SECONDS[match[2]])


class Retention(Section):
    """How long is kept: runs and their counts; what was there before a write, and plans; resolved dead letters; the audit. Like ``90d``."""

    runs: timedelta = timedelta(days=90)
    before_images: timedelta = timedelta(days=30)
    dead_letters: timedelta = timedelta(days=14)
    audit: timedelta = timedelta(days=400)

    @field_validator("*", mode="before")
    @classmethod
    def _time(cls, value: object) -> timedelta:
        return value if isinstance(value, timedelta) else span(value)


class Webhook(Section):
    """Where alerts are posted as JSON: https, or loopback. Many services hide a secret in the address: then give it as
    ``CONNECTOR_ALERTS__WEBHOOK__URL``. ``values``: whether KPI values go along, or only which target of whom is missed."""

    url: str
    values: Literal["omit", "show"] = "omit"

    @field_validator("url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "http" and not loopback(value):
            raise ValueError("plain http is refused except for loopback")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the webhook's url is no address like https://hooks.example.com/…")
        if parts.username or parts.password:
            raise ValueError("a user or password in the webhook's url is refused")
        return value


class Smtp(Section):
    """The mail server that alerts go through. The password comes from ``CONNECTOR_ALERTS__SMTP__PASSWORD`` (or ``…_FILE``).

    ``security``: ``starttls`` (587), ``tls`` from the first byte (465), or ``none``, on loopback only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str
    port: int | None = Field(default=None, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    sender: str = Field(alias="from")
    to: tuple[str, ...] = Field(min_length=1)

    @field_validator("sender", "to")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for address in (value,) if isinstance(value, str) else value:
            if not ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is no mail address like revops@example.com")
        return value

    @model_validator(mode="after")
    def _plain_on_loopback(self) -> Smtp:
        if self.security == "none" and self.host not in LOOPBACK:
            raise ValueError('security = "none" is allowed on loopback only')
        return self

    @property
    def at(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or {"starttls": 587, "tls": 465, "none": 25}[self.security]


class Alerts(Section):
    """Who is told that a target of kpis.yaml is missed, or that a plan waits for a person. Only changes are sent; a target that stands is told
    again after ``repeat_after`` ("never": not).

    ``min_interval``: within it the same target is told of once, unless it becomes a no-go; for values that go to and fro.
    """

    webhook: Webhook | None = None
    smtp: Smtp | None = None
    repeat_after: timedelta | None = timedelta(days=7)
    min_interval: timedelta = timedelta(0)

    @field_validator("repeat_after", mode="before")
    @classmethod
    def _never(cls, value: object) -> timedelta | None:
        return None if value == "never" else value if isinstance(value, timedelta) else span(value)

    @field_validator("min_interval", mode="before")
    @classmethod
    def _time(cls, value: object) -> timedelta:
        return value if isinstance(value, timedelta) else span(value)


class Settings(Section):
    """The whole of connector.toml."""

    project: Project = Project()
    connections: dict[str, Connection] = Field(default_factory=dict)
    schedules: dict[str, Schedule] = Field(default_factory=dict)
    guards: Guards = Guards()
    alerts: Alerts = Alerts()
    retention: Retention = Retention()
    privacy: Privacy = Privacy()


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings with the origin of every value that is not a default. ``root``: the project directory."""

    root: Path
    settings: Settings
    origins: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def mappings_dir(self) -> Path:
        return self.root / self.settings.project.mappings_dir

    @property
    def state_dir(self) -> Path:
        return self.root / self.settings.project.state_dir

    def connection(self, name: str) -> Connection:
        """Raises SettingsError with a did-you-mean for an unknown connection."""
        if name not in self.settings.connections:
            near = _did_you_mean(name, list(self.settings.connections))
            raise SettingsError(f"no connection {name!r} in {FILE}{near}", next_step="connector connections list")
        return self.settings.connections[name]

    def secret(self, connection: str, key: str) -> str:
        """A secret of a connection, from the environment or a file it names. Raises SettingsError naming every place looked in."""
        value = self.secret_if_set(connection, key)
        if value is None:
            raise _missing(f"connections.{connection}.{key}", _variable("connections", connection, key))
        return value

    def secret_if_set(self, connection: str, key: str) -> str | None:
        """The same, None where it is set nowhere."""
        return _from_environment(self.environment, _variable("connections", connection, key))

    def smtp_password(self) -> str | None:
        """The password of ``alerts.smtp.user``, from the environment or a file it names; None where there is no user.

        Raises SettingsError naming every place looked in.
        """
        smtp = self.settings.alerts.smtp
        if smtp is None or smtp.user is None:
            return None
        variable = _variable("alerts", "smtp", "password")
        value = _from_environment(self.environment, variable)
        if value is None:
            raise _missing("alerts.smtp.password", variable)
        return value

    def secrets_keys(self) -> tuple[str, ...]:
        """The keys that encrypt what the state keeps secret, newest first; several are separated by commas or lines.

        Raises SettingsError naming every place looked in.
        """
        value = _from_environment(self.environment, KEY_VARIABLE)
        if value is None or not value.strip():
            error = _missing("the key that encrypts refresh tokens in the state", KEY_VARIABLE)
            error.next_step = f"connector secrets init, then export {KEY_VARIABLE}_FILE=PATH"
            raise error
        return tuple(key for key in re.split(r"[\s,]+", value) if key)


def _missing(what: str, variable: str) -> SettingsError:
    return SettingsError(
        f"{what} is not set; looked in: {variable}, {variable}_FILE",
        code="SC-E011",
        next_step=f"export {variable}=…, or put it in a file and export {variable}_FILE=PATH",
    )


def loopback(url: str) -> bool:
    """True for http(s) addresses of this machine only."""
    return (urlsplit(url).hostname or "") in LOOPBACK


def load(root: Path, *, environment: Mapping[str, str] | None = None, env_file: Path | None = None) -> Resolved:
    """Read a project's settings. Raises SettingsError with every problem as a finding."""
    path = root / FILE
    if not path.is_file():
        raise SettingsError(f"no {FILE} in {root}", code="SC-E010", next_step="connector init --crm sandbox, or --project DIR")
    env = dict(_env_file(env_file)) if env_file else {}
    env |= dict(os.environ if environment is None else environment)
    text = path.read_text(encoding="utf-8")
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{FILE}: {error}") from error
    _refuse_secrets(raw, text)
    origins = {".".join(keys): FILE for keys, _ in _leaves(raw)}
    for keys, value, variable in _overrides(env, raw):
        _put(raw, keys, value)
        origins[".".join(keys)] = variable
    try:
        return Resolved(root, Settings.model_validate(raw), origins, env)
    except ValidationError as error:
        findings = tuple(_finding(e, text) for e in error.errors())
        raise SettingsError(f"{FILE} is not valid: {len(findings)} problem(s)", findings=findings) from error


def _leaves(tree: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _refuse_secrets(raw: Mapping[str, object], text: str) -> None:
    found = [keys for keys, value in _leaves(raw) if keys[-1] in SECRET_KEYS or "-----BEGIN" in str(value)]
    if found:
        findings = tuple(_placed(Finding(code="SC-E012", message="a secret does not belong here", path=".".join(k)), text, k[-1]) for k in found)
        raise SettingsError(f"{FILE} holds a secret: {'.'.join(found[0])}", code="SC-E012", findings=findings)


def _overrides(env: Mapping[str, str], raw: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], object, str]]:
    """Settings given as ``CONNECTOR_SECTION__KEY``; secrets are looked up where they are used."""
    names = {name.upper().replace("-", "_"): name for section in ("connections", "schedules") for name in _table(raw, section)}
    for variable, value in sorted(env.items()):
        if not variable.startswith("CONNECTOR_") or "__" not in variable or variable.endswith("_FILE"):
            continue
        parts = variable.removeprefix("CONNECTOR_").split("__")
        keys = tuple(names.get(part, part.lower()) for part in parts)
        if keys[-1] in SECRET_KEYS or keys[0] not in Settings.model_fields:
            continue
        yield keys, _literal(value), variable


def _table(raw: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def _literal(text: str) -> object:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _put(tree: dict[str, object], keys: tuple[str, ...], value: object) -> None:
    for key in keys[:-1]:
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            return
        tree = below
    tree[keys[-1]] = value


def _variable(*keys: str) -> str:
    return "CONNECTOR_" + "__".join(key.upper().replace("-", "_") for key in keys)


def _from_environment(env: Mapping[str, str], variable: str) -> str | None:
    direct, path = env.get(variable), env.get(f"{variable}_FILE")
    if direct is not None and path is not None:
        raise SettingsError(f"both {variable} and {variable}_FILE are set", next_step="keep one of them")
    if path is None:
        return direct
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}_FILE names {path}, which cannot be read: {error.strerror}") from error


def _env_file(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"--env-file {path} cannot be read: {error.strerror}") from error
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#") and "=" in line:
            key, value = line.removeprefix("export ").split("=", 1)
            yield key.strip(), value.strip().strip("\"'")


def _finding(error: object, text: str) -> Finding:
    assert isinstance(error, dict)
    keys = tuple(str(part) for part in error["loc"])
    plain_http = "plain http" in str(error["msg"])
    unknown = error["type"] == "extra_forbidden"
    code = "SC-E014" if plain_http else "SC-E015" if unknown else "SC-E010"
    message = f"unknown setting {keys[-1]!r}" if unknown else str(error["msg"]).removeprefix("Value error, ")
    finding = Finding(code=code, message=message, path=".".join(keys), suggestion=_known(keys) if unknown else None)
    return _placed(finding, text, keys[-1])


def _placed(finding: Finding, text: str, key: str) -> Finding:
    """The finding at the first line that starts with the key; tomllib keeps no positions."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(rf"\s*(\[.*)?{re.escape(key)}\b", line):
            return located(finding, FILE, number, match.end() - len(key) + 1)
    return located(finding, FILE)


def _known(keys: tuple[str, ...]) -> str | None:
    owners: list[type[BaseModel]] = [Settings, Project, Connection, ConnectionLimits, Schedule, Guards, Alerts, Webhook, Smtp, Privacy]
    names = sorted({field.alias or name for owner in owners for name, field in owner.model_fields.items()})
    best = process.extractOne(keys[-1], names, scorer=fuzz.WRatio, score_cutoff=75)
    return f"{best[0]} ({best[1]:.0f} %)" if best else None


def _did_you_mean(word: str, known: list[str]) -> str:
    best = process.extractOne(word, known, scorer=fuzz.WRatio, score_cutoff=60)
    return f"; did you mean {best[0]}?" if best else ""
