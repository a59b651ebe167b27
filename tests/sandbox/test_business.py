"""The invented company: repeatable, believable, and never telling something about what is not there."""

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.sandbox import events as e
from connector.sandbox.business import SEED_END, SEED_START, Business
from connector.sandbox.business.hours import ZONE, is_working_day, is_working_time, later, quarter_end

RETIRED_AT = datetime(2025, 6, 2, 9, tzinfo=ZONE)
CLOSED = {"won", "lost", "no_decision", "duplicate", "first_case"}
DATES = {
    "closes_on", "loi_signed_on", "secq_received_on", "secq_returned_on", "evaluation_started_on", "evaluation_ended_on", "contract_sent_on",
    "contract_signed_on", "vac_submitted_on", "vac_decided_on", "first_case_on", "go_live_on", "proposal_sent_on",
}  # fmt: skip
WORDS = {
    "vac_needed": {"yes", "no"}, "vac_status": {"approved", "denied", "tabled", None}, "security_status": {"passed", "failed", "waiting", None},
    "evaluation_result": {"success", "failure", None}, "gpo_status": {"on_contract", "off_contract", None}, "budget_approved": {True, False},
    "standard_terms": {True, False}, "baa": {True, False}, "connects_to_network": {True, False},
}  # fmt: skip
ROLES = {"surgeon", "champion", "economic_buyer", "it_security", "vac_chair", "executive_sponsor", "blocker", "none"}


class Ledger:
    """Reads events as a careful clerk would, and refuses what cannot be."""

    def __init__(self):
        self.owners, self.active, self.robots = set(), set(), set()
        self.accounts, self.merged_accounts = set(), set()
        self.contacts, self.deals, self.deleted, self.merged = set(), {}, set(), set()
        self.activities, self.roles = {}, set()
        self.stages = {}
        self.last = None

    def read(self, event):
        assert event.at.utcoffset() == timedelta(0)
        assert self.last is None or event.at > self.last, event
        self.last = event.at
        getattr(self, "_" + type(event).__name__)(event)

    def _live(self, deal):
        assert deal in self.deals
        assert deal not in self.deleted
        assert deal not in self.merged

    def _person(self, *keys):
        for key in keys:
            assert key in self.active, key

    def _stage(self, pipeline, stage, at):
        old = e.RETIRED.get(pipeline, {})
        if stage in old:
            assert at < RETIRED_AT + timedelta(minutes=2)
        else:
            assert stage in e.STAGES[pipeline]
            assert not (stage in old.values() and at < RETIRED_AT)

    def _OwnerJoined(self, event):  # noqa: N802
        assert event.owner not in self.owners
        self.owners.add(event.owner)
        self.active.add(event.owner)
        if event.robot:
            self.robots.add(event.owner)

    def _OwnerLeft(self, event):  # noqa: N802
        self.active.remove(event.owner)

    def _AccountFound(self, event):  # noqa: N802
        assert event.account not in self.accounts
        assert event.facility in {"clinic", "asc", "hospital", "university_hospital", "idn"}
        assert (event.territory == "EMEA") == (event.region == "EU")
        self.accounts.add(event.account)

    def _AccountsMerged(self, event):  # noqa: N802
        assert {event.loser, event.winner} <= self.accounts - self.merged_accounts
        assert event.loser != event.winner
        self.merged_accounts.add(event.loser)

    def _ContactFound(self, event):  # noqa: N802
        assert event.contact not in self.contacts
        assert event.account in self.accounts - self.merged_accounts
        assert event.title
        self.contacts.add(event.contact)

    def _DealOpened(self, event):  # noqa: N802
        assert event.deal not in self.deals
        assert event.account in self.accounts - self.merged_accounts
        self._person(event.owner)
        self._stage(event.pipeline, event.stage, event.at)
        assert event.currency in {"USD", "EUR"}
        assert event.product is None or event.product in e.PRODUCTS
        assert event.lead_source is None or event.lead_source in e.LEAD_SOURCES
        assert event.closes_on >= event.at.astimezone(ZONE).date()
        assert event.amount is None or (isinstance(event.amount, Decimal) and event.amount >= 0)
        assert (event.deal_type == "renewal") == (event.pipeline == "renewals")
        self.deals[event.deal] = event
        self.stages[event.deal] = event.stage

    def _StageMoved(self, event):  # noqa: N802
        self._live(event.deal)
        self._person(event.by)
        self._stage(self.deals[event.deal].pipeline, event.stage, event.at)
        assert event.stage != self.stages[event.deal]
        self.stages[event.deal] = event.stage

    def _DealEdited(self, event):  # noqa: N802
        self._live(event.deal)
        self._person(event.by)
        assert event.values
        for name, value in event.values.items():
            if name in DATES:
                assert value is None or type(value) is date
            elif name == "amount":
                assert value is None or isinstance(value, Decimal)
            elif name == "owner":
                self._person(value)
            elif name == "next_step":
                assert value is None or isinstance(value, str)
            else:
                assert value in WORDS[name]

    def _RoleAdded(self, event):  # noqa: N802
        self._live(event.deal)
        assert event.contact in self.contacts
        assert event.role in ROLES
        assert (event.deal, event.contact) not in self.roles
        self.roles.add((event.deal, event.contact))

    def _ActivityLogged(self, event):  # noqa: N802
        if event.deal is not None:
            self._live(event.deal)
            assert self.stages[event.deal] not in CLOSED
        assert event.account in self.accounts - self.merged_accounts
        assert event.contact is None or event.contact in self.contacts
        self._person(event.owner, event.by)
        before = self.activities.get(event.activity)
        if before is not None:  # a task is ticked off, once
            assert replace(before, at=event.at, account=event.account, by=event.by, done=True) == event
            assert (event.kind, before.done) == ("task", False)
        self.activities[event.activity] = event
        allowed = {
            "meeting": {"held", "no_show", "canceled", "rescheduled", None}, "call": {"connected", "not_connected", None},
            "email": {None}, "task": {None},
        }  # fmt: skip
        assert event.outcome in allowed[event.kind]
        assert (event.direction in {"inbound", "outbound"}) == (event.kind in {"call", "email"})
        assert (event.due_on is not None) == (event.kind == "task")

    def _DealDeleted(self, event):  # noqa: N802
        self._live(event.deal)
        self.deleted.add(event.deal)

    def _DealRestored(self, event):  # noqa: N802
        self.deleted.remove(event.deal)

    def _DealsMerged(self, event):  # noqa: N802
        self._live(event.loser)
        self._live(event.winner)
        assert event.loser != event.winner
        self.merged.add(event.loser)

    @property
    def open(self):
        return [d for d, stage in self.stages.items() if d not in self.deleted | self.merged and stage not in CLOSED]


