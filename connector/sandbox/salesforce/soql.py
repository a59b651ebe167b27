"""The text of a SOQL query → its parts. What names mean is the business of query.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError

GRAMMAR = r"""
query: _SELECT items _FROM PATH [alias] [where] [group] [order] [limit] [offset]
items: item ("," item)*
?item: PATH -> plain
    | PATH "(" [PATH] ")" [PATH] -> call
    | "(" query ")" -> nested
    | _TYPEOF PATH when+ [_ELSE names] _END -> typeof
when: _WHEN PATH _THEN names
names: PATH ("," PATH)*
alias: [_AS] PATH
where: _WHERE condition
?condition: unary | unary (_AND unary)+ -> all_of | unary (_OR unary)+ -> any_of
?unary: _NOT unary -> negation | "(" condition ")" | comparison
?comparison: PATH OPERATOR literal -> compare
    | PATH _LIKE STRING -> like
    | PATH _IN literals -> within
    | PATH _NOT _IN literals -> without
    | PATH _INCLUDES literals -> includes
    | PATH _EXCLUDES literals -> excludes
literals: "(" literal ("," literal)* ")"
?literal: STRING -> string | NUMBER -> number | DATETIME -> instant | DATE -> day | TRUE -> true | FALSE -> false | NULL -> null
group: _GROUP PATH ("," PATH)*
order: _ORDER sort ("," sort)*
sort: PATH [DIRECTION] [NULLS]
limit: _LIMIT NUMBER
offset: _OFFSET NUMBER

_TYPEOF.3: /typeof\b/i
_WHEN.3: /when\b/i
_THEN.3: /then\b/i
_ELSE.3: /else\b/i
_END.3: /end\b/i
_SELECT.3: /select\b/i
_FROM.3: /from\b/i
_WHERE.3: /where\b/i
_AND.3: /and\b/i
_OR.3: /or\b/i
_NOT.3: /not\b/i
_LIKE.3: /like\b/i
_IN.3: /in\b/i
_INCLUDES.3: /includes\b/i
_EXCLUDES.3: /excludes\b/i
_GROUP.3: /group\s+by\b/i
_ORDER.3: /order\s+by\b/i
_LIMIT.3: /limit\b/i
_OFFSET.3: /offset\b/i
_AS.3: /as\b/i
TRUE.3: /true\b/i
FALSE.3: /false\b/i
NULL.3: /null\b/i
DIRECTION.3: /(asc|desc)\b/i
NULLS.3: /nulls\s+(first|last)\b/i
OPERATOR: "!=" | "<>" | "<=" | ">=" | "=" | "<" | ">"
STRING: /'(\\.|[^'\\])*'/s
DATETIME.2: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)/
DATE.1: /\d{4}-\d\d-\d\d/
NUMBER: /[+-]?\d+(\.\d+)?/
PATH: /[A-Za-z]\w*(\.[A-Za-z]\w*)*/
%ignore /\s+/
"""
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


class SoqlError(Exception):
    """A query that the org refuses. ``code`` is the errorCode of the answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Name:
    """A field path or object name with its place in the text (from 1)."""

    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Constant:
    """``kind`` string | number | datetime | date | boolean | null; a string still carries its wildcards for LIKE."""

    kind: Literal["string", "number", "datetime", "date", "boolean", "null"]
    value: Any


@dataclass(frozen=True, slots=True)
class Compare:
    """``operator``: = != < <= > >= like in not_in includes excludes."""

    field: Name
    operator: str
    values: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Combine:
    """``operator``: and | or | not."""

    operator: str
    parts: tuple[Condition, ...]


Condition = Compare | Combine


@dataclass(frozen=True, slots=True)
class Call:
    function: Name
    field: Name | None
    alias: str | None


@dataclass(frozen=True, slots=True)
class TypeOf:
    """``TYPEOF What WHEN Account THEN Name ELSE Id END``: which fields of a parent, by its object. ``other``: for any other object."""

    field: Name
    cases: tuple[tuple[Name, tuple[Name, ...]], ...]
    other: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    field: Name
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Query:
    items: tuple[Name | Call | Query | TypeOf, ...]
    source: Name
    alias: str | None
    where: Condition | None
    group: tuple[Name, ...]
    order: tuple[Sort, ...]
    limit: int | None
    offset: int | None


def parse(text: str) -> Query:
    """The parts of a query. Raises SoqlError MALFORMED_QUERY with the caret drawing."""
    try:
        tree = _PARSER.parse(text)
    except UnexpectedInput as problem:
        raise SoqlError("MALFORMED_QUERY", _explain(text, problem)) from None
    try:
        found = _Build().transform(tree)
    except VisitError as problem:
        raise problem.orig_exc from None
    assert isinstance(found, Query)
    return found


def drawing(text: str, line: int, column: int, message: str) -> str:
    """An error as the API words it: a piece of the query, a caret below the place, the place in words, the message."""
    lines = text.splitlines() or [""]
    whole = lines[min(line, len(lines)) - 1]
    start = max(0, column - 41)
    piece = whole[start : column + 39]
    return f"\n{piece}\n{' ' * (column - 1 - start)}^\nERROR at Row:{line}:Column:{column}\n{message}"


