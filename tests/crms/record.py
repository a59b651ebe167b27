"""Record every cassette anew against a fresh sandbox: ``python -m tests.crms.record`` (make cassettes).

The same sandbox gives the same files, byte for byte; only the date in cassettes/README.md differs.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from connector import __version__
from connector.clock import FixedClock, SystemClock
from connector.sandbox import events
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests.crms.conversations import API, CONVERSATIONS, DEALS, NOW, Conversation, connect, small_world, tell
from tests.crms.recorder import CASSETTES, findings, recorder

SECRET = "sandbox-secret-of-the-recording"  # the sandbox takes any token that begins with "sandbox-"
README = CASSETTES / "README.md"
TABLE = re.compile(r"(?<=<!-- files -->\n).*(?=<!-- end of files -->)", re.S)
ROW = "| `{file}` | {about} | sandbox of this project, {version} | {on} | {api} | no | `{digest}` |\n"
HEAD = "| file | what is said | recorded against | on | API version | edited by hand | SHA-256 begins |\n|---|---|---|---|---|---|---|\n"


class Live:
    """The world goes on while a conversation pauses."""

    def __init__(self, world: World, clock: FixedClock) -> None:
        self._world, self._clock = world, clock

    def wait(self, span: timedelta) -> None:
        self._world.clock.advance_to(self._world.clock.now + span)
        self._clock.sleep(span.total_seconds())

    def business(self, told: Sequence[events.Event]) -> None:
        tell(self._world, told)


def record(conversation: Conversation, path: Path) -> None:
    """Talk to a fresh sandbox and keep what was said at ``path``. Refuses to leave a recording behind in which something was found."""
    path.unlink(missing_ok=True)
    world, clock = small_world(), FixedClock(NOW)
    for kind, keys in (("salesforce", world.org.keys), ("hubspot", world.portal.keys)):
        known = {deal: keys["deal" if kind == "salesforce" else "deals", deal] for deal in DEALS[kind]}
        if known != DEALS[kind]:
            raise SystemExit(f"the sandbox gives other ids now; conversations.DEALS[{kind!r}] should be {known}")
    with serving(world) as base_url, recorder("once").use_cassette(str(path)):
        crm = connect(conversation, base_url, clock, SECRET)
        try:
            conversation.talk(crm, Live(world, clock))
        finally:
            crm.close()
    text = path.read_text(encoding="utf-8")
    found = findings(text) + (["our own secret"] if SECRET in text else [])
    if found:
        path.unlink()
        raise SystemExit("\n".join([f"{conversation.file} was not kept:", *found]))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def table(on: date) -> str:
    """The list of files for the README."""
    rows = (
        ROW.format(file=c.file, about=c.about, version=__version__, on=on.isoformat(), api=API[c.crm], digest=digest(CASSETTES / c.file))
        for c in CONVERSATIONS
    )
    return HEAD + "".join(rows)


def main() -> None:
    for conversation in CONVERSATIONS:
        path = CASSETTES / conversation.file
        record(conversation, path)
        sys.stdout.write(f"{conversation.file}  {path.stat().st_size:,} bytes\n")
    README.write_text(TABLE.sub(lambda _: table(SystemClock().now().date()), README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
