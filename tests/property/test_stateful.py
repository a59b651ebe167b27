"""People work in a CRM while the connector pulls, pushes and dies; in the end the state holds exactly what the CRM holds.

Each example is a random run of a dozen steps: what people do (see ``_People``), what the connector does, and time. The last pull comes when
everything is due: the settled pass, the daily sweeps, the weekly count. Then every row is compared, see tests.rig.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from connector import app, connected, keeping
from connector.pulls import Pull
from connector.sandbox.world import World
from connector.state.leases import LeaseBook
from tests.property.death import POINTS, dying
from tests.rig import TITLES, Rig, opened
from tests.rig_parts import served
from tests.wire import ADDRESS, Taps, direct, tapped

EXAMPLES = int(os.environ.get("CONNECTOR_PROPERTY_EXAMPLES", "250"))  # of each CRM
STEPS = 11
TOLD: Counter[str] = Counter()
"""What all examples did together."""
MISSING: list[str] = []
"""Records of an example that a comparison with the CRM's counts found missing."""

which = st.integers(0, 5)
stages = st.sampled_from(["prospect", "discovery", "demo", "pilot", "vac", "contracting", "won", "lost", "deferred"])
amounts = st.sampled_from([None, Decimal(0), Decimal(5000), Decimal("1250.75"), Decimal(900_000)])
days = st.dates(date(2026, 10, 1), date(2027, 9, 30))
maybe_days = st.one_of(st.none(), days)
edits = st.fixed_dictionaries({}, optional={
    "amount": amounts, "closes_on": days, "vac_submitted_on": maybe_days, "vac_status": st.sampled_from(["approved", "denied", "tabled", None]),
    "contract_sent_on": maybe_days, "baa": st.booleans(), "next_step": st.sampled_from([None, "call back"]), "loi_signed_on": maybe_days,
}).filter(bool)  # fmt: skip
kinds = st.sampled_from(["call", "email", "meeting", "task"])
subjects = st.sampled_from(["Talk", "redlines of the contract", "security questionnaire"])


class Bench:
    """One rig for all examples of a CRM, on a wire instead of a network unless ``http``, with its state in memory where the machine allows it."""

    def __init__(self, crm: str, *, http: bool = False) -> None:
        self._stack = ExitStack()
        memory = Path("/dev/shm")
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None))
        self.world, address = served(crm) if http else (World(), ADDRESS)
        self.wire: Taps = self._stack.enter_context(tapped() if http else direct(self.world))
        self._stack.enter_context(_one_mapper())
        self._stack.enter_context(_one_call_at_once())
        self._stack.enter_context(_without_extras())
        self._stack.enter_context(_noting_what_was_missing())
        self.rig: Rig = self._stack.enter_context(opened(crm, Path(folder), at=(self.world, address)))
        self.rig.pull()
        self.rig.app.close()
        self.pulled = (self.rig.app.resolved.state_dir / "connector.db").read_bytes()

    def close(self) -> None:
        self._stack.close()


@contextmanager
def _one_mapper() -> Iterator[None]:
    """A mapper is pure: one serves all runs with the same mapping and robots. Making one costs as much as ten calls."""
    plain, made = connected.__dict__["Mapper"], {}

    def mapper(mapping: Any, ladder: Any, calendar: Any, *, robots: Sequence[str] = ()) -> Any:
        key = (id(mapping), id(ladder), frozenset(robots))
        if key not in made:
            made[key] = plain(mapping, ladder, calendar, robots=robots)
        return made[key]

    connected.__dict__["Mapper"] = mapper
    try:
        yield
    finally:
        connected.__dict__["Mapper"] = plain


@contextmanager
def _one_call_at_once() -> Iterator[None]:
    """Calls in a fixed order, so that an example is the same each time."""
    plain = dict(app._SETTINGS)
    for crm, made in plain.items():
        app._SETTINGS[crm] = lambda *args, made=made: _alone(made(*args))
    try:
        yield
    finally:
        app._SETTINGS.update(plain)


