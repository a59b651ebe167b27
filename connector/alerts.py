"""Alerts: which missed targets and waiting plans are news to a channel, and how they get there: a webhook, or mail.

A message holds KPIs, subjects (ids, segments) and numbers; names of records never come this far. A webhook is told which target of whom is
missed, and how badly only with ``values = "show"`` (security page, T8). Of a plan it is told its number and the guards that stopped it, of
what it would write nothing. Nothing of an address is logged: it may be a secret.
"""

from __future__ import annotations

import contextlib
import logging
import smtplib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from connector.errors import Transient, Undelivered
from connector.model.standing import Id, Standing, Told
from connector.model.waiting import Waiting
from connector.settings import Alerts, Smtp, Webhook

Kind = Literal["new", "changed", "standing", "ended"]
ATTEMPTS = 3
TIMEOUT = (5.0, 10.0)
"""Seconds to connect, and to wait for each answer."""
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. ``standing``: told before and still so; ``ended``: missed no longer, or no target any more."""

    kind: Kind
    standing: Standing

    @property
    def about(self) -> Standing:
        return self.standing


@dataclass(frozen=True, slots=True)
class PlanNotice:
    """A plan that waits for a person (``new``), or does no longer (``ended``); ``became``: approved, rejected, superseded …, and why."""

    kind: Literal["new", "ended"]
    waiting: Waiting
    became: str | None = None

    @property
    def about(self) -> Waiting:
        return self.waiting


News = Notice | PlanNotice


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is told beside targets: its kind for programs, one line for people, and the figures of it. No value of a record is among them."""

    kind: str
    text: str
    facts: Mapping[str, str | int]


def news(
    missed: Sequence[Standing], told: Mapping[Id, Told], now: datetime, *, repeat_after: timedelta | None, min_interval: timedelta = timedelta(0)
) -> list[Notice]:
    """What a channel has yet to hear, in the order of ``missed``, then what has ended.

    Values that move are no news; a breach that becomes a no-go (or stops being one) and a limit that was changed are. ``min_interval``: what
    was told of within it waits, unless it has become a no-go.
    """
    found = []
    for standing in missed:
        last = told.get(standing.id)
        kind: Kind | None = "new"
        if last is not None and not last.over:
            repeated = repeat_after is not None and now - last.at >= repeat_after
            kind = "changed" if last.standing.state != standing.state else "standing" if repeated else None
        worse = standing.no_go and not (last and last.standing.no_go and not last.over)
        if kind and (last is None or worse or now - last.at >= min_interval):
            found.append(Notice(kind, standing))
    present = {standing.id for standing in missed}
    over = [last for id, last in sorted(told.items()) if id not in present and not last.over and now - last.at >= min_interval]
    return found + [Notice("ended", last.standing) for last in over]


def news_of_plans(waiting: Sequence[Waiting], told: Mapping[Id, Waiting], became: Callable[[str], str]) -> list[PlanNotice]:
    """Each plan once when it begins to wait and once when it is decided or superseded. ``became``: number of a plan → what it is now."""
    present = {one.id for one in waiting}
    over = [one for id, one in sorted(told.items()) if id not in present]
    return [PlanNotice("new", one) for one in waiting if one.id not in told] + [PlanNotice("ended", one, became(one.plan)) for one in over]


class Channel(Protocol):
    """A way to tell somebody. ``name`` is what the state remembers it by; ``where`` a place that may be said aloud."""

    name: str
    where: str

    def send(self, project: str, notices: Sequence[News]) -> str | None:
        """All in one message. Returns what went wrong although it went out; raises Undelivered where it did not."""
        ...

    def announce(self, project: str, said: Announcement) -> str | None:
        """The same for one announcement."""
        ...


def channels(declared: Alerts, password: Callable[[], str | None], sleep: Sleep) -> list[Channel]:
    """The channels that connector.toml names. ``password`` is asked when there is something to send."""
    found: list[Channel] = [ToWebhook(declared.webhook, sleep)] if declared.webhook else []
    return [*found, ToMail(declared.smtp, password, sleep)] if declared.smtp else found


def _tries(sleep: Sleep) -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(Transient), wait=wait_exponential(max=4), stop=stop_after_attempt(ATTEMPTS), sleep=sleep, reraise=True
    )  # fmt: skip


# -- words ---------------------------------------------------------------------------------------------------------------


PLAN_HEADS: Mapping[Literal["new", "ended"], str] = {"new": "waiting for a person", "ended": "waiting no longer"}
HEADS: Mapping[Kind, str] = {"new": "missed", "changed": "changed", "standing": "still missed", "ended": "no longer missed"}


