"""Credentials that survive a restart, a refusal that is remembered, and one budget per account."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from connector import runs
from connector.app import App
from connector.errors import AuthenticationError, BudgetReached, SettingsError
from connector.sync import Report
from tests.rig import NAME, Rig, opened, starter

KEY = Fernet.generate_key().decode()
TOKEN_PATHS = {"salesforce": "/services/oauth2/token", "hubspot": "/oauth/2026-03/token"}
FLOWS = {"salesforce": "refresh-token", "hubspot": "oauth"}
VARIABLE = f"CONNECTOR_CONNECTIONS__{NAME.upper()}__"


@pytest.fixture(params=["salesforce", "hubspot"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A small world whose token endpoint rotates refresh tokens, and a project that signs in with one."""
    with opened(request.param, tmp_path) as made:
        place = made.root / "connector.toml"
        flow = f'flow = "{FLOWS[made.crm]}"\nclient_id = "an-app"'
        place.write_text(place.read_text().replace('flow = "sandbox"', flow))
        made.world.org.sessions.rotate = made.world.portal.tokens.rotate = True
        yield made


def initial(rig: Rig) -> str:
    """What an admin's consent gave."""
    return rig.world.org.sessions.issue_refresh(rig.world.org.sessions.api_user) if rig.crm == "salesforce" else "consent"


def kill(rig: Rig, token: str) -> None:
    """The CRM takes this refresh token no longer."""
    if rig.crm == "salesforce":
        rig.world.org.sessions.retire_refresh(token)
    else:
        rig.world.portal.tokens.revoke(token)


def app_of(rig: Rig, token: str, **more: str) -> App:
    environment = {"CONNECTOR_SECRETS_KEY": KEY, f"{VARIABLE}CLIENT_SECRET": "shh", f"{VARIABLE}REFRESH_TOKEN": token, **more}
    app = App(rig.root, environment=environment, clock=rig.clock)
    app.__dict__["mappings"] = starter(rig.crm)
    return app


def prove(app: App) -> None:
    with app.connected(NAME) as connected:
        connected.crm.check()


def sign_ins(rig: Rig) -> int:
    return sum(asked.path == TOKEN_PATHS[rig.crm] for asked in rig.world.journal)


def test_a_rotated_token_outlives_the_process(rig: Rig) -> None:
    token = initial(rig)
    for _ in range(3):  # the environment holds the first token for ever; the CRM takes each once
        with app_of(rig, token) as app:
            prove(app)
    assert sign_ins(rig) == 3


def test_two_processes_share_one_rotating_token(rig: Rig) -> None:
    token = initial(rig)
    with app_of(rig, token) as one, app_of(rig, token) as other:
        for app in (one, other, one, other):
            prove(app)
    assert sign_ins(rig) == 4


def test_a_new_consent_replaces_what_is_stored(rig: Rig) -> None:
    with app_of(rig, initial(rig)) as app:
        prove(app)
    again = "consented-again" if rig.crm == "hubspot" else initial(rig)
    with app_of(rig, again) as app:
        prove(app)
    with app_of(rig, again) as app:
        prove(app)


def test_without_a_key_the_flow_says_where_it_looked(rig: Rig) -> None:
    with app_of(rig, "token-canary") as app:
        environment = {k: v for k, v in app.resolved.environment.items() if k != "CONNECTOR_SECRETS_KEY"}
    with App(rig.root, environment=environment, clock=rig.clock) as app:
        app.__dict__["mappings"] = starter(rig.crm)
        with pytest.raises(SettingsError, match="CONNECTOR_SECRETS_KEY, CONNECTOR_SECRETS_KEY_FILE") as caught, app.connected(NAME):
            pass
    assert (caught.value.code, "canary" in str(caught.value)) == ("SC-E011", False)
    assert not sign_ins(rig)


# -- the latch ----------------------------------------------------------------------------------------------------------


def test_dead_refresh_token_is_latched(rig: Rig) -> None:
    """Ten runs of a schedule, in ten processes, with a refresh token that the CRM no longer takes."""
    token = initial(rig)
    kill(rig, token)
    done = []
    for _ in range(10):
        with app_of(rig, token) as app:
            done.append(runs.pull(app, [NAME], trigger="schedule"))
            rig.advance(900)
    assert [report.exit_code for report in done] == [5] * 10
    assert 1 <= sign_ins(rig) <= 2
    last = done[-1].failures[0].error
    assert last.code == "SC-E051"
    assert "2026-11-02 at 14:00 UTC" in last.message
    assert last.next_step is not None
    assert f"connector connections check {NAME}" in last.next_step
    with app_of(rig, token) as app:
        assert [run.error_code for run in app.store.runs.recent(NAME)] == ["SC-E051"] * 10


def test_another_credential_lifts_the_latch(rig: Rig) -> None:
    token = initial(rig)
    kill(rig, token)
    with app_of(rig, token) as app:
        assert runs.pull(app, [NAME]).exit_code == 5
    with app_of(rig, "consented-again" if rig.crm == "hubspot" else initial(rig)) as app:
        assert runs.pull(app, [NAME], stream="owners").exit_code == 0
        assert app.store.connections.latched(NAME) is None


