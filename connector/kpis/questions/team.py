"""What do the reps do? (catalogue 8.7) Activity is no outcome: of these only the use of time may be in a preset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import found, owner_index
from connector.kpis.book.windows import Window, trailing
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_inputs, together
from connector.kpis.shapes import by, count, missing, quotient, rate

MEDICAL_DEVICE, MEDTECH = "medical-device KPIs", "medtech CRO KPIs"
Lines = Sequence[Mapping[str, Any]]


def _owner(book: Book, line: Mapping[str, Any]) -> str:
    return found(owner_index(book), line["owner_key"])


def _lines(book: Book, name: str, window: Window, day: str) -> Lines | None:
    """The lines of an input whose day lies in a window and has come; None where it was not given."""
    rows = book.inputs.rows(name)
    return None if rows is None else [row for row in rows if window.holds(row[day]) and row[day] <= book.today]


def _owned(book: Book, lines: Lines) -> Iterator[tuple[str, Lines]]:
    """(owner, their lines) for every owner of the book."""
    mine: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        mine.setdefault(_owner(book, line), []).append(line)
    return ((owner, mine.get(owner, [])) for owner in book.owners["id"])


def _each(book: Book, frame: pl.DataFrame, column: str = "owner") -> Iterator[tuple[str, pl.DataFrame]]:
    """(owner, rows) for every owner of the book."""
    parts = dict(by(frame, column))
    return ((owner, parts.get(owner, frame.clear())) for owner in book.owners["id"])


def _of_activities(frame: pl.DataFrame, *columns: str, **renamed: str) -> pl.DataFrame:
    """Evidence of activities. ``renamed``: columns under another name, where theirs would pass for the identity of a row."""
    return frame.select(pl.col("id").alias("activity"), *columns, *(pl.col(name).alias(shown) for shown, name in renamed.items()))


# -- time ---------------------------------------------------------------------------------------------------------


@kpi("sales_capacity_utilization", number=67, grain="owner, company", units="ratio", kind="leading", write_back="U", needs=("time_log",),
     rests_on="none", source=f"percentage of time spent selling ({MEDTECH})")  # fmt: skip
def sales_capacity_utilization(book: Book) -> Iterator[Row]:
    """Hours logged as selling ÷ hours logged, of the weeks whose Monday lies in the last 90 days. n: rows of time_log.csv.

    Only logged time counts: read it with n. An owner without rows has no value.

    >>> from connector.kpis.example import example
    >>> selling = {"owner_key": "R1", "week": "2027-01-04", "category": "selling", "hours": 24}
    >>> example().file("time_log", selling, selling | {"category": "admin", "hours": 16}).show("sales_capacity_utilization")
    '0.6 ratio, n=2'
    """
    window = trailing(90, book.today)
    lines = _lines(book, "time_log", window, "week")
    if lines is None:
        yield from (missing(subject, window.label, small=False) for subject in ("company", *(f"owner={id}" for id in book.owners["id"])))
        return
    for subject, mine in [("company", lines), *((f"owner={owner}", mine) for owner, mine in _owned(book, lines))]:
        selling = sum((line["hours"] for line in mine if line["category"] == "selling"), Decimal(0))
        logged = sum((line["hours"] for line in mine), Decimal(0))
        told = of_inputs(mine, "owner_key", "week", "category", "hours")
        yield quotient(subject, window.label, selling, logged, len(mine), small=False, evidence=told)


# -- meetings and tasks -------------------------------------------------------------------------------------------


@derived
def _held(book: Book) -> pl.DataFrame:
    """Held meetings, each once however many deals it is linked to."""
    return book.activities.filter(pl.col("held")).filter(pl.col("id").is_null() | pl.col("id").is_first_distinct())


def _on(book: Book, topic: str, window: Window) -> pl.DataFrame:
    return _held(book).filter((pl.col("topic") == topic) & window.covers("on"))


def _other(book: Book, window: Window) -> pl.DataFrame:
    """Held meetings that are neither presentations nor workshops."""
    apart = pl.col("topic").is_in(["presentation", "workshop"]).fill_null(False)
    return _held(book).filter(~apart & window.covers("on"))


def _present(meetings: pl.DataFrame) -> pl.DataFrame:
    """One row per meeting (``place``) and person who held it, organiser or participant: the meeting's columns and person."""
    people = pl.concat_list(pl.col("owner").fill_null(""), pl.col("participants").fill_null("").str.split(";"))
    rows = meetings.with_row_index("place").with_columns(person=people).explode("person").filter(pl.col("person") != "")
    return rows.unique(["place", "person"], keep="first", maintain_order=True)


