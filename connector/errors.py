"""Every exception of the connector, grouped by what the caller does next, and the registry of codes.

Imports nothing of ours. Vendor exceptions never leave ``connector/crms``; they arrive here as one of these classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem as a person reads it: where, what, did you mean, next step. Keys are the JSON contract of cli output."""

    code: str
    message: str
    severity: Severity = "error"
    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str | None = None
    suggestion: str | None = None
    next: str | None = None
    score: int | None = None  # of the suggestion, 0–100

    def text(self) -> str:
        """``file:line:column  SC-E021  path  message; did you mean X?`` with the next step on a line of its own."""
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        head = "  ".join(part for part in (where, self.code, self.path, self.message) if part)
        if self.suggestion:
            head += f"; did you mean {self.suggestion}?" + (f" ({self.score} %)" if self.score is not None else "")
        return f"{head}\n         → {self.next}" if self.next else head


class ConnectorError(Exception):
    """Base of all. ``code`` names a row of :data:`CODES`; ``exit_code`` is what the process ends with."""

    exit_code = 1
    default_code = "SC-E001"

    def __init__(self, message: str, *, code: str | None = None, next_step: str | None = None, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.next_step = next_step
        self.findings = findings

    @property
    def message(self) -> str:
        return str(self.args[0])

    def finding(self) -> Finding:
        """The error itself as a finding, its next step taken from the registry where it names none."""
        return Finding(code=self.code, message=self.message, next=self.next_step or CODES[self.code].next_step)


EXIT_ORDER = (5, 4, 1, 3, 2, 0)


def worst(codes: Iterable[int]) -> int:
    """The exit code of several: the highest in :data:`EXIT_ORDER`."""
    found = set(codes)
    return next((code for code in EXIT_ORDER if code in found), 0)


# -- the person at the keyboard corrects something -------------------------------------------------------------


class UsageError(ConnectorError):
    """The words of the command are off."""

    exit_code = 64
    default_code = "SC-E002"


class SettingsError(ConnectorError):
    """connector.toml, the environment or a secret is missing or wrong."""

    exit_code = 4
    default_code = "SC-E010"


class MappingError(ConnectorError):
    """A mapping file does not validate; ``findings`` holds every problem with file, line and column."""

    exit_code = 4
    default_code = "SC-E020"


class InputError(ConnectorError):
    """A file given to a command cannot be read as what it should be."""

    exit_code = 4
    default_code = "SC-E090"


# -- the connection is out of order until somebody mends it ------------------------------------------------------


class AuthenticationError(ConnectorError):
    """The CRM refuses the credential for good; the connection is latched."""

    exit_code = 5
    default_code = "SC-E051"


class MissingScope(ConnectorError):
    """The credential may not read or write an object; never an empty result."""

    exit_code = 5
    default_code = "SC-E052"


class CrmConfigError(ConnectorError):
    """The CRM says that a field, object or version we asked for does not exist; fails the stream, no retry."""

    exit_code = 4
    default_code = "SC-E021"


class BudgetReached(ConnectorError):
    """The call budget of the day is used up, or would be; nothing more is read until it falls, and nothing is lost."""

    exit_code = 4
    default_code = "SC-E078"


# -- try again ------------------------------------------------------------------------------------------------------


class Transient(ConnectorError):
    """Worth another try. ``wait``: seconds the server asked for, or None for back-off."""

    default_code = "SC-E070"

    def __init__(self, message: str, *, wait: float | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.wait = wait


class Undelivered(ConnectorError):
    """An alert did not reach its channel; the run goes on, and the next one tries again."""

    default_code = "SC-W099"


class TooLarge(ConnectorError):
    """The request is too big for the CRM: halve the chunk or window and ask again."""

    default_code = "SC-E073"


class CursorExpired(ConnectorError):
    """The page cursor is gone: restart the window from the last keyset."""

    default_code = "SC-E075"


# -- stop: going on would loop or lose --------------------------------------------------------------------------------


class NoProgress(ConnectorError):
    """A page brought nothing new; stopping instead of looping."""

    default_code = "SC-E074"


class StateError(ConnectorError):
    """The state database cannot be used as it is."""

    default_code = "SC-E180"


class LeaseHeld(ConnectorError):
    """Another process works on this connection and stream."""

    exit_code = 4
    default_code = "SC-E181"


class Blocked(ConnectorError):
    """A guard or validation stops the push; pulls go on."""

    exit_code = 4
    default_code = "SC-E100"


class OutsideManifest(ConnectorError):
    """An update names a field that is not in the provisioned manifest. Cannot be overridden."""

    exit_code = 4
    default_code = "SC-E101"


# -- one record only ---------------------------------------------------------------------------------------------------


class RecordError(ConnectorError):
    """One record cannot be mapped; it becomes a dead letter and the rest goes on. Never carries a value of a text field."""

    default_code = "SC-E079"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the registry: what it means and what to do next. ``reserved``: who will raise it, for a code that nothing raises yet."""

    meaning: str
    next_step: str
    reserved: str | None = None


CODES: dict[str, Code] = {
    "SC-E001": Code("unexpected error", "run again with -v and report what it prints"),
    "SC-E002": Code("the command's words are off", "connector --help"),
    "SC-E010": Code("a setting is wrong", "correct connector.toml"),
    "SC-E011": Code("a setting is missing", "set it in one of the places listed"),
    "SC-E012": Code("a secret stands in a settings file", "move it to the environment"),
    "SC-E013": Code("state files are readable by others", "chmod 700 the state directory, 600 its files"),
    "SC-E014": Code("plain http to a host that is not loopback", "use https"),
    "SC-E015": Code("unknown setting", "correct the name in connector.toml"),
    "SC-E020": Code("a mapping file is not valid", "correct the file at the place named"),
    "SC-E021": Code("a field or object does not exist in the CRM", "correct the mapping, or create the field"),
    "SC-E022": Code("unknown canonical name", "use one of the names in mappings/README.md"),
    "SC-E023": Code("a mapped value does not exist in the CRM", "correct the value, or move it under retired"),
    "SC-E024": Code("a live stage or pipeline is not mapped", "add it under stages.<pipeline>.live, or to ignore"),
    "SC-E025": Code("a required key is missing in a mapping file", "add the key named"),
    "SC-E026": Code("a terminal class contradicts the CRM's own flag", "check the class with the person who owns the stage"),
    "SC-W034": Code("a mapped field is calculated and moves without a stamp", "set refresh: daily"),
    "SC-W035": Code("a field of the CRM differs from the accepted schema", "look at it, then connector discover accepts it"),
    "SC-W036": Code("a stage or pipeline of the CRM differs from the accepted schema", "look at it, then connector discover accepts it"),
    "SC-W038": Code("the KPI calendar differs from the CRM's own", "correct mappings/kpis.yaml, or leave it: KPIs follow the file"),
    "SC-E050": Code("the CRM cannot be reached", "check base_url and the network; for the sandbox: connector sandbox up"),
    "SC-E051": Code("the CRM refuses the credential", "renew the credential, then connector check"),
    "SC-E052": Code("a scope or permission is missing", "grant the scope named"),
    "SC-E053": Code("the app is blocked or not installed", "approve the app in the CRM"),
    "SC-E055": Code("the API version is retired or unsupported", "set api_version"),
    "SC-E070": Code("the CRM did not answer properly after several tries", "run again later"),
    "SC-E071": Code("rows stored do not match the CRM's own count", "connector sync --full"),
    "SC-W072": Code("the history of a deal does not end at its present value", "connector sync --full"),
    "SC-W077": Code("the CRM's exchange rates cannot be read", "let the connection read currencies, or give the rates in inputs/fx.csv"),
    "SC-E073": Code("a request is too large for the CRM", "lower the batch or window"),
    "SC-E074": Code("no progress between pages", "report it with the run's log; nothing was lost"),
    "SC-E075": Code("a page cursor expired", "nothing: the window restarts by itself"),
    "SC-E078": Code("the call budget is used up", "wait for the window, or raise limits.daily_calls"),
    "SC-E079": Code("a record cannot be mapped", "correct the record in the CRM, or the mapping"),
    "SC-E090": Code("an input file cannot be read", "correct the file at the place named"),
    "SC-E091": Code("a bad value in an input row", "correct the row; it is left out until then"),
    "SC-W092": Code("a KPI is not computable", "give it the input it names"),
    "SC-E093": Code("duplicate key in an input file", "keep one of the rows; both are left out until then"),
    "SC-W094": Code("an input names a record the CRM does not hold", "check the key; the row is kept"),
    "SC-W095": Code("unknown column in an input file", "remove or rename the column"),
    "SC-W096": Code("a gap in an input: a month of spend, a quarter of quota, a currency without a rate", "add the rows it names"),
    "SC-W098": Code("the ledger's new ARR differs from that of the deals won", "complete arr_ledger.csv, or the ARR of the deals"),
    "SC-W099": Code("an alert could not be delivered", "correct [alerts] in connector.toml, or mend the channel; the next run tries again"),
    "SC-E100": Code("the push is blocked", "see the findings"),
    "SC-E101": Code("an update names a field outside the provisioned manifest", "none: this is never allowed"),
    "SC-E102": Code("too many records would change", "look at the plan, then connector apply PLAN --allow-large"),
    "SC-E103": Code("too many values would be cleared", "find out why they can no longer be computed"),
    "SC-E104": Code("the pull brought far fewer rows than usual", "check the CRM's permissions, then sync again"),
    "SC-E105": Code("the plan needs more write calls than allowed", "raise guards.max_write_calls"),
    "SC-E106": Code("quiet hours", "nothing: the push runs when they end"),
    "SC-E107": Code("a first fill on production awaits approval", "look at the plan, then connector apply PLAN"),
    "SC-E108": Code("a record changed since the plan", "nothing: the next run plans it again"),
    "SC-E109": Code("a plan file was changed on disk, or belongs to another org", "make a new plan"),
    "SC-E121": Code("a validation rule of the CRM refused the record", "correct the record, or exempt the connector's user in the rule"),
    "SC-E122": Code("the record was locked by another process", "nothing: it is tried again alone"),
    "SC-E123": Code("the CRM does not offer this option", "add the option, or make the field unrestricted"),
    "SC-E124": Code("the record or field is read-only for the connector's user", "grant edit access"),
    "SC-E125": Code("a trigger or flow of the CRM failed while saving", "lower limits.write_batch; the message names the automation"),
    "SC-E126": Code("the record lacks a field that the CRM requires on save", "complete the record"),
    "SC-E127": Code("a duplicate rule stopped the save", "exempt the integration user in the rule"),
    "SC-E128": Code("the record is gone", "nothing: it is marked deleted"),
    "SC-E129": Code("the CRM refused a value", "see its message"),
    "SC-E130": Code(
        "the value does not fit the CRM field (refused before sending)", "provision status names what is too small, provision apply makes it larger"
    ),
    "SC-E150": Code(
        "the CRM refuses fields that were to be provisioned; Salesforce then changes nothing, HubSpot keeps what it had made",
        "see what it says of each, then provision apply again",
    ),
    "SC-E151": Code(
        "a field of a scorecard's name is there with another type", "give ours another name in the mapping: a type is never changed by the connector"
    ),
    "SC-W152": Code("a scorecard field of ours is used by no mapping", "nothing; or remove it in the CRM: no field is ever deleted from here"),
    "SC-E153": Code("the connection's user may not see or edit a scorecard field", "assign the permission set KPI_Scorecard_Integration"),
    "SC-W155": Code("a rule of the CRM may refuse scorecard values", "have its administrator leave the connector's fields out of the rule"),
    "SC-W156": Code(
        "money is left alone: the record is in another currency than the reporting one, or none is known",
        "report in the CRM's currency (calendar.currency in kpis.yaml); map opportunities.fields.currency where records have their own",
    ),
    "SC-E154": Code("a scorecard field does not exist in the CRM", "provision it, or switch it off in the mapping"),
    "SC-E180": Code("the state database cannot be used", "connector check --offline"),
    "SC-E181": Code("another process holds the lease", "wait until it ends; a dead holder expires by itself"),
    "SC-E183": Code("the state database needs a migration", "connector sync migrates it; or restore a backup made by this version"),
    "SC-E184": Code("no such plan, run or record", "connector status"),
    "SC-E185": Code("the audit chain is broken", "restore the state from a backup, and find out who changed the database"),
    "SC-E190": Code("a denied field is mapped", "remove it from the mapping"),
    "SC-W191": Code("a name looks like protected data", "remove it from the mapping"),
}


def located(finding: Finding, file: str, line: int | None = None, column: int | None = None) -> Finding:
    """The same finding with its place filled in."""
    return replace(finding, file=file, line=line, column=column)
