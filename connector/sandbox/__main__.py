"""``python -m connector.sandbox``: the process that ``process.up`` starts in the background."""

from __future__ import annotations

import argparse
import sys

from connector.sandbox import server
from connector.sandbox.errors import SandboxError
from connector.sandbox.process import DEFAULT_PORT


def main(words: list[str] | None = None) -> int:
    """Serve until stopped. Exit 1 with the reason on stderr if that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m connector.sandbox", description=server.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bare-scorecard", action="store_true")
    given = parser.parse_args(words)
    try:
        server.serve(given.host, given.port, latency_ms=given.latency_ms, seed=given.seed, bare=given.bare_scorecard)
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