@contextmanager
def _without_extras() -> Iterator[None]:
    """Left out are the snapshots of the company's measures that a sync keeps at its end, which cost as much as its pull, and the
    threads that renew leases: time stands still here."""
    plain, defaults = keeping.__dict__["remember"], LeaseBook.take.__kwdefaults__
    keeping.__dict__["remember"] = lambda project, known: None
    LeaseBook.take.__kwdefaults__ = {**(defaults or {}), "heartbeat": None}
    try:
        yield
    finally:
        keeping.__dict__["remember"] = plain
        LeaseBook.take.__kwdefaults__ = defaults


@contextmanager
def _noting_what_was_missing() -> Iterator[None]:
    """A record that was lost and found again by counting has been lost all the same."""
    plain = Pull._again

    def noting(pull: Pull, reader: Any, ids: Sequence[str], fence: int | None) -> None:
        MISSING.extend(ids)
        plain(pull, reader, ids, fence)

    Pull._again = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        Pull._again = plain  # type: ignore[method-assign]


def _alone(made: Any) -> Any:
    return replace(made, parallel=1) if hasattr(made, "parallel") else made


class _People(RuleBasedStateMachine):
    """What people do. A rule that finds nothing to act on does nothing."""

    bench: ClassVar[Bench]

    @property
    def rig(self) -> Any:
        return self.bench.rig

    def _pick(self, among: Sequence[str], number: int, kind: str = "deal") -> str | None:
        live = [id for id in dict.fromkeys(among) if self.rig.is_live(id, kind)]
        return live[number % len(live)] if live else None

    def _deal(self, number: int) -> str | None:
        return self._pick(self.rig.deals, number)

    def _account(self, number: int) -> str | None:
        return self._pick(self.rig.accounts, number, "account")

    def _owner(self, number: int) -> str:
        active = [row["id"] for row in self.rig.truth("owners") if row["active"] and row["id"] in self.rig.owners]
        return str(active[number % len(active)])

    def _contact(self, number: int) -> str | None:
        return self._pick(self.rig.contacts, number, "contact")

    @rule(number=which, stage=stages, amount=amounts, owner=which)
    def open_deal(self, number: int, stage: str, amount: Decimal | None, owner: int) -> None:
        account = self._account(number)
        if account:
            self.rig.open_deal(account, stage, amount=amount, owner=self._owner(owner))
            TOLD["events"] += 1

    @rule(number=which, stage=stages)
    def move(self, number: int, stage: str) -> None:
        deal = self._deal(number)
        if deal:
            self.rig.move(deal, stage)
            TOLD["events"] += 1

    @rule(number=which, values=edits)
    def edit(self, number: int, values: dict[str, object]) -> None:
        deal = self._deal(number)
        if deal:
            self.rig.edit(deal, **values)
            TOLD["events"] += 1

    @rule(number=which, owner=which)
    def hand_over(self, number: int, owner: int) -> None:
        deal = self._deal(number)
        if deal:
            self.rig.edit(deal, owner=self._owner(owner))
            TOLD["events"] += 1

    @rule(amount=amounts, closes_on=days)
    def edit_all_at_one_instant(self, amount: Decimal | None, closes_on: date) -> None:
        deals = [deal for deal in self.rig.deals if self.rig.is_live(deal)]
        self.rig.bulk_edit(deals, amount=amount, closes_on=closes_on)
        TOLD["events"] += len(deals)

    @rule(number=which)
    def delete_deal(self, number: int) -> None:
        deal = self._deal(number)
        if deal:
            self.rig.delete(deal)
            TOLD["events"] += 1

    @rule(number=which)
    def restore_deal(self, number: int) -> None:
        binned = [deal for deal in dict.fromkeys(self.rig.deals) if self.rig.is_binned(deal)]
        if binned:
            self.rig.restore(binned[number % len(binned)])
            TOLD["events"] += 1

    @rule(number=which)
    def purge_deal(self, number: int) -> None:
        there = [deal for deal in dict.fromkeys(self.rig.deals) if self.rig.is_live(deal) or self.rig.is_binned(deal)]
        if there:
            self.rig.purge(there[number % len(there)])
            TOLD["events"] += 1

    @rule(one=which, two=which)
    def merge_accounts(self, one: int, two: int) -> None:
        loser, winner = self._account(one), self._account(two)
        if loser and winner and loser != winner:
            self.rig.merge_accounts(loser, winner)
            TOLD["events"] += 1

    @rule(one=which, two=which)
    def merge_contacts(self, one: int, two: int) -> None:
        loser, winner = self._contact(one), self._contact(two)
        if loser and winner and loser != winner:
            self.rig.merge_contacts(loser, winner)
            TOLD["events"] += 1

    @rule(number=which, title=st.sampled_from(sorted(TITLES)), kol=st.booleans())
    def meet(self, number: int, title: str, kol: bool) -> None:
        account = self._account(number)
        if account:
            self.rig.meet(account, title, kol)
            TOLD["events"] += 1

    @rule(number=which, purge=st.booleans())
    def delete_contact(self, number: int, purge: bool) -> None:
        contact = self._contact(number)
        if contact:
            (self.rig.purge_contact if purge else self.rig.delete_contact)(contact)
            TOLD["events"] += 1

    @rule(number=which, other=which, role=st.sampled_from(["economic_buyer", "it_security", "surgeon", "none"]))
    def add_role(self, number: int, other: int, role: str) -> None:
        deal, contact = self._deal(number), self._contact(other)
        if deal and contact and not self._has_role(deal, contact):
            self.rig.add_role(deal, contact, role)
            TOLD["events"] += 1

    def _has_role(self, deal: str, contact: str) -> bool:
        return any((row["opportunity"], row["contact"]) == (deal, contact) for row in self.rig.truth("contact_roles"))

    @rule(number=which)
    def remove_role(self, number: int) -> None:
        roles = self.rig.truth("contact_roles")
        if roles:
            role = roles[number % len(roles)]
            self.rig.remove_role(role["opportunity"], role["contact"])
            TOLD["events"] += 1

    @rule(number=which, other=which, kind=kinds, subject=subjects, done=st.booleans(), due_on=maybe_days)
    def log(self, number: int, other: int, kind: str, subject: str, done: bool, due_on: date | None) -> None:
        deal, contact = self._deal(number), self._contact(other)
        self.rig.log(deal, contact, kind, subject=subject, done=done, due_on=due_on if kind == "task" else None)
        TOLD["events"] += 1

    @rule(number=which, subject=subjects)
    def edit_activity(self, number: int, subject: str) -> None:
        activity = self._pick(self.rig.activities, number, "activity")
        if activity:
            self.rig.edit_activity(activity, subject)
            TOLD["events"] += 1

    @rule(number=which, other=st.one_of(st.none(), which))
    def file(self, number: int, other: int | None) -> None:
        """An activity is put under another deal, or under none."""
        activity = self._pick(self.rig.activities, number, "activity")
        deal = None if other is None else self._deal(other)
        if activity:
            self.rig.file(activity, deal)
            TOLD["events"] += 1

    @rule(number=which)
    def delete_activity(self, number: int) -> None:
        activity = self._pick(self.rig.activities, number, "activity")
        if activity:
            self.rig.delete_activity(activity)
            TOLD["events"] += 1

    @rule(number=which, name=st.sampled_from(["Mercy Hospital", "Grace"]), territory=st.sampled_from(["East", "West"]))
    def edit_account(self, number: int, name: str, territory: str) -> None:
        account = self._account(number)
        if account:
            self.rig.edit_account(account, name=name, territory=territory)
            TOLD["events"] += 1

    @rule(stage=stages)
    def rename_stage(self, stage: str) -> None:
        self.rig.rename_stage(stage, f"{stage} {next(self.rig.counter)}")
        TOLD["events"] += 1

    @rule()
    def hire(self) -> None:
        if len(self.rig.owners) < 6:
            self.rig.hire("Cleo Dunn")
            TOLD["events"] += 1

    @rule(number=which)
    def leave(self, number: int) -> None:
        """Somebody who was hired meanwhile leaves; what he owned stays his."""
        hired = self.rig.owners[2:]
        if hired:
            self.rig.leave(hired[number % len(hired)])
            TOLD["events"] += 1

    @rule(seconds=st.sampled_from([1, 20, 299, 3600, 7300, 86_400, 200_000]))
    def wait(self, seconds: int) -> None:
        self.rig.advance(seconds)


