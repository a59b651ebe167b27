"""Shared by the tests of the adapters."""

import pytest

pytest.register_assert_rewrite("tests.crms.contract")
