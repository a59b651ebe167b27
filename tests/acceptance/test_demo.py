"""``make demo``'s verb in a process of its own, twice, and the golden file through the command line."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connector(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "connector.cli", *words], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_the_demo_shows_every_step_twice(tmp_path: Path) -> None:
    port = str(free_port())
    try:
        for _ in range(2):
            done = connector("demo", "--port", port, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            for part in ("1. Pulled", "2. Mapped", "3. Planned", "4. Written", "5. Deals that need attention", "6. KPIs", "7. Where to look next"):
                assert part in done.stdout
            assert "Traceback" not in done.stderr
            assert "KPI_Pace__c" in done.stdout
            pages = [requests.get(url, timeout=30) for url in re.findall(r"a deal as a rep sees it: +(\S+)", done.stdout)]
            assert [page.status_code for page in pages] == [200, 200], "anybody may open them, without a token"
            assert all("Stale reason" in page.text for page in pages)
        again = connector("--project", "demo", "sync", "--json", cwd=tmp_path)
        assert (again.returncode, json.loads(again.stdout)["summary"]["written"]) == (0, 0)
    finally:
        connector("--project", "demo", "sandbox", "down", cwd=tmp_path)


def test_finance_checks_definitions_from_a_file_without_a_crm(tmp_path: Path) -> None:
    golden = ROOT / "tests" / "kpis" / "golden.json"
    done = connector("kpis", "compute", "--from-file", str(golden), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    got = {(m["kpi"], m["variant"], m["subject"], m["window"]): m["value"] for m in result["measures"]}
    assert got["weighted_pipeline_coverage", "", "company", "FY2027-Q1"] == pytest.approx(0.932)
    assert got["win_rate", "", "company", "T12M"] == pytest.approx(0.5)
    assert got["sales_cycle_length", "km_median", "company", "ALL"] == 210
    assert set(result["scorecards"]) == {"O2", "O6", "O7", "O8"}
    columns = ("kpi", "variant", "subject", "window", "value", "unit", "n", "low_n", "ci_low", "ci_high", "pending", "excluded", "reason")
    assert tuple(result["measures"][0])[:13] == columns


def test_a_broken_file_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "book.json").write_text('{"inputs": {"as_of": 1,}}')
    done = connector("kpis", "compute", "--from-file", "book.json", cwd=tmp_path)
    assert done.returncode == 4
    assert "book.json:1" in done.stderr
    assert "Traceback" not in done.stderr
