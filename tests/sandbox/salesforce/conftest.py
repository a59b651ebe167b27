"""The org behind a real HTTP server on an ephemeral port, and a client that reads what is on the wire."""

import socket
import threading
import time
from datetime import UTC, date, datetime

import pytest
import requests
import uvicorn
from starlette.routing import Router

from connector.sandbox.clock import VirtualClock
from connector.sandbox.salesforce.api import routes
from connector.sandbox.salesforce.org import Org

DATA = "/services/data/v68.0"


class Client:
    """Calls with a session's token; answers stay raw responses."""

    def __init__(self, base):
        self.base = base
        self.token = "sandbox-test"
        self.session = requests.Session()

    def call(self, method, path, **more):
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        if not path.startswith("/services"):
            path = f"{DATA}/{path}"
        return self.session.request(method, self.base + path, headers=headers, timeout=10, **more)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body, **more):
        return self.call("POST", path, json=body, **more)

    def patch(self, path, body, **more):
        return self.call("PATCH", path, json=body, **more)

    def query(self, soql, everything=False, **more):
        return self.get("queryAll" if everything else "query", params={"q": soql}, **more)

    def rows(self, soql, everything=False):
        answer = self.query(soql, everything)
        assert answer.status_code == 200, answer.text
        return answer.json()["records"]

    def pages(self, soql, size, everything=True):
        """Pages as lists of records, walked by nextRecordsUrl."""
        answer = self.query(soql, everything, headers={"Sforce-Query-Options": f"batchSize={size}"}).json()
        found = [answer["records"]]
        while not answer["done"]:
            answer = self.get(answer["nextRecordsUrl"]).json()
            found.append(answer["records"])
        return found

    def grant(self, **form):
        return self.session.post(self.base + "/services/oauth2/token", data=form, timeout=10)

    def log_in(self):
        """Go on with a new session, by client credentials."""
        self.token = self.grant(grant_type="client_credentials", client_id="key", client_secret="secret").json()["access_token"]


@pytest.fixture
def clock():
    return VirtualClock(datetime(2026, 11, 20, 18, 0, tzinfo=UTC))


@pytest.fixture
def org(clock):
    return Org(clock)


@pytest.fixture
def deal(org):
    """The id of one deal of one account."""
    account = org.insert("Account", {"Name": "Hospital A", "Customer_Type__c": "General Hospital"})
    return org.insert("Opportunity", {
        "Name": "Hospital A - infusion", "AccountId": account, "StageName": "VAC Submitted", "Amount": 420000, "CloseDate": date(2027, 1, 29),
        "RecordTypeId": org.record_types["Capital_Equipment"],
    })  # fmt: skip


class Served:
    """Whatever router is put in last: one server for all tests, one org for each."""

    router = Router()

    async def __call__(self, scope, receive, send):
        await self.router(scope, receive, send)


@pytest.fixture(scope="session")
def served():
    """A server on an ephemeral port and its base URL."""
    app = Served()
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", ws="none", http="h11", date_header=False, server_header=False,
        h11_max_incomplete_event_size=1 << 18,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.002)
        yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def client(served, org):
    app, base = served
    app.router = Router(routes(org))
    client = Client(base)
    yield client
    client.session.close()