@derived
def _teams(book: Book) -> dict[str, list[str]]:
    """Team → its owners (people.csv), in order."""
    teams: dict[str, list[str]] = {}
    for row in book.inputs.rows("people") or ():
        if row["team"] is not None:
            teams.setdefault(row["team"], []).append(_owner(book, row))
    return dict(sorted(teams.items()))


@kpi("presentations_to_hcps", number=68, grain="team, owner", units="count", kind="leading", write_back="U", needs=("people",), rests_on="none",
     source=f"at least 1 per team and quarter, 20 points ({MEDICAL_DEVICE})")  # fmt: skip
def presentations_to_hcps(book: Book) -> Iterator[Row]:
    """Held presentations to health-care professionals in the current fiscal quarter. n: presentations.

    By team of people.csv: one that several of a team held, as organiser or participants, counts once for it; one that two teams shared
    counts for both. By owner: the organiser's. A presentation is a held meeting that the mapping gives the topic presentation.

    >>> from connector.kpis.example import example
    >>> shared = dict(id="a1", kind="meeting", topic="presentation", on="2027-01-21", outcome="held", owner="R1", participants=["R2"])
    >>> people = [{"owner_key": "R1", "team": "east"}, {"owner_key": "R2", "team": "east"}]
    >>> example().add("activities", **shared).file("people", *people).show("presentations_to_hcps", subject="team=east")
    '1 count, n=1'
    """
    window = book.windows.quarter
    held = _on(book, "presentation", window)
    present = _present(held)
    for team, members in _teams(book).items():
        mine = present.filter(pl.col("person").is_in(members)).unique("place", keep="first", maintain_order=True)
        yield count(f"team={team}", window.label, mine.height, evidence=_of_activities(mine, "on", "person", organiser="owner"))
    for owner, mine in _each(book, held):
        yield count(f"owner={owner}", window.label, mine.height, evidence=_of_activities(mine, "on", organiser="owner"))


@kpi("hcp_workshops", number=69, grain="owner", units="count", kind="leading", write_back="U", rests_on="none", of_deals=False,
     source=f"at least 1 per quarter, 50 points ({MEDICAL_DEVICE})")  # fmt: skip
def hcp_workshops(book: Book) -> Iterator[Row]:
    """Held workshops of the current fiscal quarter, credited to the organiser and to every participant, once each. n: workshops.

    A workshop is a held meeting that the mapping gives the topic workshop.

    >>> from connector.kpis.example import example
    >>> joint = dict(id="a1", kind="meeting", topic="workshop", on="2027-02-02", outcome="held", owner="R1", participants=["R2"])
    >>> example().add("activities", **joint).show("hcp_workshops", subject="owner=R2")
    '1 count, n=1'
    """
    window = book.windows.quarter
    for owner, mine in _each(book, _present(_on(book, "workshop", window)), "person"):
        yield count(f"owner={owner}", window.label, mine.height, evidence=_of_activities(mine, "on", "person", organiser="owner"))


@kpi("meetings_held", number=70, grain="owner", units="count", kind="leading", write_back="U", rests_on="none", of_deals=False,
     source=f"5 per week, 10 points each ({MEDICAL_DEVICE})")  # fmt: skip
def meetings_held(book: Book) -> Iterator[Row]:
    """Held meetings of the last complete ISO week, with or without a deal, by their owner; presentations and workshops are counted apart.

    A meeting linked to several deals counts once. Without an outcome it is not held. n: meetings.

    >>> from connector.kpis.example import example
    >>> meeting = dict(id="a1", kind="meeting", on="2027-02-10", outcome="held", owner="R1")
    >>> example().add("activities", **meeting).show("meetings_held", subject="owner=R1")
    '1 count, n=1'
    """
    for window in book.windows.weeks:
        for owner, mine in _each(book, _other(book, window)):
            yield count(f"owner={owner}", window.label, mine.height, evidence=_of_activities(mine, "on", deal="opportunity", customer="account"))


