"""Every table of the state, declared. ``connection`` is the first part of every key: two orgs never share a row.

Instants are aware UTC (naive ones are refused), dates are ISO text, money is text, so that no digit is lost. Pages are written with Core
statements, never as objects.
"""

from __future__ import annotations

from sqlmodel import SQLModel

from connector.state.tables import canonical, control

METADATA = SQLModel.metadata
"""All of them: importing this package has declared both halves."""

__all__ = ["METADATA", "canonical", "control"]
