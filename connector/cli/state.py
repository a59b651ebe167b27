"""connector state purge."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.cli.output import Answer, Table
from connector.cli.project import opened
from connector.errors import UsageError

WHAT = {
    "runs": "runs and their counts",
    "before_images": "values kept to roll a push back to",
    "dead_letters": "resolved dead letters",
    "plan_files": "files of plans that were decided on",
    "plans": "rows about plans whose file went before",
    "audit": "rows of the audit",
}


def purge(
    older_than: Annotated[str | None, typer.Option("--older-than", metavar="D", help="what is older than this goes, like 7d; not the audit")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go")] = False,
) -> Answer:
    """Delete what [retention] of connector.toml no longer keeps: what the scheduler does by itself once a day."""
    from connector import upkeep
    from connector.settings import span

    try:
        sooner = None if older_than is None else span(older_than)
    except ValueError as error:
        raise UsageError(f"--older-than: {error}") from None
    with opened() as app:
        done = upkeep.purge(app, older_than=sooner, dry_run=dry_run)
    counts = done.counts()
    total = sum(counts.values())
    verb = "would go" if dry_run else "gone"
    text: list[str | Table] = [f"{total:,} {verb}" if total else "nothing is older than it is kept"]
    if total:
        text += ["", Table((f">{verb}", "what"), [(f"{n:,}", WHAT[name]) for name, n in counts.items() if n])]
    return Answer({"total": total, "dry_run": dry_run}, {**counts, "files": list(done.plan_files)}, text)
