"""mappings/kpis.yaml as values: calendar, thresholds, populations. Defaults are those of the KPI catalogue, section 5."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from connector.model.ladder import Strict


class CalendarSettings(Strict):
    time_zone: str = "UTC"
    fiscal_year_starts: int = Field(default=1, ge=1, le=12)
    week_starts: Literal["monday"] = "monday"
    currency: str = "USD"


class Selection(Strict):
    """Which KPIs are switched on: a preset, plus and minus single ones."""

    preset: Literal["medtech_core", "healthtech_core"] | None = "medtech_core"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Pace(Strict):
    slow: float = 1.0
    stuck: float = 2.0


class WeightedCoverage(Strict):
    green: float = 3.0
    red: float = 2.0
    red_months: int = 2


class Thresholds(Strict):
    """Days unless said otherwise; ``*_days`` mappings have a ``default`` and may name segments, stages or gates."""

    pace: Pace = Pace()
    stale_after_days: dict[str, int] = Field(default_factory=lambda: {"default": 180})
    stage_limit_days: dict[str, int] = Field(default_factory=dict)
    gate_limit_days: dict[str, int] = Field(default_factory=dict)
    aging_days: dict[str, int] = Field(default_factory=lambda: {"default": 180})
    buyer_silence_days: int | None = None
    pilot_limit_days: int = 90
    first_order_days: int = 90
    late_renewal_days: int = 90
    followup_tolerance_days: int = 0
    weighted_coverage: WeightedCoverage = WeightedCoverage()
    low_n: int = 10
    rank_n: int = 5
    benchmark_min_events: int = 10
    engaged_early_days: int = 30
    lead_maturity_days: int = 90


class Probability(Strict):
    policy: Literal["stage_default", "crm", "historical"] = "stage_default"
    shrinkage: float = 10


class Money(Strict):
    capital_normalisation_years: float = 5
    gross_margin: float | None = None
    contract_years: float | None = None
    days_per_month: float = 30.4375


class Predicate(Strict):
    """Which deals count: all of ``where`` (field → any of these values) and none of ``except`` hold, and the amount lies in the bounds.

    Fields: deal_type, pipeline, stage, kind, segment, territory, size, source, product, owner, lost_reason and every mapped dimension; a
    deal without a value matches the value ``unknown``. Amounts are in the reporting currency; a deal without one fails a bound.
    """

    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    except_: dict[str, tuple[str, ...]] = Field(default_factory=dict, alias="except")
    amount_at_least: float | None = None
    amount_below: float | None = None


class Populations(Strict):
    """Who counts where. ``new_business`` is the ground of all others (catalogue R4); they narrow it: ``open_pipeline`` the open deals of
    pipeline and coverage, ``ageing`` those of pipeline_aging, ``win_rate`` the closed deals of win rates."""

    new_business: Predicate = Predicate(where={"deal_type": ("new_business",)})
    open_pipeline: Predicate = Predicate()
    ageing: Predicate = Predicate()
    win_rate: Predicate = Predicate()
    quota_types: tuple[str, ...] = ("new_business",)
    cycle_start: Literal["created", "qualified_meeting"] = "created"
    persona_evidence: Literal["associated", "engaged"] = "associated"


class SizeBand(Strict):
    key: str
    below: float | None = None


class History(Strict):
    min_visit_seconds: int = 60


class EngagementScore(Strict):
    lookback_days: int = 30
    weights: dict[str, float] = Field(default_factory=lambda: {"meetings": 0.4, "inbound_emails": 0.3, "personas": 0.3})
    caps: dict[str, int] = Field(default_factory=lambda: {"meetings": 2, "inbound_emails": 4, "personas": 3})


class KolScore(Strict):
    lookback_days: int = 90
    points_per_meeting: int = 10
    meeting_cap: int = 50
    advisory_board: int = 25
    publication: int = 25
    lead_sources: tuple[str, ...] = ("kol_referral",)


class AtRisk(Strict):
    adoption_below: float = 0.5
    sentiment_below: float = 50
    critical_tickets_at_least: int = 2


class ExpansionReady(Strict):
    adoption_at_least: float = 0.8
    sentiment_at_least: float = 70


class HealthTier(Strict):
    at_risk: AtRisk = AtRisk()
    expansion_ready: ExpansionReady = ExpansionReady()


class Points(Strict):
    presentation: int = 20
    workshop: int = 50
    meeting: int = 10
    followup_on_time: int = 10
    quiz_correct: int = 2
    video_submitted: int = 50
    video_articulation: int = 200
    video_best: int = 300


class CacCategories(Strict):
    blended: tuple[str, ...] = ("sales", "marketing", "onboarding")
    with_compliance: tuple[str, ...] = ("sales", "marketing", "compliance", "legal")
    sales_and_marketing: tuple[str, ...] = ("sales", "marketing")


class Programme(Strict):
    """``leaderboard``: reps ranked by gamification_points, beside the warning that activity is no outcome."""

    baseline_on: date | None = None
    leaderboard: bool = False


class Windows(Strict):
    rates: Literal["T12M"] = "T12M"
    durations: Literal["T12M"] = "T12M"


class KpiSettings(Strict):
    """The whole of mappings/kpis.yaml. ``inputs``: input name → path or paths relative to the mappings directory.

    ``ignore_created_by`` and ``pilot_link`` stand here in a book file only; a project has them in the mapping of its CRM.
    """

    version: int = 1
    calendar: CalendarSettings = CalendarSettings()
    kpis: Selection = Selection()
    windows: Windows = Windows()
    thresholds: Thresholds = Thresholds()
    probability: Probability = Probability()
    money: Money = Money()
    populations: Populations = Populations()
    size_bands: tuple[SizeBand, ...] = (SizeBand(key="under_100k", below=100_000), SizeBand(key="100k_plus"))
    history: History = History()
    required_personas: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    required_fields: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    gatekeeper_personas: tuple[str, ...] = ("compliance", "legal", "security", "value_analysis")
    engagement_score: EngagementScore = EngagementScore()
    kol_score: KolScore = KolScore()
    health_tier: HealthTier = HealthTier()
    points: Points = Points()
    cac: CacCategories = CacCategories()
    lost_contract_segments: tuple[str, ...] = ()
    ignore_created_by: tuple[str, ...] = ()
    pilot_link: tuple[Literal["account", "product"], ...] = ()
    programme: Programme = Programme()
    inputs: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