def subject_line(project: str, notices: Sequence[News]) -> str:
    """``[revops] 1 plan awaits a person, 2 targets missed, 1 no longer missed (1 no-go)``."""
    targets = _targets(notices)
    no_gos = sum(n.standing.no_go for n in targets if n.kind != "ended")
    parts = [*_counted("plan", _plans(notices), PLAN_HEADS), *_counted("target", targets, HEADS)]
    return _plain(f"[{project}] {', '.join(parts)}" + (f" ({no_gos} no-go)" if no_gos else ""))


def _counted(noun: str, notices: Sequence[News], heads: Mapping[Any, str]) -> list[str]:
    parts: list[str] = []
    for kind, head in heads.items():
        if number := sum(n.kind == kind for n in notices):
            parts.append(f"{number}{f' {noun}' + ('' if number == 1 else 's') if not parts else ''} {head}")
    return parts


def _targets(notices: Sequence[News]) -> list[Notice]:
    return [n for n in notices if isinstance(n, Notice)]


def _plans(notices: Sequence[News]) -> list[PlanNotice]:
    return [n for n in notices if isinstance(n, PlanNotice)]


def text(notices: Sequence[News]) -> str:
    """One line a notice, by connection; below a plan that waits the guards that stopped it and the commands that lead on."""
    lines: list[str] = []
    for connection in dict.fromkeys(n.about.connection for n in notices):
        lines += ["", connection] if lines else [connection]
        lines += [_plain(f"  {line}") for n in notices if n.about.connection == connection for line in _lines(n)]
    return "\n".join(lines)


def _lines(notice: News) -> list[str]:
    if isinstance(notice, Notice):
        return [f"{HEADS[notice.kind]}: {_said(notice)}"]
    waiting = notice.waiting
    if notice.kind == "ended":
        return [f"{PLAN_HEADS['ended']}: plan {waiting.plan} is {notice.became}"]
    decided = "" if waiting.approvable else "; its cause is mended first"
    guards = [f"  {code} {words}" for code, words in waiting.guards]
    return [f"{PLAN_HEADS['new']}: plan {waiting.plan}, nothing of it is written{decided}", *guards, *(f"  {step}" for step in waiting.next_steps)]


def _said(notice: Notice) -> str:
    standing = notice.standing
    name = f"{standing.kpi}.{standing.variant}" if standing.variant else standing.kpi
    return f"{name} {standing.subject} (missed since {standing.since})" if notice.kind == "ended" else standing.words


def _plain(line: str) -> str:
    """CRM text is data: nothing in it starts a line, a header or an escape."""
    return "".join(c if c.isprintable() else "�" for c in line)


def payload(project: str, notices: Sequence[News], *, values: bool) -> dict[str, object]:
    """The JSON of a webhook; ``text`` is what chat services show, ``alerts`` and ``counts`` are of targets, ``plans`` of plans that wait."""
    rows, targets = [], _targets(notices)
    for notice in targets:
        s = notice.standing
        row: dict[str, object] = {
            "change": notice.kind, "connection": s.connection, "kpi": s.kpi, "variant": s.variant, "subject": s.subject, "window": s.window,
            "no_go": s.no_go, "since": s.since.isoformat(), "certain": s.certain, "low_n": s.low_n,
        }  # fmt: skip
        if values:
            row |= {"value": s.value, "unit": s.unit, "wanted": s.wanted, "on": s.on.isoformat(), "words": s.words}
        rows.append(row)
    counts = {kind: sum(n.kind == kind for n in targets) for kind in HEADS}
    plans = [_of_a_plan(notice) for notice in _plans(notices)]
    return {"project": project, "text": subject_line(project, notices), "counts": counts, "alerts": rows, "plans": plans}


def _of_a_plan(notice: PlanNotice) -> dict[str, object]:
    waiting = notice.waiting
    row: dict[str, object] = {"change": notice.kind, "connection": waiting.connection, "plan": waiting.plan, "since": waiting.since.isoformat()}
    if notice.kind == "ended":
        return row | {"became": notice.became}
    return row | {"guards": [{"code": code, "message": words} for code, words in waiting.guards], "next": list(waiting.next_steps)}


# -- webhook -------------------------------------------------------------------------------------------------------------


