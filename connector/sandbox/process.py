"""The sandbox as a process in the background: start it, stop it, ask how it is, give it control calls."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connector.sandbox.errors import SandboxError

DEFAULT_PORT = 8425
START_SECONDS = 30.0
STOP_SECONDS = 5.0
_STEP = 0.05

_children: dict[int, subprocess.Popen[bytes]] = {}  # started by this very process: to be waited for when they end
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers. ``already``: it ran before :func:`up` was called."""

    pid: int
    port: int
    base_url: str
    health: dict[str, Any]
    already: bool = False


def up(state_dir: Path, port: int = DEFAULT_PORT, latency_ms: int = 0, *, bare: bool = False) -> Running:
    """Start the sandbox in the background and return once it answers. ``bare``: without anything of the scorecard in the CRMs.

    ``state_dir`` gets ``sandbox.pid`` and ``sandbox.log``, both readable by the owner only. Where one runs already, that one is
    returned. Raises SandboxError if that one has another port, the port is taken, or the start fails (with the log's tail).
    """
    running = status(state_dir)
    if running is not None:
        if running.port != port:
            raise SandboxError(f"a sandbox already runs on port {running.port} (pid {running.pid})", "use that port, or connector sandbox down")
        return Running(running.pid, running.port, running.base_url, running.health, already=True)
    if not 1 <= port <= 65535:
        raise SandboxError(f"{port} is no port", "choose one from 1024 to 65535")
    _refuse_if_taken(port)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [
        sys.executable,
        "-m",
        "connector.sandbox",
        "--port",
        str(port),
        "--latency-ms",
        str(latency_ms),
        *(["--bare-scorecard"] if bare else []),
    ]
    with os.fdopen(_private(state_dir / "sandbox.log"), "wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - our own module
    _children[child.pid] = child
    with os.fdopen(_private(state_dir / "sandbox.pid"), "w") as file:
        json.dump({"pid": child.pid, "port": port}, file)
    return _wait_until_up(state_dir, child, port)


def down(state_dir: Path) -> bool:
    """Stop the sandbox that was started with this ``state_dir``. False if none ran. Raises SandboxError if it will not end."""
    known = _pid_file(state_dir)
    if known is None:
        return False
    pid, port = known
    ours = _alive(pid) and (_is_sandbox(pid) or (_health(_url(port)) or {}).get("pid") == pid)
    if ours:
        _end(pid)
    (state_dir / "sandbox.pid").unlink(missing_ok=True)
    return ours


def status(state_dir: Path) -> Running | None:
    """The sandbox that was started with this ``state_dir``, if it answers; None otherwise."""
    known = _pid_file(state_dir)
    if known is None:
        return None
    pid, port = known
    health = _health(_url(port)) if _alive(pid) else None
    if health is None or health.get("pid") != pid:
        return None
    return Running(pid, port, _url(port), health)


def control(base_url: str, action: str, **body: Any) -> dict[str, Any]:
    """``POST /sandbox/{action}`` (seed, tick, reset, faults) of a running sandbox; its JSON answer. A Path in ``body`` is made absolute.

    Raises SandboxError if the sandbox refuses, does not answer, or is not on loopback.
    """
    return ask(base_url, "POST", action, body)


def ask(base_url: str, method: str, action: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``/sandbox/{action}`` by any method, with or without a body; raises as :func:`control` does."""
    host = urlsplit(base_url).hostname or ""
    with contextlib.suppress(ValueError):
        host = "localhost" if ipaddress.ip_address(host).is_loopback else host
    if host != "localhost" or not base_url.startswith("http://"):
        raise SandboxError(f"no sandbox at {base_url}: it lives on loopback only", "check base_url")
    plain = {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in (body or {}).items()}
    data = None if body is None else json.dumps(plain).encode()
    request = urllib.request.Request(  # noqa: S310 - http to loopback, checked above
        f"{base_url}/sandbox/{action}", data=data, headers={"Content-Type": "application/json"}, method=method
    )
    try:
        with _opener.open(request, timeout=600) as answer:
            return _object(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            told = _object(error.read())
        raise SandboxError(
            str(told.get("error") or f"the sandbox answers {error.code} to {action}"), str(told.get("next") or ""), tuple(told.get("details") or ())
        ) from None
    except OSError as error:
        raise SandboxError(f"no sandbox answers at {base_url}: {error}", "connector sandbox up") from None


def _wait_until_up(state_dir: Path, child: subprocess.Popen[bytes], port: int) -> Running:
    for _ in range(int(START_SECONDS / _STEP)):
        if child.poll() is not None:
            _children.pop(child.pid, None)
            (state_dir / "sandbox.pid").unlink(missing_ok=True)
            raise SandboxError(f"the sandbox ended at once (exit {child.returncode})", f"see {state_dir / 'sandbox.log'}", _tail(state_dir))
        health = _health(_url(port))
        if health is not None and health.get("pid") == child.pid:
            return Running(child.pid, port, _url(port), health)
        time.sleep(_STEP)
    down(state_dir)
    raise SandboxError(f"the sandbox did not answer within {START_SECONDS:.0f} s", f"see {state_dir / 'sandbox.log'}", _tail(state_dir))


def _refuse_if_taken(port: int) -> None:
    health = _health(_url(port))
    if health is not None:
        raise SandboxError(
            f"another sandbox already answers on port {port} (pid {health.get('pid')})", "stop it where it was started, or choose another port"
        )
    if _connects(port):
        raise SandboxError(f"port {port} is taken by something else", "stop what uses it, or choose another port")


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(pid: int) -> None:
    for word in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, word)
        for _ in range(int(STOP_SECONDS / _STEP)):
            if not _alive(pid):
                return
            time.sleep(_STEP)
    raise SandboxError(f"the sandbox (pid {pid}) does not end", f"kill -9 {pid}")


def _alive(pid: int) -> bool:
    child = _children.get(pid)
    if child is not None:
        if child.poll() is None:
            return True
        del _children[pid]
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_sandbox(pid: int) -> bool:
    """Whether the process is what we started: the number may have been given to another one since."""
    if pid in _children:
        return True
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # no such process, or a system without /proc: there only its own answer tells (see down)
        return False
    return b"connector.sandbox" in words


def _pid_file(state_dir: Path) -> tuple[int, int] | None:
    try:
        known = json.loads((state_dir / "sandbox.pid").read_text())
        return int(known["pid"]), int(known["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _health(base_url: str) -> dict[str, Any] | None:
    try:
        with _opener.open(f"{base_url}/sandbox/health", timeout=2) as answer:
            told = _object(answer.read())
    except (OSError, ValueError):
        return None
    return told if told.get("ok") is True else None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tail(state_dir: Path, lines: int = 12) -> tuple[str, ...]:
    try:
        text = (state_dir / "sandbox.log").read_text(errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-lines:])


def _private(path: Path) -> int:
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
