"""The vendored scripts are what their table says, fit the installed Altair, and are in the wheel."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import altair as alt
import pytest

from connector.report.page import VENDORED

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "connector" / "report"
VENDOR = REPORT / "vendor"
TABLE = re.findall(r"^\| ([a-z-]+) \| ([\d.]+) \| (\S+) \| (\S+) \| ([0-9a-f]{64}) \|$", (VENDOR / "VENDORED.md").read_text(encoding="utf-8"), re.M)


def test_the_table_names_exactly_the_scripts_there_are() -> None:
    assert [row[2] for row in TABLE] == list(VENDORED)
    assert {path.name for path in VENDOR.glob("*.js")} == set(VENDORED)


@pytest.mark.parametrize(("name", "version", "file", "licence", "sha256"), TABLE, ids=[row[0] for row in TABLE])
def test_a_script_is_the_one_that_was_published(name: str, version: str, file: str, licence: str, sha256: str) -> None:
    content = (VENDOR / file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == sha256
    assert version.encode() in content
    assert licence == "BSD-3-Clause"
    assert "Redistribution and use" in (VENDOR / f"LICENSE.{name}").read_text(encoding="utf-8")
    assert b"</script" not in content.lower()
    assert b"<!--" not in content
    assert b"\r" not in content


def test_versions_fit_the_specifications_that_altair_makes() -> None:
    versions = {name: version for name, version, *_ in TABLE}
    assert f"v{versions['vega-lite']}" == alt.SCHEMA_VERSION
    assert versions["vega"].split(".")[0] == alt.VEGA_VERSION
    assert versions["vega-embed"].split(".")[0] == alt.VEGAEMBED_VERSION


def test_the_wheel_holds_templates_and_scripts(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (*VENDOR.iterdir(), *(REPORT / "templates").iterdir()):
        assert path.relative_to(ROOT).as_posix() in names