class _Unnamed(logging.Filter):
    """While a thread posts, urllib3 keeps to itself where to: its debug lines hold the path."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.threads, "posting", False)

    @contextlib.contextmanager
    def posting(self) -> Iterator[None]:
        self.threads.posting = True
        try:
            yield
        finally:
            self.threads.posting = False


_unnamed = _Unnamed()


class ToWebhook:
    """One POST of JSON. Redirects are not followed: the address is the one that was given."""

    name = "webhook"

    def __init__(self, declared: Webhook, sleep: Sleep) -> None:
        self._declared = declared
        self._sleep = sleep
        self.where = urlsplit(declared.url).hostname or ""
        logging.getLogger("urllib3.connectionpool").addFilter(_unnamed)

    def send(self, project: str, notices: Sequence[News]) -> str | None:
        self._deliver(payload(project, notices, values=self._declared.values == "show"))
        return None

    def announce(self, project: str, said: Announcement) -> str | None:
        self._deliver({"project": project, "text": _plain(f"[{project}] {said.text}"), "kind": said.kind, **said.facts})
        return None

    def _deliver(self, body: Mapping[str, object]) -> None:
        try:
            _tries(self._sleep)(self._post, body)
        except Transient as error:
            raise Undelivered(error.message) from None

    def _post(self, body: Mapping[str, object]) -> None:
        import requests

        try:
            with _unnamed.posting(), requests.post(self._declared.url, json=body, timeout=TIMEOUT, allow_redirects=False, stream=True) as answer:
                status = answer.status_code
        except requests.exceptions.SSLError:
            raise Undelivered(f"{self.where}: its certificate does not hold") from None
        except requests.RequestException as error:
            raise Transient(f"{self.where} cannot be reached ({type(error).__name__})") from None
        if status in BUSY:
            raise Transient(f"{self.where} answered {status}")
        if not 200 <= status < 300:
            raise Undelivered(f"{self.where} answered {status}")


# -- mail ----------------------------------------------------------------------------------------------------------------


class ToMail:
    """One mail to all recipients. The password is sent over TLS only, unless the server is this machine."""

    name = "mail"

    def __init__(self, declared: Smtp, password: Callable[[], str | None], sleep: Sleep) -> None:
        self._declared = declared
        self._password = password
        self._sleep = sleep
        self.where = declared.host

    def send(self, project: str, notices: Sequence[News]) -> str | None:
        return self._deliver(subject_line(project, notices), f"{text(notices)}\n\nconnector status shows what is missed now, and what waits.\n")

    def announce(self, project: str, said: Announcement) -> str | None:
        facts = "\n".join(_plain(f"{name}: {value}") for name, value in said.facts.items())
        return self._deliver(_plain(f"[{project}] {said.text}"), f"{facts}\n")

    def _deliver(self, subject: str, body: str) -> str | None:
        message = EmailMessage()
        message["Subject"] = subject
        message["From"] = self._declared.sender
        message["To"] = ", ".join(self._declared.to)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        try:
            refused: int = _tries(self._sleep)(self._mail, message, self._password())
        except Transient as error:
            raise Undelivered(error.message) from None
        return f"{self.where} refused {refused} of {len(self._declared.to)} recipients" if refused else None

    def _mail(self, message: EmailMessage, password: str | None) -> int:
        """How many recipients were refused. A passing refusal (4yz) or a broken line is tried again; a final one (5yz), a server without
        TLS and a certificate that does not hold are not."""
        try:
            with self._opened() as server:
                if self._declared.user is not None and password is not None:
                    server.login(self._declared.user, password)
                return len(server.send_message(message))
        except ssl.SSLError as error:
            raise Undelivered(f"{self.where}: no TLS ({error.reason or type(error).__name__})") from None
        except smtplib.SMTPRecipientsRefused as error:
            code = min(code for code, _ in error.recipients.values())
            raise (Transient if code < 500 else Undelivered)(f"{self.where} refused every recipient ({code})") from None
        except smtplib.SMTPResponseException as error:
            raise (Transient if 400 <= error.smtp_code < 500 else Undelivered)(f"{self.where} answered {error.smtp_code}") from None
        except smtplib.SMTPNotSupportedError:
            raise Undelivered(f"{self.where} offers no {'STARTTLS' if self._declared.security == 'starttls' else 'sign-in'}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Transient(f"{self.where} cannot be reached ({type(error).__name__})") from None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[smtplib.SMTP]:
        host, port = self._declared.at
        context = ssl.create_default_context()
        if self._declared.security == "tls":
            with smtplib.SMTP_SSL(host, port, timeout=TIMEOUT[1], context=context) as server:
                yield server
            return
        with smtplib.SMTP(host, port, timeout=TIMEOUT[1]) as server:
            if self._declared.security == "starttls":
                server.starttls(context=context)
            yield server