@derived
def _follow_ups(book: Book) -> pl.DataFrame:
    """Follow-up tasks due in the current fiscal quarter and by today, each once; ``on_time``: completed by now, within the tolerance of the day."""
    tolerance = book.settings.thresholds.followup_tolerance_days
    due = (pl.col("kind") == "task") & (pl.col("topic") == "follow_up") & book.windows.quarter.covers("due_on") & (pl.col("due_on") <= book.today)
    tasks = book.activities.filter(due).filter(pl.col("id").is_null() | pl.col("id").is_first_distinct())
    off = (pl.col("completed_on") - pl.col("due_on")).dt.total_days().abs()
    return tasks.with_columns(on_time=((pl.col("completed_on") <= book.today) & (off <= tolerance)).fill_null(False))


@kpi("hcp_followup_on_time_rate", number=71, grain="owner, company", units="ratio", kind="leading", write_back="U", rests_on="none", of_deals=False,
     source=f"100 %, 10 points each ({MEDICAL_DEVICE})")  # fmt: skip
def hcp_followup_on_time_rate(book: Book) -> Iterator[Row]:
    """Follow-up tasks completed on the day they were due ÷ those due so far, of the current fiscal quarter. n: tasks due.

    On the day: at most ``thresholds.followup_tolerance_days`` before or after it. What is due today and open is not on time yet. The due
    date is the one the CRM shows: where it was moved, the later day counts. A follow-up is a task that the mapping gives that topic.

    >>> from connector.kpis.example import example
    >>> task = dict(kind="task", topic="follow_up", owner="R1", due_on="2027-02-01")
    >>> company = example().add("activities", id="a1", completed_on="2027-02-01", **task)
    >>> company.add("activities", id="a2", completed_on="2027-02-03", **task).show("hcp_followup_on_time_rate", subject="owner=R1")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    """
    window, tasks = book.windows.quarter, _follow_ups(book)
    for subject, mine in [("company", tasks), *((f"owner={owner}", mine) for owner, mine in _each(book, tasks))]:
        told = _of_activities(mine, "due_on", "completed_on", "on_time", rep="owner")
        yield rate(subject, window.label, int(mine["on_time"].sum()), mine.height, evidence=told)


# -- knowledge and skill ------------------------------------------------------------------------------------------


@kpi("knowledge_quotient", number=72, grain="owner", units="ratio", kind="leading", write_back="U", needs=("lms",), rests_on="none",
     source=f"all correct, 2 points each ({MEDICAL_DEVICE})")  # fmt: skip
def knowledge_quotient(book: Book) -> Iterator[Row]:
    """Quiz questions answered correctly ÷ asked, in the current fiscal quarter. n: questions.

    >>> from connector.kpis.example import example
    >>> example().file("lms", {"owner_key": "R1", "date": "2027-01-11", "correct": 9, "asked": 10}).show("knowledge_quotient", subject="owner=R1")
    '0.9 ratio, n=10, 0.60–0.98'
    """
    window = book.windows.quarter
    lines = _lines(book, "lms", window, "date")
    if lines is None:
        yield from (missing(f"owner={owner}", window.label) for owner in book.owners["id"])
        return
    for owner, mine in _owned(book, lines):
        correct, asked = sum(line["correct"] for line in mine), sum(line["asked"] for line in mine)
        yield rate(f"owner={owner}", window.label, correct, asked, evidence=of_inputs(mine, "date", "topic", "correct", "asked"))


def _videos(book: Book) -> Lines | None:
    """Coaching videos that were submitted in the current fiscal quarter."""
    lines = _lines(book, "coaching", book.windows.quarter, "date")
    return None if lines is None else [line for line in lines if line["submitted"]]


def _skill(book: Book, video: Mapping[str, Any]) -> int:
    worth = book.settings.points
    articulated, best = worth.video_articulation if video["good_articulation"] else 0, worth.video_best if video["best"] else 0
    return worth.video_submitted + articulated + best


@kpi("sales_conversation_skill_score", number=73, grain="owner", units="points", kind="leading", write_back="U", needs=("coaching",),
     rests_on="none", source=f"50, 200, 300 points, every 15 days ({MEDICAL_DEVICE})")  # fmt: skip
