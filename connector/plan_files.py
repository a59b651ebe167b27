"""Plans on disk: each under a number of its own, its row with its hash first, then its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from connector.app import App
from connector.errors import Blocked
from connector.files import write_private
from connector.scorecard import plan as planning
from connector.scorecard.plan import Plan
from connector.state.plans import NumberTaken, SavedPlan, Status


def read(app: App, path: Path) -> tuple[Plan, SavedPlan]:
    """A plan from its file, and what is kept of it. Raises Blocked SC-E184 if the file cannot be read, SC-E109 if it is not byte for byte what was
    saved."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Blocked(f"{path} cannot be read: {error.strerror}", code="SC-E184") from error
    made = planning.loads(data)
    saved = app.store.plans.get(made.id)
    if saved.sha256 != planning.digest(data):
        raise Blocked(f"{path} is not the plan that was saved as {made.id}", code="SC-E109")
    return made, saved


def save(
    app: App, made: Plan, summary: Mapping[str, Any], *, status: Status = "saved", reason: str | None = None, out: Path | None = None
) -> tuple[Plan, Path, str]:
    """(the plan with its number, its file, the file's SHA-256). The file is readable by its owner only. ``out``: elsewhere than in the state.

    Of two processes that plan at one moment each gets a number, and neither writes over the other's file.
    """
    while True:
        made = replace(made, id=app.store.plans.next_id())
        path, data = out or app.resolved.state_dir / "plans" / f"{made.id}.json", planning.dumps(made)
        new, sha256 = path.with_name(f".{path.name}.{uuid4().hex}"), planning.digest(data)
        write_private(new, data)
        try:
            app.store.plans.save(made.id, path=str(path), sha256=sha256, status=status, summary=summary, reason=reason)
            new.replace(path)
        except NumberTaken:
            continue
        finally:
            new.unlink(missing_ok=True)
        return made, path, sha256
