"""Formulas of fields and validation rules: their text, their types, their values."""

from connector.sandbox.salesforce.formulas.compiled import Formula, compiled
from connector.sandbox.salesforce.formulas.syntax import FormulaError

__all__ = ["Formula", "FormulaError", "compiled"]
