"""Statistics for small numbers (catalogue, section 4). The only place that knows scipy; it is imported when first needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

CLOSE = 1e-9  # S(t) is a product of fractions: 0.25 may come out a hair above itself


@dataclass(frozen=True, slots=True)
class Curve:
    """A Kaplan–Meier curve: S falls to ``survival[i]`` at ``times[i]``. ``n`` records, ``running`` of them censored."""

    times: tuple[float, ...]
    survival: tuple[float, ...]
    n: int
    running: int

    def quantile(self, q: float) -> float | None:
        """The smallest t with S(t) ≤ 1 − q, or None: not reached."""
        place = bisect_left(self.survival, -(1 - q + CLOSE), key=lambda survival: -survival)
        return self.times[place] if place < len(self.times) else None

    @property
    def median(self) -> float | None:
        """The quantile one half."""
        return self.quantile(0.5)


def kaplan_meier(days: pl.Series, done: pl.Series, unseen: pl.Series | None = None) -> Curve:
    """The curve of durations, of which those not ``done`` are censored at their present length.

    ``unseen``: how long each had lasted already when somebody first looked (0 or null: seen from its beginning). Such a record is at
    risk only from then on (delayed entry); counted as if seen from the start, long ones would weigh too much, since short ones that
    ended unseen are missing.

    >>> curve = kaplan_meier(pl.Series([90, 90, 160, 210, 30, 180, 210, 290]), pl.Series([True] * 4 + [False] * 4))
    >>> curve.median, curve.quantile(0.75), curve.running
    (210.0, None, 4)
    >>> kaplan_meier(pl.Series([10, 20, 60]), pl.Series([True, True, True]), pl.Series([0, 0, 50])).median
    10.0
    """
    events, right = days.filter(done).to_list(), days.filter(~done).to_list()
    if not events:
        return Curve((), (), len(days), len(right))
    if unseen is not None and (unseen.fill_null(0) > 0).any():
        return _entering_late(days.to_list(), done.to_list(), unseen.fill_null(0).to_list())
    from scipy.stats import CensoredData, ecdf

    sf = ecdf(CensoredData(uncensored=events, right=right)).sf
    return Curve(tuple(map(float, sf.quantiles)), tuple(map(float, sf.probabilities)), len(days), len(right))


def _entering_late(days: Sequence[int], done: Sequence[bool], entered: Sequence[int]) -> Curve:
    """Kaplan–Meier with delayed entry, which scipy lacks: at risk at t are those with entered < t ≤ days."""
    times = sorted({length for length, over in zip(days, done, strict=True) if over})
    surviving, falls = 1.0, []
    for time in times:
        at_risk = sum(1 for length, late in zip(days, entered, strict=True) if late < time <= length)
        events = sum(1 for length, over, late in zip(days, done, entered, strict=True) if over and length == time and late < time)
        surviving *= 1 - events / at_risk if at_risk else 1.0
        falls.append(surviving)
    return Curve(tuple(map(float, times)), tuple(falls), len(days), done.count(False))


@lru_cache(maxsize=65536)
def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson 95 % interval of hits among n > 0.

    >>> tuple(round(side, 6) for side in wilson(2, 4))
    (0.150039, 0.849961)
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def ever(days: Sequence[int], outcomes: Sequence[bool | None]) -> float | None:
    """Aalen–Johansen probability of ever winning: outcome True won, False closed otherwise, None still open. None without records.

    1 − Kaplan–Meier with losses censored would overstate it.

    >>> round(ever([90, 90, 160, 210, 30, 180, 210, 290], [True, False, True, False, None, None, None, None]), 6)
    0.285714
    """
    if not days:
        return None
    records = sorted(zip(days, outcomes, strict=True), key=lambda record: record[0])
    incidence, surviving, at_risk, start = 0.0, 1.0, len(records), 0
    while start < len(records):
        time, end = records[start][0], start
        while end < len(records) and records[end][0] == time:
            end += 1
        tied = [outcome for _, outcome in records[start:end]]
        wins, events = tied.count(True), len(tied) - tied.count(None)
        incidence += surviving * wins / at_risk
        surviving *= 1 - events / at_risk
        at_risk, start = at_risk - len(tied), end
    return incidence
