"""A few random schedules of people's work and syncs as processes of their own, over HTTP, each killed with −9 at a random request."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.sandbox.world import Asked
from tests.rig import Rig, opened

ROUNDS = 4
LONGEST = 28  # requests, about those of an idle pull


class Trap(deque[Asked]):
    """A journal that kills a process when the n-th request arrives: the answer finds nobody any more."""

    def __init__(self) -> None:
        super().__init__(maxlen=1000)
        self.left = -1
        self.pid = 0
        self.struck = 0

    def append(self, asked: Asked) -> None:
        super().append(asked)
        self.left -= 1
        if self.left == 0:
            os.kill(self.pid, signal.SIGKILL)
            self.struck += 1


def run(rig: Rig, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "connector.cli", "--project", str(rig.root), "sync", *words, "-q"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def deeds(rig: Any) -> list[Callable[[], object]]:
    """What somebody may do now."""
    live = [deal for deal in rig.deals if rig.is_live(deal)]
    first, last, contact = live[0], live[-1], rig.contacts[-1]
    return [
        lambda: rig.edit(first, amount=Decimal(4711)), lambda: rig.move(last, "pilot"), lambda: rig.open_deal(stage="demo"),
        lambda: rig.log(first, contact, "meeting"), lambda: rig.add_role(last, contact, "it_security"), lambda: rig.move(first, "lost"),
        lambda: rig.delete(last) if len(live) > 2 else rig.open_deal(), lambda: rig.purge(first) if len(live) > 2 else rig.open_deal(),
        lambda: rig.merge_accounts(rig.accounts[1], rig.accounts[0]) if rig.is_live(rig.accounts[1], "account") else rig.open_account(),
    ]  # fmt: skip


@pytest.mark.fault
@pytest.mark.property
@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
def test_killed_processes_end_in_what_the_crm_holds(crm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(crm)
    with opened(crm, tmp_path) as rig:
        rig.own_mappings()
        plain, rig.world.journal = rig.world.journal, (trap := Trap())
        try:
            for _ in range(ROUNDS):
                for _ in range(chance.randint(1, 3)):
                    chance.choice(deeds(rig))()
                victim = run(rig, *chance.choice([("--pull-only",), ()]))
                trap.pid, trap.left = victim.pid, chance.randint(2, LONGEST)
                code = victim.wait()
                assert code in (0, -signal.SIGKILL), f"exit code {code}"
                trap.left = -1
                rig.advance(chance.choice([1, 300, 7200, 90_000]))
            rig.advance(days=8)
            assert run(rig, "--pull-only").wait() == 0
        finally:
            rig.world.journal = plain
        rig.assert_same()
    with capsys.disabled():
        print(f"\n{crm}: {trap.struck} of {ROUNDS} processes killed with -9")
    assert trap.struck >= ROUNDS // 2