def read(events):
    ledger = Ledger()
    for event in events:
        ledger.read(event)
    return ledger


@pytest.fixture(scope="module")
def history():
    return list(Business(1).history())


@pytest.mark.property
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 40), max_size=3))
def test_whatever_the_seed_nothing_is_told_about_what_is_not_there(seed, ticks):
    business = Business(seed)
    ledger = read(business.history())
    assert ledger.last <= SEED_END
    for days in ticks:
        before = business.now
        for event in business.days(days):
            assert before < event.at <= before + timedelta(days=days)
            ledger.read(event)
        assert business.now == before + timedelta(days=days)


@pytest.mark.property
@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12))
def test_living_on_in_two_steps_is_living_on_in_one(seed, first, second):
    once, twice = Business(seed), Business(seed)
    assert list(once.history()) == list(twice.history())
    assert list(once.days(first + second)) == [*twice.days(first), *twice.days(second)]


def test_another_seed_is_another_story(history):
    assert [event.at for event in Business(2).history()] != [event.at for event in history]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_company_is_of_the_size_it_claims(seed):
    events = list(Business(seed).history())
    ledger = read(events)
    kinds = Counter(type(event) for event in events)
    assert 360 <= kinds[e.DealOpened] <= 500
    assert 120 <= len(ledger.open) <= 185
    assert len(ledger.accounts - ledger.merged_accounts) in range(90, 93)  # 90, and duplicates not merged yet
    assert (len(ledger.owners), len(ledger.owners - ledger.active), len(ledger.robots)) == (14, 2, 1)
    assert kinds[e.AccountsMerged] >= 1
    assert min(kinds[kind] for kind in (e.DealDeleted, e.DealRestored, e.DealsMerged)) >= 3
    assert kinds[e.ActivityLogged] > 3000
    assert 0.2 < won_share(events) < 0.5


def won_share(events):
    types = {event.deal: event.deal_type for event in events if isinstance(event, e.DealOpened)}
    ends = Counter(event.stage for event in events if isinstance(event, e.StageMoved) and types[event.deal] == "new_business")
    return ends["won"] / (ends["won"] + ends["lost"] + ends["no_decision"])


def test_what_goes_crosswise_happens(history):
    opened = {event.deal: event for event in history if isinstance(event, e.DealOpened)}
    moves = [event for event in history if isinstance(event, e.StageMoved)]
    paths = {deal: [event.stage] for deal, event in opened.items()}
    for move in moves:
        paths[move.deal].append(move.stage)
    steps = [(opened[deal].pipeline, a, b) for deal, path in paths.items() for a, b in pairwise(path)]
    assert ("capital", "vac", "pilot") in steps
    assert any(b == "deferred" for _, _, b in steps)
    assert any(a == "deferred" and b not in CLOSED for _, a, b in steps), "nobody came back from on hold"
    assert any(a in {"lost", "no_decision"} and b not in CLOSED for _, a, b in steps), "nothing was reopened"
    assert any(path.count("pilot") > 1 for path in paths.values()), "no re-entry"
    assert {"trial", "old_vac", "old_security"} <= {stage for path in paths.values() for stage in path}
    assert Counter(event.deal_type for event in opened.values()).keys() == {"new_business", "expansion", "renewal"}
    assert any(event.amount is None for event in opened.values())
    assert {event.currency for event in opened.values()} == {"USD", "EUR"}
    assert any(b == "first_case" for _, a, b in steps if a == "won")
    pilots = [path for deal, path in paths.items() if opened[deal].pipeline == "capital" and "won" in path]
    assert any("pilot" not in path and "trial" not in path for path in pilots), "no stage was ever skipped"