def _explain(text: str, problem: UnexpectedInput) -> str:
    if isinstance(problem, UnexpectedToken) and problem.token.type != "$END":
        return drawing(text, problem.line, problem.column, f"unexpected token: '{problem.token}'")
    if isinstance(problem, UnexpectedCharacters):
        word = text[problem.pos_in_stream :].split(None, 1)[0]
        return drawing(text, problem.line, problem.column, f"unexpected token: '{word}'")
    lines = text.splitlines() or [""]
    assert isinstance(problem, UnexpectedToken | UnexpectedEOF)
    return drawing(text, len(lines), len(lines[-1]) + 1, "unexpected token: '<EOF>'")


def _name(token: Token) -> Name:
    return Name(str(token), token.line or 1, token.column or 1)


def _unquoted(token: str) -> str:
    """Between the quotes, escapes resolved; ``\\%`` and ``\\_`` keep their backslash, they mean something to LIKE alone."""
    out, body, at = [], token[1:-1], 0
    while at < len(body):
        if body[at] == "\\" and at + 1 < len(body):
            nxt = body[at + 1]
            out.append(ESCAPES.get(nxt, "\\" + nxt))
            at += 2
        else:
            out.append(body[at])
            at += 1
    return "".join(out)


@v_args(inline=True)
class _Build(Transformer[Token, Any]):
    def query(self, items: Any, source: Token, alias: Any, where: Any, group: Any, order: Any, limit: Any, offset: Any) -> Query:
        return Query(items, _name(source), alias, where, group or (), order or (), limit, offset)

    def items(self, *found: Any) -> Any:
        return found

    def plain(self, path: Token) -> Name:
        return _name(path)

    def call(self, function: Token, field: Token | None, alias: Token | None) -> Call:
        return Call(_name(function), None if field is None else _name(field), None if alias is None else str(alias))

    def nested(self, query: Query) -> Query:
        return query

    def typeof(self, field: Token, *rest: Any) -> TypeOf:
        return TypeOf(_name(field), tuple(rest[:-1]), rest[-1] or ())

    def when(self, kind: Token, names: tuple[Name, ...]) -> tuple[Name, tuple[Name, ...]]:
        return _name(kind), names

    def names(self, *paths: Token) -> tuple[Name, ...]:
        return tuple(_name(path) for path in paths)

    def alias(self, name: Token) -> str:
        return str(name)

    def where(self, condition: Condition) -> Condition:
        return condition

    def all_of(self, *parts: Condition) -> Combine:
        return Combine("and", parts)

    def any_of(self, *parts: Condition) -> Combine:
        return Combine("or", parts)

    def negation(self, part: Condition) -> Combine:
        return Combine("not", (part,))

    def compare(self, path: Token, operator: Token, value: Constant) -> Compare:
        return Compare(_name(path), "!=" if operator == "<>" else str(operator), (value,))

    def like(self, path: Token, pattern: Token) -> Compare:
        return Compare(_name(path), "like", (Constant("string", _unquoted(pattern)),))

    def within(self, path: Token, values: Sequence[Constant]) -> Compare:
        return Compare(_name(path), "in", tuple(values))

    def without(self, path: Token, values: Sequence[Constant]) -> Compare:
        return Compare(_name(path), "not_in", tuple(values))

    def includes(self, path: Token, values: Sequence[Constant]) -> Compare:
        return Compare(_name(path), "includes", tuple(values))

    def excludes(self, path: Token, values: Sequence[Constant]) -> Compare:
        return Compare(_name(path), "excludes", tuple(values))

    def literals(self, *values: Constant) -> tuple[Constant, ...]:
        return values

    def string(self, token: Token) -> Constant:
        return Constant("string", _unquoted(token).replace("\\%", "%").replace("\\_", "_"))

    def number(self, token: Token) -> Constant:
        return Constant("number", float(token))

    def instant(self, token: Token) -> Constant:
        at = _read(datetime.fromisoformat, token).astimezone(UTC)
        return Constant("datetime", at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000")

    def day(self, token: Token) -> Constant:
        return Constant("date", _read(date.fromisoformat, token).isoformat())

    def true(self, _: Token) -> Constant:
        return Constant("boolean", True)

    def false(self, _: Token) -> Constant:
        return Constant("boolean", False)

    def null(self, _: Token) -> Constant:
        return Constant("null", None)

    def group(self, *paths: Token) -> tuple[Name, ...]:
        return tuple(_name(path) for path in paths)

    def order(self, *sorts: Sort) -> tuple[Sort, ...]:
        return sorts

    def sort(self, path: Token, direction: Token | None, nulls: Token | None) -> Sort:
        return Sort(_name(path), str(direction or "").lower() == "desc", not str(nulls or "").lower().endswith("last"))

    def limit(self, token: Token) -> int:
        return int(float(token))

    def offset(self, token: Token) -> int:
        return int(float(token))


def _read(reader: Any, token: Token) -> Any:
    try:
        return reader(str(token))
    except ValueError:
        raise SoqlError("MALFORMED_QUERY", f"line {token.line}:{token.column} no viable alternative at '{token}'") from None


_PARSER = Lark(GRAMMAR, start="query", parser="lalr", maybe_placeholders=True)
