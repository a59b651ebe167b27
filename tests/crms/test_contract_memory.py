"""The contract, kept by the CRM in a dict; and what only the dict promises."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crms.base import Crm, Field, Pipeline, Stage, StreamSpec, Update, Value, Window
from connector.crms.memory import MemoryCrm, MemorySettings, fields_of
from connector.errors import OutsideManifest, Transient
from tests.crms.contract import CrmContract, Held

START = datetime(2026, 11, 20, 18, tzinfo=UTC)
TEXT = Field("", "", "text", writable=True)
SCHEMA = {
    "deals": fields_of(
        name=TEXT,
        stage=TEXT,
        note=TEXT,
        territory=TEXT,
        kpi_reason=TEXT,
        kpi_gates=TEXT,
        kpi_code=Field("", "", "text", writable=True, length=5),
        score=Field("", "", "number", writable=False, calculated=True),
    ),
    "roles": fields_of(deal=TEXT, contact=TEXT),
}
MANIFEST = {"deals": frozenset({"kpi_reason", "kpi_gates", "kpi_code"})}
STAGES = (Stage("new", "New"), Stage("won", "Won", closed=True, won=True, probability=1.0))


class MemoryBench:
    deals = StreamSpec("opportunities", "deals", ("name", "stage"))
    name, managed, other = "name", "kpi_reason", "kpi_gates"
    bad: tuple[str, Value] = ("kpi_code", "much too long")
    foreign, denied, unknown = "territory", "note", "deals-999999"
    idle_calls = 1
    calculated = "score"

    def __init__(self) -> None:
        self.clock = FixedClock(START)
        settings = MemorySettings(SCHEMA, (Pipeline("sales", "Sales", STAGES),), sweeps={"roles": "deal"}, page_size=10)
        self.crm = MemoryCrm(settings, self.clock, MANIFEST)

    def open(self) -> Crm:
        return self.crm

    def unreachable(self) -> Crm:
        crm = MemoryCrm(MemorySettings(SCHEMA), self.clock, MANIFEST)
        crm.faults.extend(Transient("no answer") for _ in range(9))
        return crm

    def create(self, count: int) -> list[str]:
        return [self.crm.put("deals", {"name": f"Deal {n}", "stage": "new", "note": "private", "territory": "East"}) for n in range(count)]

    def late(self, age: timedelta) -> str:
        return self.crm.put("deals", {"name": "late"}, at=self.clock.now() - age)

    def drift(self, id: str) -> None:
        self.crm.recalculate("deals", id, {"score": 7})

    def computed(self, id: str) -> Value:
        return self.crm.holds("deals", id).get("score")

    def edit(self, id: str, values: Mapping[str, Value]) -> None:
        self.crm.edit("deals", id, values)

    def delete(self, id: str) -> None:
        self.crm.delete("deals", id)

    def merge(self) -> tuple[StreamSpec, str, str]:
        loser, winner = self.create(2)
        self.crm.merge("deals", loser, winner)
        return self.deals, loser, winner

    def truth(self, field: str) -> Mapping[str, Value]:
        alive = self.crm.fetch("deals", [f"deals-{n:06}" for n in range(1, 100)], (field,))
        self.crm.calls.pop()
        self.crm.meter.calls -= 1
        return {id_: record.values[field] for id_, record in alive.items()}

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def requested(self) -> str:
        return "\n".join(map(repr, self.crm.calls))


class TestMemory(CrmContract):
    lookback = timedelta(minutes=15)

    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()


@pytest.fixture
def bench() -> MemoryBench:
    return MemoryBench()


def test_history_and_links_are_kept(bench: MemoryBench) -> None:
    [deal] = bench.create(1)
    bench.wait(60)
    bench.crm.edit("deals", deal, {"stage": "won"}, by="ann")
    bench.crm.link("deals", deal, "contacts", "c1", "VAC chair")
    stream = StreamSpec("opportunities", "deals", ("stage",), history=("stage",), links=("contacts",), presence=("note", "kpi_reason"))
    [page] = bench.crm.read(stream, Window(None, bench.clock.now()))
    [record] = page.records
    assert [(v.value, v.at, v.by) for v in record.history["stage"]] == [("new", START, None), ("won", START + timedelta(seconds=60), "ann")]
    assert [(link.id, link.labels) for link in record.links["contacts"]] == [("c1", ("VAC chair",))]
    assert record.values == {"stage": "won", "note": True, "kpi_reason": False}


def test_a_role_that_vanishes_is_found_by_the_daily_sweep(bench: MemoryBench) -> None:
    deals = bench.create(2)
    roles = [bench.crm.put("roles", {"deal": deal, "contact": "c1"}) for deal in deals]
    stream = StreamSpec("contact_roles", "roles", ("deal", "contact"))
    held = Held()
    held.pull(bench.crm, stream)
    bench.crm.vanish("roles", roles[0])
    bench.wait(86_400)
    window = Window(held.bookmark, bench.clock.now(), deal_ids=lambda: deals)
    pages = list(bench.crm.read(stream, window))
    swept = [page for page in pages if page.complete_for]
    assert [page.complete_for for page in swept] == [tuple(deals)]
    assert [record.id for page in swept for record in page.records] == [roles[1]]
    bench.wait(900)
    assert not any(page.complete_for for page in bench.crm.read(stream, Window(pages[-1].bookmark, bench.clock.now(), deal_ids=lambda: deals)))


def test_a_refused_record_is_rejected_in_the_words_given(bench: MemoryBench) -> None:
    deals = bench.create(2)
    bench.crm.refuse("deals", deals[0], "SC-E121", "RULE", "no edits on Fridays")
    results = list(bench.crm.write([Update("deals", deal, {"kpi_reason": "x"}) for deal in deals]))
    assert [(r.id, r.status, r.code) for r in results] == [(deals[0], "rejected", "SC-E121"), (deals[1], "written", None)]


def test_a_manifest_can_never_open_a_field_of_the_company(bench: MemoryBench) -> None:
    with pytest.raises(OutsideManifest, match=r"deals\.name"):
        MemoryCrm(MemorySettings(SCHEMA), bench.clock, {"deals": frozenset({"kpi_reason", "name"})})
