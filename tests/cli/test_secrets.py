"""The key of the state's secrets lies outside the project, is read by its owner only, and is never replaced."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from connector import settings
from connector.cli.main import main
from tests.cli.conftest import Run


def test_a_key_that_works_lies_outside_the_project(project: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    code, document = run("--project", str(project), "secrets", "init")
    assert code == 0
    path = Path(document["summary"]["key_file"])
    assert path.is_relative_to(tmp_path / "config")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    resolved = settings.load(project, environment={document["result"]["variable"]: str(path)})
    (key,) = resolved.secrets_keys()
    assert Fernet(key.encode()).decrypt(Fernet(key.encode()).encrypt(b"token")) == b"token"
    assert key not in str(document)


@pytest.mark.parametrize("inside", ["key", "state/key", "mappings/../key"])
def test_inside_the_project_is_refused(project: Path, inside: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", str(project), "secrets", "init", "--out", str(project / inside)]) == 4
    assert "would have the key too" in capsys.readouterr().err
    assert not (project / inside).exists()


def test_an_existing_key_is_left_alone(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "key"
    place.write_text("precious")
    assert main(["--project", str(project), "secrets", "init", "--out", str(place)]) == 4
    assert place.read_text() == "precious"
    assert "exists" in capsys.readouterr().err
