"""Names of deals are free text: with ``deal_names = "omit"`` no verb, file or log line of plans and pushes holds one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from connector.cli.main import main
from connector.sandbox.hubspot.values import Problem
from connector.sandbox.salesforce.org import RowError
from tests.cli import parked
from tests.pitfalls.catalogue import BOTH, HS
from tests.rig import NAME
from tests.scorecards import OBJECT, STAGE

CANARY = "Canarybird"
both = pytest.mark.parametrize("crm", BOTH)


@pytest.fixture
def rig(crm: str, tmp_path: Path) -> Iterator[Any]:
    with parked.project(crm, tmp_path, guarded=False) as made:
        yield made


def _refuse(rig: Any, deal: str) -> None:
    if rig.crm == HS:
        rig.portal.rules.append(lambda record, values: Problem("kpi_stage", "RULE", "no") if str(record.id) == deal else None)
    else:
        said = RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no")
        rig.org.rules.append(lambda object, row, values, user: said if row["Id"] == deal else None)


def _push(rig: Any) -> int:
    return int(rig.app.store.runs.last(NAME, kinds=("push",)).id)


@both
@pytest.mark.parametrize("shown", ["show", "omit"])
def test_a_deals_name_is_said_or_left_out_everywhere(rig: Any, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = rig.root / "connector.toml"
    settings.write_text(f'{settings.read_text(encoding="utf-8")}\n[privacy]\ndeal_names = "{shown}"\n', encoding="utf-8")
    rig.reopen()
    moved, typed, refused = (rig.open_deal(name=f"{CANARY} {n}", stage="demo") for n in range(3))
    _refuse(rig, refused)
    said: dict[str, list[str]] = {}

    def say(*words: str, expected: tuple[int, ...] = (0,), forms: Sequence[tuple[str, ...]] = ((), ("--json",))) -> None:
        """As text and as JSON, every log line with it."""
        for form in forms:
            capsys.readouterr()
            code = main(["--project", str(rig.root), "--log-level", "debug", *words, *form])
            out, err = capsys.readouterr()
            assert code in expected, (words, out, err)
            said.setdefault(" ".join(words[:2]), []).append(out)
            said.setdefault("logs", []).append(err)

    rig.advance(60)
    say("plan", "--explain")
    say("plans", "show", "1", "--all")
    say("apply", "2", "--yes", expected=(3,), forms=((),))
    first = _push(rig)
    say("apply", "1", "--yes", expected=(3,), forms=(("--json",),))
    rig.move(moved, "pilot")
    rig.move(typed, "pilot")
    rig.advance(60)
    say("sync", expected=(3,))
    say("dead-letters", "list")
    rig.set(OBJECT[rig.crm], typed, **{STAGE[rig.crm]: "discovery"})
    rig.advance(60)
    say("rollback", str(first), "--dry-run", expected=(3,))
    say("rollback", str(first), "--yes", expected=(3,))
    files = {path.name: path.read_text(encoding="utf-8") for path in (rig.root / "state" / "plans").iterdir()}
    telling = {verb for verb, texts in said.items() if any(CANARY in text for text in texts)}
    assert rig.app.store.observed(NAME)[moved].name.startswith(CANARY), "the state knows it"
    if shown == "omit":
        assert telling == set()
        assert [name for name, text in files.items() if CANARY in text] == []
        return
    assert telling == {"plan --explain", "plans show", "apply 2", "sync", f"rollback {first}"}
    assert [name for name, text in files.items() if CANARY in text]
    settings.write_text(settings.read_text(encoding="utf-8").replace('"show"', '"omit"'), encoding="utf-8")
    said.clear()
    say("plans", "show", "1", "--all")
    assert CANARY not in "".join(said["plans show"]), "nor of a plan that was saved with it"