PULL_POINTS = [point for point in POINTS if point.endswith(("call", "answer", "page"))]
PUSH_POINTS = [point for point in POINTS if point not in PULL_POINTS]
DEEDS = ["edit", "move", "delete_deal", "restore_deal", "open_deal", "log", "remove_role"]


class Company(_People):
    """People, and the connector beside them."""

    @initialize(pulled=st.booleans(), point=st.sampled_from(PULL_POINTS), nth=st.integers(0, 24))
    def begin(self, pulled: bool, point: str, nth: int) -> None:
        """Everything has been read once, or the first read dies."""
        TOLD["examples"] += 1
        MISSING.clear()
        self.rig.begin(self.bench.pulled if pulled else None)
        self.bench.wire.calm()
        if not pulled:
            self.pull_that_dies(point, nth)

    @rule(full=st.booleans())
    def pull(self, full: bool) -> None:
        self.rig.pull(full=full)
        TOLD["syncs"] += 1

    @rule(point=st.sampled_from([None, *PUSH_POINTS]))
    def pull_and_push(self, point: str | None) -> None:
        if point is None:
            self.rig.sync()
            TOLD["syncs"] += 1
        else:
            self._dying(self.rig.sync, point, 0)

    @rule(point=st.sampled_from(PULL_POINTS), nth=st.integers(0, 24))
    def pull_that_dies(self, point: str, nth: int) -> None:
        """A pull has some thirty calls and some ten commits."""
        self._dying(self.rig.pull, point, nth // 3 if point.endswith("page") else nth)

    @rule(point=st.sampled_from(PUSH_POINTS), number=which)
    def push_that_dies(self, point: str, number: int) -> None:
        """Somebody edits before it, so that there is something to write."""
        self.move(number, "vac")
        self._dying(self.rig.sync, point, 0)

    def _dying(self, run: Callable[[], object], point: str, nth: int) -> None:
        with dying(self.rig, self.bench.wire, point, nth) as died:
            run()
        TOLD["kills" if died() else "syncs"] += 1

    @rule(
        nth=st.integers(0, 24), number=which, deed=st.sampled_from(["edit", "move", "delete_deal", "restore_deal", "open_deal", "log", "remove_role"])
    )
    def pull_while_somebody_works(self, nth: int, number: int, deed: str) -> None:
        """After the n-th call of the pull somebody does something: the pull may have read the record, or not yet."""
        deeds: dict[str, Callable[[], None]] = {
            "edit": lambda: self.edit(number, {"amount": Decimal(4711), "closes_on": date(2027, 8, 1)}), "move": lambda: self.move(number, "pilot"),
            "delete_deal": lambda: self.delete_deal(number), "restore_deal": lambda: self.restore_deal(number),
            "open_deal": lambda: self.open_deal(number, "demo", Decimal(1), 0), "remove_role": lambda: self.remove_role(number),
            "log": lambda: self.log(number, number, "call", "redlines", True, None),
        }  # fmt: skip

        def act(call: int, method: str, url: str) -> None:
            if call == nth:
                deeds[deed]()

        self.bench.wire.calm()
        self.bench.wire.after = act
        try:
            self.rig.pull()
        finally:
            self.bench.wire.calm()
        TOLD["syncs"] += 1

    def teardown(self) -> None:
        if self.rig.deals:
            self.bench.wire.calm()
            self._quiet()
            self.rig.advance(days=8)
            last = self.rig.pull()
            TOLD["syncs"] += 1
            self.rig.assert_same()
            assert not last.failures
            assert not [finding for finding in last.findings if finding.code == "SC-E071"]
            assert not MISSING  # nor lost and found by counting

    def _quiet(self) -> None:
        """What disturbs the last pull ends."""


class SalesforceCompany(Company):
    @rule(number=which, seconds=st.integers(1, 14 * 60), values=edits)
    def save_that_commits_late(self, number: int, seconds: int, values: dict[str, object]) -> None:
        """A transaction that began up to fourteen minutes ago commits now, with the stamp of its beginning."""
        deal = self._deal(number)
        if deal and _age(self.rig, deal) > seconds:
            with self.rig.committed_late(seconds):
                self.rig.edit(deal, **values)
            TOLD["events"] += 1

    @rule(number=which, seconds=st.integers(1, 14 * 60))
    def deal_that_commits_late(self, number: int, seconds: int) -> None:
        account = self._account(number)
        if account:
            with self.rig.committed_late(seconds):
                self.rig.open_deal(account, "demo")
            TOLD["events"] += 1


def _age(rig: Any, deal: str) -> float:
    """Seconds since the deal was saved: a save never moves its stamp back."""
    from connector.sandbox.salesforce.rows import unstamp

    return float((rig.now - unstamp(rig.org.find(deal)["SystemModstamp"])) / timedelta(seconds=1))


class HubSpotCompany(Company):
    @rule(seconds=st.sampled_from([0, 5, 240, 1500]))
    def search_lags(self, seconds: int) -> None:
        """From now on search shows the portal as it was so long ago."""
        self.rig.portal.index_lag = float(seconds)

    @rule(one=which, two=which)
    def merge_deals(self, one: int, two: int) -> None:
        loser, winner = self._deal(one), self._deal(two)
        if loser and winner and loser != winner:
            self.rig.merge_deals(loser, winner)
            TOLD["events"] += 1

    @rule(number=which, other=which)
    def change_account(self, number: int, other: int) -> None:
        """Another company becomes the primary one: an association changes, no stamp moves."""
        deal, account = self._deal(number), self._account(other)
        if deal and account:
            self.rig.associate(deal, "companies", account, "Primary")
            TOLD["events"] += 1

    def _quiet(self) -> None:
        self.rig.portal.index_lag = 0.0


MACHINES: dict[str, type[Company]] = {"salesforce": SalesforceCompany, "hubspot": HubSpotCompany}


@pytest.mark.property
@pytest.mark.no_cover  # tracing doubles the time
@pytest.mark.parametrize("crm", MACHINES)
def test_state_equals_the_crm_whatever_happens(crm: str, capsys: pytest.CaptureFixture[str]) -> None:
    TOLD.clear()
    bench = Bench(crm)
    machine = type(f"{MACHINES[crm].__name__}OnItsBench", (MACHINES[crm],), {"bench": bench})
    often = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)  # a tenth of the time otherwise
    try:
        run_state_machine_as_test(machine, settings=_settings())
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()
        bench.close()
    with capsys.disabled():
        print(f"\n{crm}: " + ", ".join(f"{TOLD[what]} {what}" for what in ("examples", "events", "syncs", "kills")))
    assert TOLD["examples"] >= EXAMPLES
    assert TOLD["kills"] >= EXAMPLES / 5


@cache
def _settings() -> settings:
    """Derandomized: the same examples everywhere. An example is some ten pulls, too slow for the usual deadline and health check."""
    return settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, derandomize=True, deadline=None, database=None, print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], report_multiple_bugs=False,
    )  # fmt: skip