def test_gates_run_beside_the_stages(history):
    edits = [event for event in history if isinstance(event, e.DealEdited)]
    statuses = {}
    for event in edits:
        if event.values.get("vac_status"):
            statuses.setdefault(event.deal, []).append(event.values["vac_status"])
    assert any(path[:2] == ["tabled", "approved"] for path in statuses.values())
    assert any("denied" in path for path in statuses.values())
    named = {name for event in edits for name in event.values}
    assert named >= (DATES | set(WORDS) | {"amount", "owner", "next_step"}), "a field is never filled in"
    pushes = Counter(event.deal for event in edits if "closes_on" in event.values)
    assert max(pushes.values()) >= 4


def test_neglected_deals_are_found_in_the_book(history):
    ledger = read(history)
    closes = {deal: event.closes_on for deal, event in ledger.deals.items()}
    owner = {deal: event.owner for deal, event in ledger.deals.items()}
    heard = {deal: event.at for deal, event in ledger.deals.items()}
    for event in history:
        if isinstance(event, e.DealEdited):
            closes[event.deal] = event.values.get("closes_on", closes[event.deal])
            owner[event.deal] = event.values.get("owner", owner[event.deal])
        if isinstance(event, e.ActivityLogged) and event.deal:
            heard[event.deal] = event.at
    assert sum(closes[deal] < SEED_END.date() for deal in ledger.open) >= 5, "no close date has passed"
    assert sum(SEED_END - heard[deal] > timedelta(days=60) for deal in ledger.open) >= 10, "no deal is stale"
    assert sum(owner[deal] not in ledger.active for deal in ledger.open) >= 1, "nobody who left owns an open deal"


def test_tasks_are_done_early_late_or_not_at_all(history):
    tasks = [event for event in read(history).activities.values() if event.kind == "task"]
    done = [(event.at.astimezone(ZONE).date() - event.due_on).days for event in tasks if event.done]
    overdue = [event for event in tasks if not event.done and event.due_on < SEED_END.date()]
    assert min(done) < 0 < max(done)
    assert len(done) > len(overdue) > 10
    assert any(event.due_on > SEED_END.date() for event in tasks if not event.done)


def test_some_things_happen_within_one_second(history):
    seconds = Counter(event.at.replace(microsecond=0) for event in history if isinstance(event, e.StageMoved | e.DealEdited))
    assert max(seconds.values()) >= 2
    assert len({event.at for event in history}) == len(history)


def test_people_work_in_working_hours(history):
    late = [event for event in history if not is_working_time(event.at) and event.at > SEED_START + timedelta(minutes=5)]
    assert late == []


def test_the_history_is_told_once():
    business = Business(1)
    with pytest.raises(RuntimeError, match="history first"):
        business.days(1)
    list(business.history())
    with pytest.raises(RuntimeError, match="already"):
        business.history()
    with pytest.raises(ValueError, match="at least 1"):
        business.days(0)


@pytest.mark.property
@given(st.datetimes(SEED_START.replace(tzinfo=None), SEED_END.replace(tzinfo=None)), st.floats(0, 90), st.randoms(use_true_random=False))
def test_later_is_later_and_at_work(naive, days, rng):
    at = naive.replace(tzinfo=SEED_END.tzinfo)
    then = later(rng, at, days)
    assert then >= at
    assert is_working_time(then)
    assert then - at < timedelta(days=days + 7)


def test_holidays():
    assert not is_working_day(date(2026, 11, 26)), "Thanksgiving"
    assert is_working_day(date(2026, 11, 19))
    assert not is_working_day(date(2026, 11, 21)), "a Saturday"
    assert quarter_end(date(2026, 11, 20)) == date(2026, 12, 31)
    assert quarter_end(date(2024, 1, 1)) == date(2024, 3, 31)
    assert quarter_end(date(2025, 6, 30)) == date(2025, 6, 30)


def test_the_ledger_itself_refuses(history):
    """The reader above must be able to fail."""
    ghost = next(event for event in history if isinstance(event, e.StageMoved))
    with pytest.raises(AssertionError):
        read([*history, replace(ghost, at=SEED_END, deal="nobody")])
    with pytest.raises(AssertionError):
        read([*history, replace(history[-1], at=SEED_START)])
