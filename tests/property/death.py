"""A process that dies at a chosen point of a run, without leaving the process: nothing of it is tidied up.

The exception is no ConnectorError and no Exception, so that nobody handles it. Leases stay taken under the name of a process that
does not exist, and the run stays "running" in the book of runs, as after kill −9.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connector.state import pages
from connector.state.leases import Lease
from connector.state.store import Store
from tests.rig import Rig
from tests.wire import Taps

POINTS = (
    "call", "answer", "write", "written", "before page", "within page", "after page", "before images", "after images", "before results",
    "after results",
)  # fmt: skip
"""call: the n-th request is never sent; answer: it is, and its answer gets lost; write, written: the same of calls that write;
page: around or within the n-th commit of a page; images, results: around the n-th entry into the ledger of writes."""
NOBODY = f"{socket.gethostname()}:{2**22 + 7}"  # no process has such a number


class Killed(BaseException):
    """The process is dead."""


@contextmanager
def dying(rig: Rig, wire: Taps, point: str, nth: int) -> Iterator[Callable[[], bool]]:
    """What runs inside dies at its ``nth`` (from 0) ``point``, if it comes so far; the answer says whether it has died. The rig is reopened."""
    died: list[bool] = []
    store = rig.app.store
    store.owner = NOBODY
    strike = _Strike(nth, died)
    with _untidy(store, died), _armed(store, wire, point, strike):
        try:
            yield lambda: bool(died)
        except Killed:
            assert died
    rig.reopen()


class _Strike:
    def __init__(self, nth: int, died: list[bool]) -> None:
        self._left = nth
        self._died = died

    def on_write(self, number: int, method: str, url: str) -> None:
        """Counts only calls that write records."""
        if method == "PATCH" or url.partition("?")[0].endswith("/batch/update"):
            self()

    def __call__(self, *_: object) -> None:
        if self._left == 0 and not self._died:
            self._died.append(True)
            raise Killed
        self._left -= 1


@contextmanager
def _untidy(store: Store, died: list[bool]) -> Iterator[None]:
    """A dead process releases no lease and finishes no run."""
    release, finish = Lease.release, store.runs.finish

    def leave(lease: Lease) -> None:
        if died:
            lease._ended.set()
            if lease._thread is not None:
                lease._thread.join()
        else:
            release(lease)

    Lease.release = leave  # type: ignore[method-assign,assignment]
    store.runs.finish = lambda *args, **more: None if died else finish(*args, **more)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Lease.release = release  # type: ignore[method-assign]


@contextmanager
def _armed(store: Store, wire: Taps, point: str, strike: _Strike) -> Iterator[None]:
    set_bookmark = pages.set_bookmark
    when, _, what = point.partition(" ")
    if point == "call":
        wire.before = strike
    elif point == "answer":
        wire.after = strike
    elif point == "write":
        wire.before = strike.on_write
    elif point == "written":
        wire.after = strike.on_write
    elif point == "within page":
        pages.set_bookmark = _around(set_bookmark, strike, "after")
    else:
        owner, name = {"page": (store, "save_page"), "images": (store.ledger, "before_images"), "results": (store.ledger, "results")}[what]
        setattr(owner, name, _around(getattr(owner, name), strike, when))
    try:
        yield
    finally:
        pages.set_bookmark = set_bookmark
        wire.calm()


def _around(step: Callable[..., Any], strike: _Strike, when: str) -> Callable[..., Any]:
    def struck(*args: Any, **more: Any) -> Any:
        if when == "before":
            strike()
        made = step(*args, **more)
        if when == "after":
            strike()
        return made

    return struck
