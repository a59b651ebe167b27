"""Log lines on standard error: ours and those of the libraries we use, all through one redaction.

What a line may hold: names of connections, streams and codes, counts, ids. Never a credential, a body, a value of a record: a library
that logs bodies has that line withheld, an exception is named by its class and place, and the level changes how much is said, never what
is masked.
"""

from __future__ import annotations

import contextlib
import logging
import re
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

from connector.privacy import redacted

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("pretty", "json")
ROUTED = ("connector", "urllib3", "simple_salesforce", "hubspot", "apscheduler")
"""The loggers that follow the level asked for. Any other stays at warning: SQLAlchemy would log the values of rows."""
QUERY = re.compile(r"\?[^\s\"']*")
"""What follows an address's path, such as SOQL with ids and values in it."""
BODIES = ("body", "headers", "payload")
"""Words in a library's own text (not in what it fills in) that say that a request or an answer follows."""
Event = MutableMapping[str, Any]


@contextlib.contextmanager
def to(stream: TextIO, level: str, format: str) -> Iterator[None]:
    """While this is open, log records go to the stream: ``level`` of :data:`LEVELS` and up, ``format`` one of :data:`FORMATS`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lazy(format))
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in ROUTED]
    before = [logger.level for logger in loggers]
    root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, was in zip(loggers, before, strict=True):
            logger.setLevel(was)


class _Lazy(logging.Formatter):
    """Loads structlog with the first line: most commands have nothing to say."""

    def __init__(self, format: str) -> None:
        super().__init__()
        self._format = format
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._made is None:
            self._made = formatter(self._format)
        if isinstance(record.args, Mapping):  # filled in by name: masked by name before that
            record = logging.makeLogRecord({**record.__dict__, "args": redacted(record.args)})
        return self._made.format(record)


def formatter(format: str) -> logging.Formatter:
    """How a record of any logger becomes a line: ``pretty`` for people, ``json`` for programs, with the same redaction."""
    import structlog

    last: Any
    if format == "json":
        last = structlog.processors.JSONRenderer()
    else:
        last = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[described, withheld, structlog.stdlib.ProcessorFormatter.remove_processors_meta, masked, last],
    )


def described(_logger: object, _method: str, event: Event) -> Event:
    """Time, level and logger of the record; of an exception its class and where it was raised, never its text."""
    record: logging.LogRecord = event["_record"]
    event["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    event["level"], event["logger"] = record.levelname.lower(), record.name
    caught = event.pop("exc_info", None)
    if isinstance(caught, tuple) and caught[1] is not None:
        last = traceback.extract_tb(caught[2])[-1:]
        event["exception"] = type(caught[1]).__name__ + "".join(f" in {frame.name}:{frame.lineno}" for frame in last)
    for spare in ("stack_info", "message", "asctime"):  # the last two another handler may have left on the record, unmasked
        event.pop(spare, None)
    return event


def withheld(_logger: object, _method: str, event: Event) -> Event:
    """A library's line that carries a request or an answer says only that there was one; of an address it keeps what stands before the query."""
    record: logging.LogRecord = event["_record"]
    if record.name.startswith("connector"):
        return event
    if any(word in str(record.msg).casefold() for word in BODIES):
        event["event"] = "(a request or an answer: withheld)"
    elif "/" in str(event["event"]):
        event["event"] = QUERY.sub("?…", str(event["event"]))
    return event


def masked(_logger: object, _method: str, event: Event) -> Event:
    """Values of denied keys and everything that looks like a credential or an address, at any depth."""
    clean = redacted(event)
    assert isinstance(clean, Mapping)
    return dict(clean)
