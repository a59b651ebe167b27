"""What several companies want provisioned in a portal: from the starter mappings, with a few lines changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connector.crms.provisioning import Wanted
from connector.model import scorecard_fields
from connector.model.ladder import Ladder
from connector.scorecard import properties
from connector.scorecard.fields import MANIFEST
from connector.scorecard.formulas import Terms
from connector.scorecard.wanted import Switches
from tests.scorecard.test_formulas import LADDER, SETTINGS

OWN = {
    "pilot_started_on": "evaluation_start", "pilot_ended_on": "evaluation_end", "secq_received_on": "sec_q_sent", "secq_returned_on": "sec_q_done",
    "loi_signed_on": "loi_signed", "cleared_on": "contract_signed", "first_order_on": "first_order_date", "arr": "hs_arr",
    "capital_amount": "capital_amount",
}  # fmt: skip
RECORD = Switches(
    crm="hubspot", mode="record", objects={"opportunity": "deals", "account": "companies", "contact": "contacts"},
    opportunity={key: field.hubspot for key, field in MANIFEST.items()}, own=OWN, zone="America/New_York",
)  # fmt: skip
MODES: Mapping[str, Switches] = {
    "record": RECORD,
    "everything": replace(
        RECORD,
        opportunity={**RECORD.opportunity, "weighted_amount": "kpi_weighted_amount"},
        account={row.key: row.hubspot for row in scorecard_fields.ACCOUNT},
        contact={row.key: row.hubspot for row in scorecard_fields.CONTACT},
    ),
    "anchors": replace(RECORD, own={key: name for key, name in OWN.items() if not key.startswith("pilot")}),
    "two_fields": replace(RECORD, mode="two_fields"),
}


def made(mode: str, ladder: Ladder = LADDER, **changes: Any) -> Wanted:
    switches = replace(MODES[mode], **changes)
    return properties.hubspot(switches, lambda ours, parent: Terms(ladder, SETTINGS, switches.own, ours, parent, switches.instants))
