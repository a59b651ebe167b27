"""The names of all KPIs by question, so that a mapping file can be checked without loading the engine. ``definition.kpi`` holds the code to it."""

from __future__ import annotations

from collections.abc import Mapping

BY_QUESTION: Mapping[str, tuple[str, ...]] = {
    "pipeline": (
        "open_pipeline_value", "weighted_pipeline_value", "pipeline_created", "pipeline_aging", "stale_flag", "stale_pipeline_share",
        "expected_arr_by_quarter_end", "active_opportunity_count",
    ),
    "coverage": (
        "pipeline_coverage_ratio", "weighted_pipeline_coverage",
    ),
    "forecast": (
        "forecast_accuracy",
    ),
    "results": (
        "closed_won_count", "bookings", "new_arr", "net_new_arr", "blended_arr", "mrr", "quota_attainment", "win_rate", "average_deal_size",
    ),
    "buyers": (
        "win_rate_by_persona", "win_rate_by_persona_combination", "revenue_by_persona",
    ),
    "lead_sources": (
        "lead_source_quality_by_compliance",
    ),
    "speed": (
        "sales_cycle_length", "deal_age", "demo_to_proposal_time", "contract_to_close_lag", "deal_regression_rate",
        "clinical_to_commercial_handoff_time", "time_first_contact_to_first_case", "time_to_first_order_new_hire", "close_date_pushes",
    ),
    "velocity": (
        "sales_velocity", "deal_velocity_by_persona",
    ),
    "stage_times": (
        "stage_dwell_time", "stage_to_stage_conversion_time", "days_in_stage", "stage_pace", "time_in_persona_stages",
    ),
    "prospecting": (
        "meeting_show_rate", "qualified_meetings_per_week", "outreach_to_meeting_rate", "mql_to_sqo_conversion", "sql_to_closed_won",
    ),
    "conversion": (
        "meeting_to_demo_conversion", "stage_to_stage_conversion_rate", "demo_to_trial_conversion", "pilot_to_paid_conversion",
        "average_pilot_duration", "qualified_meeting_to_close", "demo_to_close_rate",
    ),
    "compliance": (
        "loi_to_security_questionnaire_time", "time_to_complete_security_questionnaire", "deals_stuck_in_compliance_review",
        "compliance_gatekeepers_engaged", "time_in_compliance_review", "vac_cycle_time", "vac_first_pass_rate", "contract_compliance_rate",
        "hipaa_readiness_score", "compliance_friction_delta",
    ),
    "engagement": (
        "touchpoint_density", "buyer_engagement_score", "influence_score_per_persona", "personas_engaged", "missing_personas",
        "activity_counts",
    ),
    "kol": (
        "kol_engagement_score", "active_kol_count", "kol_contact_frequency", "kol_referred_leads", "kol_engagement_conversion",
    ),
    "team": (
        "sales_capacity_utilization", "presentations_to_hcps", "hcp_workshops", "meetings_held", "hcp_followup_on_time_rate",
        "knowledge_quotient", "sales_conversation_skill_score", "gamification_points",
    ),
    "unit_economics": (
        "blended_cac", "cac", "cac_payback_months", "cac_ratio", "cost_per_opportunity", "ltv", "ltv_cac_ratio", "gross_margin_by_product",
    ),
    "retention": (
        "logo_retention_rate", "nrr", "grr", "churn_by_segment", "lost_hospital_contracts", "renewal_rate", "expansion_revenue_share",
        "time_to_first_expansion", "consumable_pull_through_per_installed_base",
    ),
    "health": (
        "contract_to_go_live", "implementation_success_rate", "implementation_milestone_completion_rate", "product_adoption_score",
        "support_ticket_volume_by_severity", "customer_sentiment_score", "expansion_trigger_events", "customer_health_tier", "reference_accounts",
    ),
    "programme": (
        "data_health_score", "kpi_delta_vs_baseline", "weekly_three",
    ),
}  # fmt: skip
"""Module of ``connector.kpis`` → the KPIs it declares, in the order of the catalogue."""

NAMES: tuple[str, ...] = tuple(name for names in BY_QUESTION.values() for name in names)
