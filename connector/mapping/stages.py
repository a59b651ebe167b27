"""Native stages, inside their pipeline, as canonical ones; and what the CRM has that the mapping does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connector.crms.base import Pipeline, Stage
from connector.errors import Finding, Severity
from connector.mapping import names
from connector.mapping.schema import CrmMapping, StageSet
from connector.mapping.source import Path_, path_text
from connector.model.ladder import Ladder

OpenDeals = Mapping[tuple[str, str], int]
"""(native pipeline, stage id) → number of open deals."""


class StageMap:
    """Keyed by identity: (record type or pipeline id, stage ApiName or id)."""

    def __init__(self, mapping: CrmMapping, ladder: Ladder) -> None:
        self._mapping = mapping
        self._ladder = ladder
        self._pipelines = mapping.pipeline_names

    def pipeline(self, native: str | None) -> str | None:
        """The mapping's own name of a native pipeline; None if it is ignored or unknown. None (no record type) is ``Master``."""
        return self._pipelines.get(native or "Master")

    def canonical(self, native_pipeline: str | None, raw_stage: str | None) -> str | None:
        """The canonical stage, live or retired; None for an unmapped or ignored one."""
        stages = self._stages(native_pipeline)
        if stages is None or raw_stage is None:
            return None
        return stages.live.get(raw_stage) or stages.retired.get(raw_stage)

    def ignored(self, native_pipeline: str | None, raw_stage: str | None = None) -> bool:
        """True for an ignored pipeline, or an ignored stage of a mapped one."""
        if (native_pipeline or "Master") in self._mapping.ignored_pipelines:
            return True
        stages = self._stages(native_pipeline)
        return stages is not None and raw_stage in stages.ignored

    def _stages(self, native_pipeline: str | None) -> StageSet | None:
        name = self.pipeline(native_pipeline)
        return self._mapping.stages.get(name) if name is not None else None

    def unmapped(self, pipelines: Iterable[Pipeline], open_deals: OpenDeals | None = None) -> list[Finding]:
        """SC-E024: every active pipeline and stage of the CRM that is neither mapped nor ignored, with its open deals."""
        counts = open_deals or {}
        found: list[Finding] = []
        for pipeline in pipelines:
            if not pipeline.active or pipeline.id in self._mapping.ignored_pipelines:
                continue
            name = self.pipeline(pipeline.id)
            if name is None:
                total = sum(n for (native, _), n in counts.items() if native == pipeline.id)
                label = "" if pipeline.label == pipeline.id else f' ("{pipeline.label}")'
                message = f"pipeline {pipeline.id}{label} is live ({_deals(total)}) and not mapped"
                where: Path_ = ("opportunities", "pipelines")
                found.append(self._finding("SC-E024", message, where, "add it under opportunities.pipelines, or {ignore: reason}"))
                continue
            for stage in pipeline.stages:
                if stage.active and not self.ignored(pipeline.id, stage.id) and not self._is_live(name, stage.id):
                    label = "" if stage.label == stage.id else f' ("{stage.label}")'
                    number = counts.get((pipeline.id, stage.id), 0)
                    message = f'stage "{stage.id}"{label} is live in pipeline {name} ({_deals(number)}) and not mapped'
                    step = f"add it under stages.{name}.live, or to ignore with a reason"
                    found.append(self._finding("SC-E024", message, ("stages", name, "live"), step))
        return found

    def _is_live(self, name: str, stage: str) -> bool:
        stages = self._mapping.stages.get(name)
        return stages is not None and stage in stages.live

    def absent(self, pipelines: Iterable[Pipeline]) -> list[Finding]:
        """SC-E023: what the mapping names and the CRM does not have, or no longer offers."""
        live = {pipeline.id: pipeline for pipeline in pipelines}
        found: list[Finding] = []
        for native in self._mapping.opportunities.pipelines:
            if native not in live:
                path: Path_ = ("opportunities", "pipelines", native)
                near = names.nearest(native, live)
                severity: Severity = "warning" if native in self._mapping.ignored_pipelines else "error"
                message = f'"{native}" is no pipeline of the CRM'
                found.append(self._finding("SC-E023", message, path, None, key=True, near=near, severity=severity))
        for native, name in self._pipelines.items():
            if native in live and name in self._mapping.stages:
                found += self._absent_stages(live[native], name, live)
        return list(dict.fromkeys(found))

    def _absent_stages(self, pipeline: Pipeline, name: str, live: Mapping[str, Pipeline]) -> Iterable[Finding]:
        offered = {stage.id for stage in pipeline.stages if stage.active}
        sharing = [live[other] for other, same in self._pipelines.items() if same == name and other in live]
        anywhere = {stage.id for other in sharing for stage in other.stages if stage.active}
        known = {stage.id for other in sharing for stage in other.stages}
        stages = self._mapping.stages[name]
        for part, entries in (("live", stages.live), ("ignore", stages.ignored)):
            for stage in entries:
                if stage in anywhere or (part == "ignore" and stage in known):
                    continue
                path: Path_ = ("stages", name, part, stage)
                if part == "ignore" and isinstance(stages.ignore, tuple):
                    path = ("stages", name, part, stages.ignore.index(stage))
                gone = "is no longer a stage" if stage in known else "is not a stage"
                near = None if stage in known else names.nearest(stage, offered)
                step = "move it under retired" if stage in known and part == "live" else None
                message = f'"{stage}" {gone} of {pipeline.id}'
                severity: Severity = "warning" if part == "ignore" else "error"
                yield self._finding("SC-E023", message, path, step, key=True, near=near, shown=path[:3], severity=severity)

    def contradictions(self, pipelines: Iterable[Pipeline]) -> list[Finding]:
        """SC-E026, as warnings: won with less than 100 %, lost with more than 0, open with 100, and the CRM's own closed and won flags."""
        found: dict[Finding, None] = {}
        for pipeline in pipelines:
            name = self.pipeline(pipeline.id)
            for stage in pipeline.stages:
                key = self.canonical(pipeline.id, stage.id)
                if name is None or key is None or not stage.active:
                    continue
                problem = _contradiction(self._ladder, key, stage)
                if problem:
                    path: Path_ = ("stages", name, "live", stage.id)
                    message = f'"{stage.id}" is mapped to {key}, but {problem}'
                    found[self._finding("SC-E026", message, path, None, shown=path[:3], severity="warning")] = None
        return list(found)

    def _finding(
        self, code: str, message: str, path: Path_, step: str | None, *, key: bool = False, near: tuple[str, int] | None = None,
        shown: Path_ | None = None, severity: Severity = "error",
    ) -> Finding:  # fmt: skip
        source = self._mapping.source
        if source is not None:
            return source.finding(code, message, path, key=key, shown=shown, near=near, severity=severity, next=step)
        return Finding(
            code, message, severity, path=path_text(shown or path), suggestion=near[0] if near else None, score=near[1] if near else None, next=step
        )


def _deals(number: int) -> str:
    return f"{number} open deal" if number == 1 else f"{number:,} open deals"


def _contradiction(ladder: Ladder, key: str, stage: Stage) -> str | None:
    """What the CRM says of a stage that its canonical class does not, in words; None if they agree."""
    kind, odds = ladder.stage_class(key), stage.probability
    percent = None if odds is None else f"{odds * 100:g} %"
    if kind == "won":
        if not (stage.closed and stage.won):
            return "the CRM does not count it as won"
        return f"its probability is {percent}" if odds is not None and odds < 1 else None
    if kind in ("lost", "no_decision"):
        if stage.won:
            return "the CRM counts it as won"
        if not stage.closed:
            return "the CRM counts it as open"
        return f"its probability is {percent}" if odds is not None and odds > 0 else None
    if kind == "open":
        if stage.closed:
            return "the CRM counts it as closed"
        return f"its probability is {percent}" if odds is not None and odds >= 1 else None
    return None
