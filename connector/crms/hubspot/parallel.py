"""A few calls at once, answers in the order asked: what keeps the token bucket full while each answer takes its time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from connector.errors import TooLarge

Q = TypeVar("Q")
A = TypeVar("A")


def in_order(questions: Sequence[Q], ask: Callable[[Q], A], at_once: int) -> list[A]:
    """``ask`` for every question, at most so many under way; answers by place. One question, or one at once: no threads.

    A failure ends it: what has not begun is not asked, what is under way is waited for, and of several failures the first
    question's is raised.
    """
    if min(len(questions), at_once) <= 1:
        return [ask(question) for question in questions]
    over = threading.Event()

    def asked(question: Q) -> A:
        if over.is_set():
            raise CancelledError
        try:
            return ask(question)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(min(len(questions), at_once), thread_name_prefix="hubspot") as pool:
        waiting = [pool.submit(copy_context().run, asked, question) for question in questions]  # log lines keep what is bound to them
        try:
            failures = [one.exception() for one in waiting]
        except BaseException:  # somebody interrupts the wait
            over.set()
            raise
    for failure in failures:
        if failure is not None and not isinstance(failure, CancelledError):
            raise failure
    return [one.result() for one in waiting]


def in_pieces(ids: Sequence[str], size: int, ask: Callable[[Sequence[str]], Iterable[A]], at_once: int) -> list[A]:
    """``ask`` for every piece of the ids, in their order; a piece that is too large for the CRM is halved. Raises TooLarge for one id."""

    def told(piece: Sequence[str]) -> list[A] | TooLarge:
        try:
            return list(ask(piece))
        except TooLarge as error:
            return error

    pieces = [ids[start : start + size] for start in range(0, len(ids), size)]
    found: list[A] = []
    for piece, answer in zip(pieces, in_order(pieces, told, at_once), strict=True):
        if not isinstance(answer, TooLarge):
            found += answer
        elif len(piece) == 1:
            raise answer
        else:
            found += in_pieces(piece, (len(piece) + 1) // 2, ask, at_once)
    return found
