"""The scorecard of a deal in either sandbox: what its fields are called, what they hold, and a rule that refuses to let it be written."""

from __future__ import annotations

from typing import Any

from connector.sandbox.hubspot.values import Problem
from connector.sandbox.salesforce.org import RowError
from tests.pitfalls.catalogue import HS, SF

OBJECT = {SF: "Opportunity", HS: "deals"}
STAGE = {SF: "KPI_Stage__c", HS: "kpi_stage"}
PACE = {SF: "KPI_Pace__c", HS: "kpi_pace"}
REASON = {SF: "KPI_Stale_Reason__c", HS: "kpi_stale_reason"}
GAPS = {SF: "KPI_Data_Gaps__c", HS: "kpi_data_gaps"}
STAMP = {SF: "KPI_Updated_At__c", HS: "kpi_updated_at"}


def held(rig: Any, deal: str) -> dict[str, Any]:
    """Field → value, of those that hold one, as the CRM has them."""
    values = rig.org.tables["Opportunity"].rows[deal] if rig.crm == SF else rig.record("deals", deal).values
    return {name: value for name, value in values.items() if name.lower().startswith("kpi_") and value not in (None, "")}


def refuse(rig: Any, deal: str) -> None:
    """From now on the CRM refuses writes to this deal, by a rule of the company's own."""
    if rig.crm == SF:
        said = RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no")
        rig.org.rules.append(lambda object, row, values, user: said if row["Id"] == deal else None)
    else:
        rig.portal.rules.append(lambda record, wanted: Problem(STAGE[HS], "RULE", "no") if str(record.id) == deal else None)


def allow(rig: Any) -> None:
    """From now on it refuses none."""
    (rig.org if rig.crm == SF else rig.portal).rules.clear()
