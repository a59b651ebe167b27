"""What several companies want provisioned: from the starter mappings, with a few lines changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connector.crms.provisioning import Wanted
from connector.model import scorecard_fields
from connector.model.kpi_settings import KpiSettings
from connector.model.ladder import Ladder
from connector.scorecard import wanted
from connector.scorecard.fields import MANIFEST
from connector.scorecard.formulas import Terms
from connector.scorecard.wanted import Switches
from tests.scorecard.test_formulas import LADDER, OWN, SETTINGS

RECORD = Switches(
    crm="salesforce", mode="record", objects={"opportunity": "Opportunity", "account": "Account", "contact": "Contact"},
    opportunity={key: field.salesforce for key, field in MANIFEST.items()}, own=OWN, zone="America/New_York",
)  # fmt: skip
MODES: Mapping[str, Switches] = {
    "record": RECORD,
    "everything": replace(
        RECORD,
        opportunity={**RECORD.opportunity, "weighted_amount": "KPI_Weighted_Amount__c"},
        account={row.key: row.salesforce for row in scorecard_fields.ACCOUNT},
        contact={row.key: row.salesforce for row in scorecard_fields.CONTACT},
        rep="KPI_Rep_Scorecard__c", snapshot="KPI_Snapshot__c",
    ),
    "anchors": replace(RECORD, own={}),
    "two_fields": replace(RECORD, mode="two_fields"),
    "companion": replace(RECORD, mode="companion"),
    "renamed": replace(RECORD, opportunity={**RECORD.opportunity, "pace": "KPI_Tempo__c", "data_gaps": None, "deal_age": None}),
}  # fmt: skip


def made(mode: str, ladder: Ladder = LADDER, settings: KpiSettings = SETTINGS, **changes: Any) -> Wanted:
    switches = replace(MODES[mode], **changes)
    return wanted.salesforce(switches, lambda ours, parent: Terms(ladder, settings, switches.own, ours, parent, switches.instants))
