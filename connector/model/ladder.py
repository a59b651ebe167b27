"""mappings/stages.yaml as values: the ladder of canonical stages, the gates beside it, what each segment requires."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["sequential", "gate", "won", "lost", "no_decision", "void", "parked", "post_sale"]
StageClass = Literal["open", "won", "lost", "no_decision", "void"]
CLASS_OF_KIND: dict[str, StageClass] = {
    "sequential": "open", "gate": "open", "parked": "open",
    "won": "won", "post_sale": "won", "lost": "lost", "no_decision": "no_decision", "void": "void",
}  # fmt: skip


class Strict(BaseModel):
    """Unknown keys are errors; values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rung(Strict):
    """One canonical stage. Its rank is its place among the sequential and gate rungs of the file."""

    key: str
    label: str
    kind: Kind
    probability: float | None = None
    gate: str | None = None


class Gate(Strict):
    """One gate track: who holds it, and whether it counts as compliance."""

    key: str
    label: str
    held_by: tuple[str, ...] = ()
    compliance: bool = False


class Required(Strict):
    """What a segment's deals must pass."""

    stages: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()


class Ladder(Strict):
    """The whole of mappings/stages.yaml."""

    version: int = 1
    ladder: tuple[Rung, ...]
    gates: tuple[Gate, ...] = ()
    required: dict[str, Required] = Field(default_factory=dict)

    @cached_property
    def rungs(self) -> dict[str, Rung]:
        return {rung.key: rung for rung in self.ladder}

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Rank of every sequential and gate rung, by key; other kinds have none."""
        ranked = [rung.key for rung in self.ladder if rung.kind in ("sequential", "gate")]
        return {key: rank for rank, key in enumerate(ranked)}

    @cached_property
    def gate_by_key(self) -> dict[str, Gate]:
        return {gate.key: gate for gate in self.gates}

    def stage_class(self, key: str | None) -> StageClass:
        """``open`` for an unmapped stage (None), else the class of the rung's kind."""
        return "open" if key is None else CLASS_OF_KIND[self.rungs[key].kind]

    def label(self, key: str) -> str:
        return self.rungs[key].label
