"""Every situation has a test of its name, on every CRM to which it applies."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.pitfalls.catalogue import PITFALLS, RECORDED

HERE = Path(__file__).parent


def test_every_situation_has_its_named_test() -> None:
    entries = PITFALLS | RECORDED
    named = {node.name: node for path in HERE.glob("test_*.py") for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    missing = {number: entry.test for number, entry in entries.items() if entry.test not in named}
    assert missing == {}
    for number, entry in entries.items():
        marks = [ast.unparse(mark) for mark in named[entry.test].decorator_list]
        assert any(mark.startswith("pytest.mark.pitfall(") and f'"{number}"' in mark.replace("'", '"') for mark in marks), (number, entry.test, marks)