def sales_conversation_skill_score(book: Book) -> Iterator[Row]:
    """Points of the coaching videos submitted in the current fiscal quarter: for each, and more for good articulation and for the best.

    ``points.video_submitted``, ``video_articulation`` and ``video_best`` add up (50, 200, 300). n: videos submitted; without any 0.

    >>> from connector.kpis.example import example
    >>> video = {"owner_key": "R1", "date": "2027-01-15", "submitted": True, "good_articulation": True}
    >>> example().file("coaching", video).show("sales_conversation_skill_score", subject="owner=R1")
    '250 points, n=1'
    """
    window, videos = book.windows.quarter, _videos(book)
    if videos is None:
        yield from (missing(f"owner={owner}", window.label, small=False) for owner in book.owners["id"])
        return
    for owner, mine in _owned(book, videos):
        told = of_inputs(mine, "date", "submitted", "good_articulation", "best")
        yield Row(f"owner={owner}", window.label, sum(_skill(book, video) for video in mine), len(mine), evidence=told)


# -- points -------------------------------------------------------------------------------------------------------


@derived
def points(book: Book) -> dict[str, pl.DataFrame] | None:
    """Owner → what earned points in the current fiscal quarter: activity or input, part, points. None without lms.csv or coaching.csv.

    Parts: presentations, workshops, meetings, follow_ups, quiz, videos.
    """
    window, worth = book.windows.quarter, book.settings.points
    quiz, videos = _lines(book, "lms", window, "date"), _videos(book)
    if quiz is None or videos is None:
        return None
    activities = {
        "presentations": (dict(_each(book, _on(book, "presentation", window))), worth.presentation),
        "workshops": (dict(_each(book, _present(_on(book, "workshop", window)), "person")), worth.workshop),
        "meetings": (dict(_each(book, _other(book, window))), worth.meeting),
        "follow_ups": (dict(_each(book, _follow_ups(book).filter("on_time"))), worth.followup_on_time),
    }
    answered, filmed = dict(_owned(book, quiz)), dict(_owned(book, videos))
    sheets: dict[str, pl.DataFrame] = {}
    for owner in book.owners["id"]:
        frames = [
            _of_activities(mine[owner]).with_columns(part=pl.lit(part), points=pl.lit(each, dtype=pl.Int64))
            for part, (mine, each) in activities.items()
        ]
        frames.append(_earned(answered[owner], "quiz", [line["correct"] * worth.quiz_correct for line in answered[owner]]))
        frames.append(_earned(filmed[owner], "videos", [_skill(book, video) for video in filmed[owner]]))
        earned = together(frames)
        assert earned is not None
        sheets[owner] = earned
    return sheets


def _earned(lines: Lines, part: str, worth: list[int]) -> pl.DataFrame:
    return of_inputs(lines, "date").select("input").with_columns(pl.lit(part).alias("part"), pl.Series("points", worth, dtype=pl.Int64))


@kpi("gamification_points", number=74, grain="owner", units="points", kind="leading", write_back="U; off by default", needs=("lms", "coaching"),
     rests_on="none", counted=False,
     source=f"points per KPI ({MEDICAL_DEVICE}); counting activity is a trap ({MEDTECH})")  # fmt: skip
def gamification_points(book: Book) -> Iterator[Row]:
    """What a rep did in the current fiscal quarter, weighted by ``points``.

    Presentations organised, workshops, held meetings (of the whole quarter), follow-ups on time, correct quiz answers and coaching videos,
    each as its own KPI counts it. Counting activity is a trap: points say nothing of outcomes, so no preset has them, and the leaderboard
    made of them is off unless ``programme.leaderboard`` is true. Unlike things are added: there is no n.

    >>> from connector.kpis.example import example
    >>> company = example().file("coaching").file("lms", {"owner_key": "R1", "date": "2027-01-11", "correct": 9, "asked": 10})
    >>> company.add("activities", id="a1", kind="meeting", on="2027-02-10", outcome="held", owner="R1").measure(
    ...     "gamification_points", subject="owner=R1").value
    28
    """
    window, earned = book.windows.quarter, points(book)
    for owner in book.owners["id"]:
        if earned is None:
            yield missing(f"owner={owner}", window.label, small=False)
        else:
            yield Row(f"owner={owner}", window.label, int(earned[owner]["points"].sum()), earned[owner].height, evidence=earned[owner])
