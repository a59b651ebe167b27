"""The sandbox's own errors: it may not use the connector's."""

from __future__ import annotations


class SandboxError(Exception):
    """``message`` says what is wrong, ``next_step`` what to do about it, ``details`` more lines (places in files, a log's tail)."""

    def __init__(self, message: str, next_step: str = "", details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.details = details

    def __str__(self) -> str:
        lines = [self.message, *(f"  {line}" for line in self.details)]
        if self.next_step:
            lines.append(f"  → {self.next_step}")
        return "\n".join(lines)
