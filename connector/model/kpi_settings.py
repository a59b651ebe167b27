"""mappings/kpis.yaml as values: calendar, thresholds, populations. Defaults are those of the KPI catalogue, section 5."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

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


SUBJECT = r"company|[a-z_]+=[^,=]+(,[a-z_]+=[^,=]+)*"
WINDOW = r"asof|ALL|FQ|T\d+[DM]|FY\d{4}(-Q[1-4])?|\d{4}-\d{2}|\d{4}-W\d{2}"


class NoGo(Strict):
    """What is worse than a missed target: beyond this limit in so many consecutive months, the running one included."""

    below: float | None = None
    above: float | None = None
    months: int = Field(default=1, ge=1, le=36)

    @model_validator(mode="after")
    def _one_side(self) -> NoGo:
        if (self.below is None) == (self.above is None):
            raise ValueError("no_go has either below or above")
        return self

    @property
    def limit(self) -> float:
        found = self.above if self.below is None else self.below
        assert found is not None
        return found


class Target(Strict):
    """What a KPI should be. ``at_least`` or ``at_most`` says which way is good; money in the reporting currency, ratios as 0–1.

    ``subject``: as in the result (``company``, ``segment=hospital``); ``owner=*`` is every owner for itself. ``window``: ``asof``, ``T12M`` …,
    ``FQ`` for the fiscal quarter that runs; without it the KPI's first. ``source``: who says so, in words.
    """

    kpi: str
    variant: str = ""
    subject: str = Field(default="company", json_schema_extra={"pattern": f"^({SUBJECT})$"})
    window: str | None = Field(default=None, json_schema_extra={"pattern": f"^({WINDOW})$"})
    at_least: float | None = None
    at_most: float | None = None
    no_go: NoGo | None = None
    source: str | None = None

    @field_validator("subject")
    @classmethod
    def _subject(cls, value: str) -> str:
        if not re.fullmatch(SUBJECT, value):
            raise ValueError(f'"{value}" is no subject; forms are company, segment=hospital, owner=*')
        return value

    @field_validator("window")
    @classmethod
    def _window(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(WINDOW, value):
            raise ValueError(f'"{value}" is no window; forms are asof, ALL, T12M, T90D, FQ, FY2027, FY2027-Q1, 2027-01, 2027-W03')
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Target:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a target has either at_least or at_most")
        if self.no_go is not None:
            if self.rising != (self.no_go.below is not None):
                raise ValueError("a no_go of at_least has below, one of at_most has above")
            if self.worse(self.limit, self.no_go.limit):
                raise ValueError("the no_go limit is nearer than the target")
        return self

    @property
    def rising(self) -> bool:
        """Whether more is better."""
        return self.at_least is not None

    @property
    def limit(self) -> float:
        found = self.at_least if self.rising else self.at_most
        assert found is not None
        return found

    def worse(self, value: float, limit: float) -> bool:
        """Whether a value is on the bad side of a limit."""
        return value < limit if self.rising else value > limit

    @property
    def key(self) -> str:
        """What tells it from the others: all but its limits and its source."""
        name = f"{self.kpi}.{self.variant}" if self.variant else self.kpi
        return " ".join((name, self.subject, self.window or "-", "at_least" if self.rising else "at_most"))


def _told_apart(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    keys = [target.key for target in targets]
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise ValueError(
                f"targets {keys.index(key) + 1} and {place + 1} say the same thing twice; two limits of one KPI are a target and its no_go"
            )
    return targets


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
    targets: Annotated[tuple[Target, ...], AfterValidator(_told_apart)] = ()
    inputs: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
