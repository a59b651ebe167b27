"""connector.toml: origins, overrides, and errors that name place and next step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector import settings
from connector.app import App, _salesforce
from connector.errors import SettingsError

GOOD = """
[project]
name = "revops"

[connections.sf-prod]
crm = "salesforce"
base_url = "https://example.my.salesforce.com"
flow = "client-credentials"
client_id = "3MVG9"

[guards]
max_clears = 0
"""


def project(tmp_path: Path, text: str) -> Path:
    (tmp_path / settings.FILE).write_text(text)
    return tmp_path


def test_values_and_their_origins(tmp_path: Path) -> None:
    resolved = settings.load(project(tmp_path, GOOD), environment={"CONNECTOR_GUARDS__MAX_CLEARS": "5"})
    assert resolved.settings.guards.max_clears == 5
    assert resolved.origins["guards.max_clears"] == "CONNECTOR_GUARDS__MAX_CLEARS"
    assert resolved.origins["project.name"] == settings.FILE


def test_a_connection_setting_from_the_environment(tmp_path: Path) -> None:
    env = {"CONNECTOR_CONNECTIONS__SF_PROD__API_VERSION": '"67.0"'}
    assert settings.load(project(tmp_path, GOOD), environment=env).connection("sf-prod").api_version == "67.0"


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    env = {"CONNECTOR_CONNECTIONS__SF_PROD__CLIENT_SECRET_FILE": str(tmp_path / "key")}
    assert settings.load(project(tmp_path, GOOD), environment=env).secret("sf-prod", "client_secret") == "s3cret"


def test_a_missing_secret_names_every_place_looked_in(tmp_path: Path) -> None:
    resolved = settings.load(project(tmp_path, GOOD), environment={})
    with pytest.raises(SettingsError, match=r"CONNECTOR_CONNECTIONS__SF_PROD__CLIENT_SECRET, CONNECTOR.*_FILE"):
        resolved.secret("sf-prod", "client_secret")


def test_both_forms_of_a_secret_are_an_error(tmp_path: Path) -> None:
    env = {"CONNECTOR_CONNECTIONS__SF_PROD__TOKEN": "a", "CONNECTOR_CONNECTIONS__SF_PROD__TOKEN_FILE": "b"}
    with pytest.raises(SettingsError, match="both"):
        settings.load(project(tmp_path, GOOD), environment=env).secret("sf-prod", "token")


@pytest.mark.parametrize(
    ("line", "code", "suggestion"),
    [
        ('client_secret = "x"', "SC-E012", None),
        ('base_url = "http://example.com"', "SC-E014", None),
        ('api_verson = "68.0"', "SC-E015", "api_version"),
        ('crm = "pipedrive"', "SC-E010", None),
    ],
)
def test_a_bad_line_is_a_finding_at_its_place(tmp_path: Path, line: str, code: str, suggestion: str | None) -> None:
    key = line.split(" =", maxsplit=1)[0]
    kept = [row for row in GOOD.splitlines() if not row.startswith(f"{key} =")]
    at = kept.index("[connections.sf-prod]") + 1
    text = "\n".join([*kept[:at], line, *kept[at:]])
    with pytest.raises(SettingsError) as caught:
        settings.load(project(tmp_path, text), environment={})
    finding = caught.value.findings[0]
    assert (finding.code, finding.file, finding.line) == (code, settings.FILE, at + 1)
    assert suggestion is None or suggestion in str(finding.suggestion)
    assert "x" not in finding.message.split()


def adapters_settings(tmp_path: Path, *lines: str) -> Any:
    """What the adapter of Salesforce is told, with these lines of limits in connector.toml."""
    text = "\n".join(
        ("[connections.sf]", 'crm = "salesforce"', 'base_url = "http://127.0.0.1:1"', 'flow = "sandbox"', "[connections.sf.limits]", *lines)
    )
    with App(project(tmp_path, text), environment={}) as app:
        return _salesforce(app.resolved, "sf", app.resolved.connection("sf"), 0, None)


@pytest.mark.parametrize(
    ("lines", "above", "wait"),
    [
        ((), 20_000, timedelta(hours=1)), (("bulk_above = 500", 'bulk_wait = "15m"'), 500, timedelta(minutes=15)),
        (('bulk_above = "never"', 'bulk_wait = "90s"'), None, timedelta(seconds=90)), (("bulk_above = 0",), 0, timedelta(hours=1)),
    ],
)  # fmt: skip
def test_limits_of_bulk_jobs_reach_the_adapter(tmp_path: Path, lines: tuple[str, ...], above: int | None, wait: timedelta) -> None:
    made = adapters_settings(tmp_path, *lines)
    assert (made.bulk_above, made.bulk_wait) == (above, wait)


@pytest.mark.parametrize("line", ["bulk_above = -1", 'bulk_above = "always"', 'bulk_wait = "soon"', "bulk_wait = 60", 'bulk_wait = "2d"'])
def test_limits_of_bulk_jobs_that_say_nothing(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        adapters_settings(tmp_path, line)
    assert {finding.line for finding in caught.value.findings} == {6}


def test_bulk_jobs_are_salesforces(tmp_path: Path) -> None:
    text = '[connections.hs]\ncrm = "hubspot"\n[connections.hs.limits]\nbulk_above = 10\n'
    with pytest.raises(SettingsError) as caught:
        settings.load(project(tmp_path, text), environment={})
    assert "Salesforce only" in caught.value.findings[0].message


def test_plain_http_is_fine_on_loopback(tmp_path: Path) -> None:
    text = GOOD.replace("https://example.my.salesforce.com", "http://127.0.0.1:8425/")
    assert settings.load(project(tmp_path, text), environment={}).connection("sf-prod").base_url == "http://127.0.0.1:8425"


def test_no_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(tmp_path, environment={})
    assert "connector init" in str(caught.value.next_step)


def test_an_unknown_connection_has_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean sf-prod"):
        settings.load(project(tmp_path, GOOD), environment={}).connection("sf-prd")


def test_the_key_of_the_states_secrets(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("newest\nolder\n")
    resolved = settings.load(project(tmp_path, GOOD), environment={"CONNECTOR_SECRETS_KEY_FILE": str(tmp_path / "key")})
    assert resolved.secrets_keys() == ("newest", "older")
    assert settings.load(tmp_path, environment={"CONNECTOR_SECRETS_KEY": "one, two"}).secrets_keys() == ("one", "two")
    with pytest.raises(SettingsError, match="looked in: CONNECTOR_SECRETS_KEY, CONNECTOR_SECRETS_KEY_FILE") as caught:
        settings.load(tmp_path, environment={"CONNECTOR_SECRETS_KEY": " "}).secrets_keys()
    assert caught.value.code == "SC-E011"


def test_a_refresh_token_in_the_file_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace('flow = "client-credentials"', 'flow = "refresh-token"\nrefresh_token = "5Aep"')
    with pytest.raises(SettingsError) as caught:
        settings.load(project(tmp_path, text), environment={})
    assert caught.value.code == "SC-E012"
    assert "5Aep" not in str(caught.value)
