"""Scorecard Connector: CRM deals in, KPI scorecards out, back onto the deal."""

__version__ = "0.1.0"