def test_a_person_may_have_it_tried_once_more(rig: Rig) -> None:
    """As ``connector connections check`` does. A refusal keeps the latch, since the first time; a success lifts it."""
    token = initial(rig)
    with app_of(rig, token) as app:
        credential = app.credential(NAME)
        app.store.connections.latch(NAME, "SC-E051", "the user was frozen", credential=credential)
        since = app.clock.now()
        rig.advance(3600)
        with pytest.raises(AuthenticationError, match="the user was frozen"), app.connected(NAME):
            pass
        assert not sign_ins(rig)
        with app.connected(NAME, despite_latch=True) as connected:
            info = connected.crm.check()
            app.store.remember_org(NAME, info.org_id, info.time_zone)
        assert app.store.connections.latched(NAME) is None
        app.store.connections.latch(NAME, "SC-E051", "again", credential=credential)
        assert app.store.connections.latched(NAME, credential=credential).since > since  # type: ignore[union-attr]


def test_refused_again_it_stays_latched_since_the_first_time(rig: Rig) -> None:
    token = initial(rig)
    kill(rig, token)
    with app_of(rig, token) as app:
        runs.pull(app, [NAME])
        first = app.store.connections.latched(NAME)
        rig.advance(3600)
        with pytest.raises(AuthenticationError), app.connected(NAME, despite_latch=True) as connected:
            connected.crm.check()
        again = app.store.connections.latched(NAME)
        assert first is not None
        assert again is not None
        assert (again.code, again.credential, again.since) == (first.code, first.credential, first.since)


def test_a_credential_is_known_by_all_its_parts(rig: Rig) -> None:
    def known(**more: str) -> str:
        with app_of(rig, "token", **more) as app:
            return app.credential(NAME)

    variants = [known(), known(**{f"{VARIABLE}CLIENT_SECRET": "other"}), known(**{f"{VARIABLE}REFRESH_TOKEN": "other"})]
    variants.append(known(**{f"{VARIABLE}CLIENT_ID": "other"}))
    assert len(set(variants)) == len(variants)
    assert known() == variants[0]


# -- one budget -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["salesforce", "hubspot"])
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with opened(request.param, tmp_path) as made:
        yield made


def limit(rig: Rig, calls: int, share: float = 0.8) -> None:
    with (rig.root / "connector.toml").open("a") as file:
        file.write(f"\n[connections.{NAME}.limits]\ndaily_calls = {calls}\nstop_at_share = {share}\n")
    rig.reopen()


def test_every_call_of_a_run_is_in_the_accounts_day(plain: Rig) -> None:
    plain.world.journal.clear()
    plain.pull()
    unpaid = sum(asked.path in TOKEN_PATHS.values() for asked in plain.world.journal)
    assert len(plain.world.journal) - unpaid <= plain.app.calls_today(NAME) <= len(plain.world.journal)


def test_a_day_ends(plain: Rig) -> None:
    plain.pull()
    used = plain.app.calls_today(NAME)
    assert used
    if plain.crm == "salesforce":
        plain.advance(23.5 * 3600)
        assert plain.app.calls_today(NAME) == used  # rolling
        plain.advance(3600)
    else:
        plain.world.clock.advance_to(datetime(2026, 11, 3, 4, 59, 59, tzinfo=UTC))
        assert plain.app.calls_today(NAME) == used
        plain.advance(2)  # midnight in New York, where the portal is
        assert plain.app.day_began(NAME) == datetime(2026, 11, 3, 5, tzinfo=UTC)
    assert plain.app.calls_today(NAME) == 0


def test_what_another_process_spends_stops_this_one(plain: Rig) -> None:
    """A second connection to the same account uses the day up while this one reads."""
    plain.pull()
    limit(plain, 1_000, share=1.0)
    store, other = plain.app.store, "the same account"
    store.remember_org(other, str(store.connections.org_id(NAME)))
    rival: list[Any] = []

    def spend(connection: str, stream: str, records: int) -> None:
        if not rival:
            rival.append(store.calls.add(other, 2_000))

    done = runs.pull(plain.app, [NAME], full=True, report=Report(stream=spend))
    assert rival
    assert isinstance(done.failures[0].error, BudgetReached)
    assert done.exit_code == 4
    assert plain.app.store.runs.recent(NAME)[0].status == "blocked"


def test_a_run_stopped_by_the_budget_goes_on_where_it_was(plain: Rig) -> None:
    limit(plain, 30, share=1.0)
    plain.app.store.calls.add(NAME, 12)  # more than a forecast of unknown streams notices, less than a pull needs
    done = runs.pull(plain.app, [NAME])
    assert [type(failure.error) for failure in done.failures] == [BudgetReached]
    plain.advance(days=2)
    limit_lifted = plain.root / "connector.toml"
    limit_lifted.write_text(limit_lifted.read_text().replace("daily_calls = 30", "daily_calls = 3000"))
    plain.reopen()
    plain.pull()
    plain.assert_same()


def test_a_push_finds_the_reserve(plain: Rig) -> None:
    """Reads have spent their share of the day; the push that was planned still re-reads and writes."""
    done = runs.pull(plain.app, [NAME])
    known = runs.books(plain.app, done)
    made = runs.plan(plain.app, done, known)
    assert made.plan.updates
    limit(plain, 100)
    plain.app.store.calls.add(NAME, 80 - plain.app.calls_today(NAME))
    assert plain.app.budget(NAME).left == 0
    assert isinstance(runs.pull(plain.app, [NAME]).failures[0].error, BudgetReached)
    pushed = runs.push(plain.app, made.plan)
    assert not pushed.failures
    assert {outcome.status for outcome in pushed.pushes[0].outcomes} == {"written"}


def test_a_zone_this_machine_does_not_know_counts_24_hours(plain: Rig) -> None:
    plain.app.store.remember_org(NAME, "1", "Mars/Olympus")
    assert plain.app.day_began(NAME) == plain.now - timedelta(hours=24)
