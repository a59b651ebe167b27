"""The contract, kept by the Salesforce adapter over HTTP against the sandbox org."""

from datetime import timedelta

from tests.crms.contract import CrmContract


class TestSalesforce(CrmContract):
    lookback = timedelta(minutes=15)
