"""The JWT flow: a signed assertion for the right audience, sent to the org's own token endpoint."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from connector.clock import FixedClock
from connector.crms.base import Meter
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.transport import Client
from connector.errors import AuthenticationError, SettingsError
from tests.crms.salesforce.bench import bench
from tests.crms.scripted import Answer, Asked, serving

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def answers(asked: Asked) -> Answer:
    if asked.path.endswith("/token"):
        return Answer({"access_token": "t", "instance_url": f"https://{asked.headers['host']}"})
    return Answer({"ok": True})


def client_of(url: str, **more: object) -> Client:
    settings = SalesforceSettings(
        base_url=url,
        flow="jwt",
        client_id="consumer-key",
        username="kpi@example.com",
        **{"private_key": PEM, **more},  # type: ignore[arg-type]
    )
    return Client(settings, FixedClock(datetime(2026, 11, 20, tzinfo=UTC)), Meter())


@pytest.mark.parametrize(("audience", "claimed"), [(None, "https://login.salesforce.com"), ("test", "https://test.salesforce.com")])
def test_the_assertion_is_signed_for_its_audience(audience: str | None, claimed: str) -> None:
    with serving(answers) as server:
        assert client_of(server.url, audience=audience).get("limits") == {"ok": True}
    form = parse_qs(server.asked[0].body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert "authorization" not in server.asked[0].headers
    head, claims, signature = form["assertion"][0].split(".")
    KEY.public_key().verify(_decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    told = json.loads(_decoded(claims))
    assert (told["iss"], told["sub"], told["aud"]) == ("consumer-key", "kpi@example.com", claimed)


def test_a_sandbox_address_takes_the_test_audience() -> None:
    settings = SalesforceSettings("https://example--uat.sandbox.my.salesforce.com", flow="jwt", client_id="a", username="b", private_key=PEM)
    assert (settings.login_domain, settings.domain) == ("test", "example--uat.sandbox.my")


def test_a_key_that_cannot_be_read_is_a_setting_to_correct() -> None:
    with serving(answers) as server, pytest.raises(SettingsError, match="private_key"):
        client_of(server.url, private_key="-----BEGIN NONSENSE-----").get("limits")
    assert server.asked == []


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_the_sandbox_org_takes_the_assertion_and_refuses_one_that_has_run_out() -> None:
    with bench() as found:
        assert client_of(found.server.url).get("limits")["DailyApiRequests"]["Max"] == 100_000
        found.org.token_now = lambda: datetime(2099, 1, 1, tzinfo=UTC)
        with pytest.raises(AuthenticationError) as caught:
            client_of(found.server.url).get("limits")
    assert "clock" in (caught.value.next_step or "")
