"""Names, presets, what is computable, and books from files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from connector.errors import InputError, MappingError
from connector.kpis.compute import PRESETS, computable, compute, document, from_file, selected
from connector.kpis.definition import REGISTRY, Row, kpi
from connector.model.kpi_settings import Selection


def test_a_preset_plus_and_minus() -> None:
    chosen = selected(Selection(preset="medtech_core", add=("stale_flag", "win_rate"), remove=("sales_cycle_length",)))
    assert chosen == (*tuple(name for name in PRESETS["medtech_core"] if name != "sales_cycle_length"), "stale_flag")
    assert selected(Selection(preset=None)) == ()


def test_without_names_the_switched_on_kpis_are_computed(org: Any) -> None:
    org.given["kpis"]["kpis"] = {"preset": None, "add": ["win_rate"]}
    assert {m.kpi for m in compute(org.book())} == {"win_rate"}


def test_an_unknown_name_names_the_nearest(org: Any) -> None:
    with pytest.raises(MappingError, match=r"unknown KPI 'winrate'; did you mean win_rate") as caught:
        compute(org.book(), ["winrate"])
    assert caught.value.code == "SC-E022"
    with pytest.raises(MappingError):
        selected(Selection(add=("nonsense_of_sorts",)))


def test_what_is_computable_and_what_it_lacks(org: Any, golden_book: Any) -> None:
    assert all(ok for _, ok, _ in computable(golden_book))
    org.given["stages"]["ladder"] = [rung for rung in org.given["stages"]["ladder"] if rung["key"] != "pilot"]
    org.set("money.gross_margin", None)
    answers = {name: (ok, lacking) for name, ok, lacking in computable(org.book())}
    assert answers["win_rate"] == (True, None)
    assert answers["demo_to_trial_conversion"] == (False, "stage pilot in stages.yaml")
    assert answers["cac_payback_months"] == (False, "inputs/spend.csv, money.gross_margin in kpis.yaml")
    assert [name for name, *_ in computable(org.book(), ["nrr"])] == ["nrr"]


def test_the_document_adds_when_and_how_well_known(golden_book: Any) -> None:
    rows = document(golden_book, compute(golden_book, ["win_rate", "nrr", "vac_cycle_time"]))
    assert {row["as_of"] for row in rows} == {"2027-02-15T17:00:00Z"}
    assert {row["kpi"]: row["history_quality"] for row in rows} == {"win_rate": "system", "nrr": "none", "vac_cycle_time": "date_field"}
    assert list(rows[0])[:4] == ["kpi", "variant", "subject", "window"]
    assert len(rows[0]) == 16
    assert json.loads(json.dumps(rows)) == rows


def test_observed_history_is_said(org: Any) -> None:
    org.deal("D1", ("demo", "2026-06-01"))
    org.given["crm"]["stage_history"][0]["quality"] = "observed"
    assert document(org.book(), compute(org.book(), ["deal_age"]))[0]["history_quality"] == "observed"


def test_every_kpi_says_what_it_is() -> None:
    for name, declared in REGISTRY.items():
        assert declared.definition, name
        assert declared.source, name
        assert declared.units, name
    with pytest.raises(ValueError, match="declared twice"):
        kpi("win_rate", number=17, grain="", units="ratio", kind="lagging", write_back="", source="")(
            lambda book: iter([Row("company", "ALL", 1, 1)])
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given.pop("as_of"), "inputs.as_of is absent"),
        (lambda given: given.update(as_of="2027-02-15T12:00:00"), "no time zone"),
        (lambda given: given.update(crmm={}), "unknown key crmm; did you mean crm"),
        (lambda given: given["crm"].update(opportunties=[]), "unknown key opportunties; did you mean opportunities"),
        (lambda given: given["crm"].update(leads={}), "inputs.crm.leads is not a list of objects"),
        (lambda given: given["crm"]["opportunities"][2].update(amount="much"), r"opportunities\[2\].amount: 'much' is not an amount"),
        (lambda given: given["crm"]["opportunities"][0].update(closes_on="31.12.2026"), r"opportunities\[0\].closes_on: '31.12.2026' is not a date"),
        (
            lambda given: given["crm"]["stage_history"][0].update(entered_at="2026-03-01T15:00:00"),
            r"stage_history\[0\].entered_at.*instant with a zone",
        ),
        (lambda given: given["crm"]["opportunities"][1].update(id="O1"), r"opportunities\[1\].id: is used twice: O1"),
        (lambda given: given["crm"]["accounts"][0].pop("id"), r"accounts\[0\].id: is absent"),
        (lambda given: given["stages"].update(steps=1), "Ladder steps"),
        (lambda given: given["kpis"].update(thresholds={"low": 1}), r"KpiSettings thresholds\.low"),
        (lambda given: given.update(windows=["last year"]), "is no window"),
    ],
)
def test_a_file_that_is_off_says_where(change: Any, message: str, golden: dict[str, Any], tmp_path: Path) -> None:
    content = copy.deepcopy(golden)
    change(content["inputs"])
    path = tmp_path / "book.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        from_file(path)
    assert caught.value.code == "SC-E090"


@pytest.mark.parametrize(("text", "message"), [("{", "book.json:1:2 is not JSON"), ("[]", "is not an object"), ("{}", "inputs is not an object")])
def test_a_file_that_is_no_book(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        from_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        from_file(tmp_path / "nowhere.json")
