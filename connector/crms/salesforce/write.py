"""Writing: collections of up to 200 records, or a Bulk job for very many; one result for each, whatever becomes of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import orjson

from connector.clock import Clock
from connector.crms import retry
from connector.crms.base import Update, WriteResult
from connector.crms.manifest import Manifest, refuse_outside
from connector.crms.salesforce import soql
from connector.crms.salesforce.bulk import JobLost
from connector.crms.salesforce.faults import DEAD_LETTERS, GONE, GOVERNOR, Problem, problems
from connector.crms.salesforce.ingest import JOB_CALLS, Ingest, fits
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.transport import Client
from connector.errors import (
    AuthenticationError,
    BudgetReached,
    ConnectorError,
    CrmConfigError,
    MissingScope,
    TooLarge,
    Transient,
)

LOCK_TRIES = 3
LOCK = "UNABLE_TO_LOCK_ROW"
NO_RIGHT_TO_TYPE = "entity type cannot be"
"""… inserted, updated: the user may not, whatever the record; the code alone is that of a failed trigger too."""
Outcome = tuple[Update, Problem | None, str | None]
Answered = tuple[Update, WriteResult]


class Writer:
    """The write side of one connection. The batch size falls on locks and governor errors and stays low for the rest of the run."""

    def __init__(self, client: Client, clock: Clock, settings: SalesforceSettings, manifest: Manifest) -> None:
        self._client = client
        self._clock = clock
        self._manifest = manifest
        self._size = settings.write_batch
        self._bulk_above = settings.bulk_write_above
        self._ingest = Ingest(client, settings)

    def write(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        """See Crm.write. The check against the manifest is made here, at the call, before the first result is asked for."""
        refuse_outside(self._manifest, updates)
        return self._results([replace(update) for update in in_order(updates)])

    def cost(self, updates: int) -> int:
        """Calls of one :meth:`write`, where nothing is refused."""
        bulk = self._bulk_above is not None and updates > self._bulk_above
        return JOB_CALLS if bulk else ceil(updates / self._size)

    def _results(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        open_ = {id(update): update for update in updates}
        try:
            for update, result in self._answers(list(updates)):
                del open_[id(update)]
                yield result
        except (BudgetReached, Transient) as stop:
            # Nothing more gets through now; setting absolute values again later does no harm.
            yield from (_deferred(update, stop) for update in open_.values())
        except (AuthenticationError, MissingScope) as stop:
            yield from (_deferred(update, stop) for update in open_.values())
            raise

    def _answers(self, waiting: list[Update]) -> Iterator[Answered]:
        """Bulk where there are very many (what is made and removed is never so much), then batch by batch, then what was locked, each alone."""
        if self._bulk_above is not None and len(waiting) > self._bulk_above and all(update.action == "update" for update in waiting):
            waiting = yield from self._in_bulk(waiting)
        locked: list[Update] = []
        while waiting:
            batch = self._next(waiting)
            del waiting[: len(batch)]
            yield from self._batch(batch, locked)
        for update in locked:
            yield update, self._alone(update)

    def _in_bulk(self, updates: Sequence[Update]) -> Generator[Answered, None, list[Update]]:
        """What a job settles; returns what is left for collections: locked and failed ones that a smaller batch may bring through, second
        updates of a record, and everything where the org takes no job."""
        first: dict[tuple[str, str], Update] = {}
        rest: list[Update] = []
        for update in updates:
            key = (update.object, soql.to18(update.id))
            if key not in first and update.values and fits(update):
                first[key] = update
            else:
                rest.append(update)
        for object_ in dict.fromkeys(object_ for object_, _ in first):
            mine = [update for (of, _), update in first.items() if of == object_]
            try:
                found = self._ingest.update(mine)
            except JobLost:
                rest += mine
                continue
            for update, problem in found.done:
                if problem and (problem.code == LOCK or GOVERNOR.search(problem.message)):
                    rest.append(update)
                else:
                    yield update, _result(update, problem)
            rest += found.left
        return in_order(rest)

    def _next(self, waiting: Sequence[Update]) -> Sequence[Update]:
        """The next batch: of one kind, and never the same record twice, since Salesforce refuses that."""
        seen: set[tuple[str, str]] = set()
        for count, update in enumerate(waiting[: self._size]):
            key = (update.object, _identity(update))
            if key in seen or _way(update) != _way(waiting[0]):
                return waiting[:count]
            seen.add(key)
        return waiting[: self._size]

    def _batch(self, batch: Sequence[Update], locked: list[Update]) -> Iterator[Answered]:
        """The results of one batch, without those that go to ``locked``, whose turn comes at the end.

        Raises BudgetReached, Transient, AuthenticationError, MissingScope when nothing more gets through."""
        yield from ((update, WriteResult(update.id, "written")) for update in batch if update.action == "update" and not update.values)
        sent = [update for update in batch if update.action != "update" or update.values]
        if not sent:
            return
        try:
            outcomes = self._send(sent)
        except TooLarge as error:
            yield from self._smaller(sent, Problem("TOO_LARGE", error.message), len(sent), locked)
            return
        except CrmConfigError as error:
            yield from self._refused(sent, error, locked)
            return
        again: list[tuple[Update, Problem]] = []
        for update, problem, made in outcomes:
            if problem and GOVERNOR.search(problem.message):
                again.append((update, problem))
            elif problem and problem.code == LOCK:
                locked.append(update)
                self._size = min(self._size, max(1, len(sent) // 2))
            else:
                yield update, _result(update, problem, made)
        if again:
            yield from self._smaller([update for update, _ in again], again[0][1], len(sent), locked)

    def _send(self, batch: Sequence[Update]) -> list[Outcome]:
        """Every update with its problem, or None where it was written, and the id of what was made. Matched by position: a refused row carries
        no id."""
        answer = self._answer(batch)
        if not isinstance(answer, list) or len(answer) != len(batch) or not all(isinstance(row, dict) for row in answer):
            raise Transient(f"{len(batch)} updates were sent and not answered one by one")
        return [(update, _problem(update, row), _made(update, row)) for update, row in zip(batch, answer, strict=True)]

    def _answer(self, batch: Sequence[Update]) -> Any:
        """Updates by id; what is made goes by its key, so that a lost answer makes nothing twice; what is removed by id."""
        action, object_, key_field = _way(batch[0])
        if action == "remove":
            ids = ",".join(update.id for update in batch)
            return self._client.json("DELETE", "composite/sobjects", writing=True, params={"ids": ids, "allOrNone": "false"})
        path = "composite/sobjects"
        named = "id"
        if action == "create":
            assert key_field is not None
            path, named = f"{path}/{soql.name(object_)}/{soql.name(key_field)}", key_field
        records = [{"attributes": {"type": soql.name(u.object)}, named: u.id, **u.values} for u in batch]
        return self._client.json("PATCH", path, writing=True, data=orjson.dumps({"allOrNone": False, "records": records}))

    def _smaller(self, batch: Sequence[Update], problem: Problem, size: int, locked: list[Update]) -> Iterator[Answered]:
        """The same updates in batches of half the size, and none larger for the rest of the run."""
        if size == 1:
            yield batch[0], _result(batch[0], problem)
            return
        self._size = min(self._size, max(1, size // 2))
        start = 0
        while start < len(batch):
            part = batch[start : start + self._size]
            yield from self._batch(part, locked)
            start += len(part)

    def _refused(self, batch: Sequence[Update], error: ConnectorError, locked: list[Update]) -> Iterator[Answered]:
        """The call as a whole was refused, so nothing of it was written: leave out whose field it names, else find the one by halving."""
        code, _, message = error.message.partition(": ")
        problem = Problem(code, message)
        named = [update for update in batch if any(f"'{field}'" in message or field in message.split() for field in update.values)]
        if len(batch) == 1 or len(named) == len(batch):
            yield from ((update, _result(update, problem)) for update in batch)
        elif named:
            yield from ((update, _result(update, problem)) for update in named)
            yield from self._batch([update for update in batch if update not in named], locked)
        else:
            middle = len(batch) // 2
            yield from self._batch(batch[:middle], locked)
            yield from self._batch(batch[middle:], locked)

    def _alone(self, update: Update) -> WriteResult:
        """A locked record once more by itself, three times, with waits between."""

        def attempt() -> WriteResult:
            try:
                [(_, problem, made)] = self._send([update])
            except (BudgetReached, Transient) as stop:
                return _deferred(update, stop)  # the client has tried that often enough
            if problem and problem.code == LOCK:
                raise _Locked(problem)
            return _result(update, problem, made)

        try:
            result: WriteResult = retry.policy(self._clock.sleep, attempts=LOCK_TRIES)(attempt)
        except _Locked as locked:
            return _result(update, locked.problem)
        return result


class _Locked(Transient):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def in_order(updates: Sequence[Update]) -> list[Update]:
    """Records that share an account side by side, since Salesforce locks the account; a second update of a record after the first."""
    turn: Counter[tuple[str, str]] = Counter()
    keyed = []
    for update in updates:
        key = (update.object, _identity(update))
        keyed.append(((turn[key], update.object, update.action, update.group or "", update.id), update))
        turn[key] += 1
    return [update for _, update in sorted(keyed, key=lambda pair: pair[0])]


def _way(update: Update) -> tuple[str, str, str | None]:
    """What the updates of one call have in common."""
    return update.action, update.object, update.key_field


def _identity(update: Update) -> str:
    return update.id if update.action == "create" else soql.to18(update.id)


def _made(update: Update, row: Any) -> str | None:
    return soql.to18(str(row["id"])) if update.action == "create" and row.get("success") else None


def _problem(update: Update, row: Any) -> Problem | None:
    if row.get("success"):
        if update.action == "create":
            return None
        if soql.to18(str(row.get("id"))) != soql.to18(update.id):
            raise Transient("an update was answered with the id of another record")
        return None
    found = problems(row.get("errors") or [])
    return found[0] if found else Problem("UNKNOWN_EXCEPTION", "refused without a reason")


def _result(update: Update, problem: Problem | None, made: str | None = None) -> WriteResult:
    if problem is None or (update.action == "remove" and problem.code in GONE):
        return WriteResult(update.id, "written", made=made)
    message = _masked(problem.message, update)
    if problem.code in GONE:
        return WriteResult(update.id, "gone", "SC-E128", problem.code, message)
    if problem.code == "REQUEST_LIMIT_EXCEEDED":
        return WriteResult(update.id, "deferred", "SC-E078", problem.code, message)
    code = "SC-E153" if NO_RIGHT_TO_TYPE in problem.message else DEAD_LETTERS.get(problem.code, "SC-E129")
    return WriteResult(update.id, "rejected", code, problem.code, message)


def _deferred(update: Update, error: ConnectorError) -> WriteResult:
    return WriteResult(update.id, "deferred", error.code, None, error.message)


def _masked(message: str, update: Update) -> str:
    """The org's own words without the values that were sent."""
    for value in sorted((str(v) for v in update.values.values() if isinstance(v, str) and v), key=len, reverse=True):
        message = message.replace(value, "…")
    return message
