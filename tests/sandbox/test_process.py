"""The sandbox in the background: up, status, down."""

import json
import os
import socket
import stat
import subprocess
import sys

import pytest

from connector.sandbox import process
from connector.sandbox.errors import SandboxError


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def state_dir(tmp_path):
    yield tmp_path / "state"
    process.down(tmp_path / "state")


def test_up_answers_down_ends(state_dir, port):
    assert process.status(state_dir) is None
    running = process.up(state_dir, port, bare=True)
    assert (running.port, running.already, running.health["bare"]) == (port, False, True)
    assert running.health["salesforce"]["opportunities"] > 300
    for name in ("sandbox.pid", "sandbox.log"):
        assert stat.S_IMODE((state_dir / name).stat().st_mode) == 0o600
    again = process.up(state_dir, port)
    assert (again.pid, again.already) == (running.pid, True)
    with pytest.raises(SandboxError, match=f"already runs on port {port}"):
        process.up(state_dir, port + 1)
    with pytest.raises(SandboxError, match="another sandbox already answers"):
        process.up(state_dir / "other", port)
    assert process.control(running.base_url, "tick", days=1)["now"] == "2026-11-21T18:00:00Z"
    assert process.status(state_dir).health["now"] == "2026-11-21T18:00:00Z"
    assert process.control(running.base_url, "seed", bare=False)["bare"] is False
    assert process.down(state_dir) is True
    assert process.status(state_dir) is None
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)
    assert process.down(state_dir) is False
    assert (state_dir / "sandbox.log").read_text() == "", "the server complained"


def test_a_port_taken_by_something_else_is_named(state_dir, port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(SandboxError, match=f"port {port} is taken by something else"):
            process.up(state_dir, port)
    assert not state_dir.exists()


def test_a_start_that_fails_shows_the_log(state_dir, port):
    with pytest.raises(SandboxError) as caught:
        process.up(state_dir, port, latency_ms="soon")
    assert "ended at once" in caught.value.message
    assert any("invalid int value: 'soon'" in line for line in caught.value.details)
    assert not (state_dir / "sandbox.pid").exists()


@pytest.mark.parametrize("number", [0, -1, 70_000])
def test_a_port_that_is_none(state_dir, number):
    with pytest.raises(SandboxError, match="is no port"):
        process.up(state_dir, number)


def test_a_stale_pid_file_kills_nobody(state_dir, port):
    state_dir.mkdir()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (state_dir / "sandbox.pid").write_text(json.dumps({"pid": bystander.pid, "port": port}))
        assert process.status(state_dir) is None
        assert process.down(state_dir) is False
        assert bystander.poll() is None
        assert not (state_dir / "sandbox.pid").exists()
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"pid": 1}'])
def test_a_broken_pid_file_is_no_sandbox(state_dir, text):
    state_dir.mkdir()
    (state_dir / "sandbox.pid").write_text(text)
    assert process.status(state_dir) is None
    assert process.down(state_dir) is False


def test_control_without_a_sandbox_says_so(port):
    with pytest.raises(SandboxError, match="no sandbox answers"):
        process.control(f"http://127.0.0.1:{port}", "tick", days=1)
