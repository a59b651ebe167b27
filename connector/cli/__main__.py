"""python -m connector.cli: the connector script without an installed entry point."""

from connector.cli.main import run

run()
