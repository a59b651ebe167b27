"""Formulas of calculated properties: their text, what is refused, their values.

There is no clock in the language: a value follows from the record alone. HubSpot keeps a text of its own (``rewritten``). Its words for an
unexpected token are as recorded; the words of the other refusals are unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, v_args
from lark.exceptions import VisitError

from connector.sandbox.hubspot.records import parse_stamp
from connector.sandbox.hubspot.schema import Property

GRAMMAR = r"""
?start: either
?either: both | either OR both -> binary
?both: negated | both AND negated -> binary
?negated: compared | NOT negated -> negation
?compared: sum | sum COMPARE sum -> binary
?sum: term | sum (PLUS | MINUS) term -> binary
?term: sign | term (TIMES | OVER) sign -> binary
?sign: atom | MINUS sign -> minus
?atom: NUMBER -> number
    | STRING -> string
    | TRUE -> true
    | FALSE -> false
    | NAME "(" [either ("," either)*] ")" -> call
    | NAME -> name
    | "(" either ")"
    | IF either THEN either (ELSEIF either THEN either)* [ELSE either] ENDIF -> choice

IF.2: /if\b/i
THEN.2: /then\b/i
ELSEIF.2: /elseif\b/i
ELSE.2: /else\b/i
ENDIF.2: /endif\b/i
OR.2: /or\b/i
AND.2: /and\b/i
NOT.2: /not\b/i
TRUE.2: /true\b/i
FALSE.2: /false\b/i
COMPARE.2: "<=" | ">=" | "!=" | "==" | "=" | "<" | ">" | /equals\b/i
PLUS: "+"
MINUS: "-"
TIMES: "*"
OVER: "/"
NAME: /[a-z]\w*/i
NUMBER: /\d+(\.\d+)?/
STRING: /"[^"]*"|'[^']*'/
%ignore /\s+/
"""
_PARSER = Lark(GRAMMAR, parser="lalr", maybe_placeholders=True)
LONGEST = 5_000
NUMBER, TEXT, BOOL, ANY = "number", "string", "bool", "any"
KINDS = {"number": NUMBER, "date": NUMBER, "datetime": NUMBER, "string": TEXT, "enumeration": TEXT, "phone_number": TEXT, "bool": BOOL}
"""Property type → what it is in a formula; dates and instants are milliseconds."""
RESULTS = {"number": NUMBER, "string": TEXT, "enumeration": TEXT, "bool": BOOL}
_DIGITS = Context(prec=18, rounding=ROUND_HALF_EVEN)

Values = Mapping[str, str]
Read = Callable[[Values], Any]


class FormulaError(Exception):
    """HubSpot refuses the formula, in its words."""


@dataclass(frozen=True, slots=True)
class Formula:
    """``terms``: the properties whose absence blanks the result, in whatever branch they stand; ``reads``: all that are named."""

    kind: str
    terms: frozenset[str]
    reads: frozenset[str]
    work: Read

    def value(self, values: Values) -> str:
        """The text that the property holds; "" for none. Division by zero is none, too."""
        if any(not values.get(name) for name in self.terms):
            return ""
        try:
            found = self.work(values)
        except (DivisionByZero, InvalidOperation, ValueError):
            return ""
        return _text(found)


def _text(found: Any) -> str:
    if found is None:
        return ""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, Decimal):
        plain = format(_DIGITS.plus(found).normalize(), "f")
        return "0" if plain == "-0" else plain
    return str(found)


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    work: Read
    terms: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    property: Property | None = None


def compiled(text: str, properties: Mapping[str, Property]) -> Formula:
    """Raises FormulaError for a syntax error, an unknown property or function, terms that do not go together."""
    if not text.strip():
        raise FormulaError("There was a problem with your formula. It is empty.")
    if len(text) > LONGEST:
        raise FormulaError(f"There was a problem with your formula. It is longer than {LONGEST:,} characters.")
    try:
        tree: Any = _PARSER.parse(text)
        part: _Part = _Parts(properties).transform(tree)
    except UnexpectedEOF:
        raise FormulaError(_unexpected("the end of the formula")) from None
    except UnexpectedToken as found:
        raise FormulaError(_unexpected("the end of the formula" if found.token.type == "$END" else str(found.token))) from None
    except UnexpectedCharacters as found:
        raise FormulaError(_unexpected(found.char)) from None
    except VisitError as found:
        raise found.orig_exc from None
    return Formula(part.kind, part.terms, part.reads, part.work)


def _unexpected(what: str) -> str:
    return f"There was a problem with your formula. We were expecting a valid function or value expression but found {what} instead."


def rewritten(text: str) -> str:
    """A formula as HubSpot keeps and shows it: one line, ``equals``, double quotes, keywords in lower case."""
    out: list[str] = []
    for token in _PARSER.lex(text):
        word = str(token)
        if token.type == "COMPARE" and word.lower() in ("=", "==", "equals"):
            word = "equals"
        elif token.type == "STRING":
            word = f'"{word[1:-1]}"'
        elif token.type in ("IF", "THEN", "ELSEIF", "ELSE", "ENDIF", "OR", "AND", "NOT", "TRUE", "FALSE"):
            word = word.lower()
        tight = not out or out[-1] == "(" or word in (")", ",") or (word == "(" and token.type == "LPAR" and _called(out))
        out += [word] if tight else [" ", word]
    return "".join(out)


def _called(out: list[str]) -> bool:
    """Whether an opening bracket belongs to a function's name."""
    return out[-1].lower() in FUNCTIONS


# -- the tree ---------------------------------------------------------------------------------------------------------


def _joined(*parts: _Part) -> tuple[frozenset[str], frozenset[str]]:
    """(terms, reads) of several parts together."""
    return frozenset(name for part in parts for name in part.terms), frozenset(name for part in parts for name in part.reads)


@v_args(inline=True)
class _Parts(Transformer[Token, _Part]):
    def __init__(self, properties: Mapping[str, Property]) -> None:
        super().__init__()
        self._properties = properties

    def number(self, token: Token) -> _Part:
        value = Decimal(token)
        return _Part(NUMBER, lambda _: value)

    def string(self, token: Token) -> _Part:
        value = str(token)[1:-1]
        return _Part(TEXT, lambda _: value)

    def true(self, _token: Token) -> _Part:
        return _Part(BOOL, lambda _: True)

    def false(self, _token: Token) -> _Part:
        return _Part(BOOL, lambda _: False)

    def name(self, token: Token) -> _Part:
        found = self._properties.get(str(token))
        if found is None:
            raise FormulaError(f"There was a problem with your formula. Property {token} does not exist.")
        kind = KINDS.get(found.type, TEXT)
        return _Part(kind, _reader(found), frozenset({found.name}), frozenset({found.name}), found)

    def minus(self, _sign: Token, part: _Part) -> _Part:
        _must(part, NUMBER, "-")
        return _Part(NUMBER, lambda values: -part.work(values), part.terms, part.reads)

    def negation(self, _not: Token, part: _Part) -> _Part:
        _must(part, BOOL, "not")
        return _Part(BOOL, lambda values: not part.work(values), part.terms, part.reads)

    def binary(self, left: _Part, operator: Token, right: _Part) -> _Part:
        sign = str(operator).lower()
        if sign in ("and", "or"):
            _must(left, BOOL, sign)
            _must(right, BOOL, sign)
            return _Part(BOOL, _logic(sign, left.work, right.work), *_joined(left, right))
        if sign in _ARITHMETIC:
            _must(left, NUMBER, sign)
            _must(right, NUMBER, sign)
            act = _ARITHMETIC[sign]
            return _Part(NUMBER, lambda values: act(left.work(values), right.work(values)), *_joined(left, right))
        if left.kind != right.kind:
            raise FormulaError(f"There was a problem with your formula. A {left.kind} cannot be compared with a {right.kind}.")
        if left.kind != NUMBER and sign not in ("=", "==", "equals", "!="):
            raise FormulaError(f"There was a problem with your formula. {sign} compares numbers, not a {left.kind}.")
        compare = _COMPARISONS[sign]
        return _Part(BOOL, lambda values: compare(left.work(values), right.work(values)), *_joined(left, right))

    def choice(self, *given: Token | _Part | None) -> _Part:
        parts = [each for each in given if isinstance(each, _Part)]
        last = parts[-1] if len(parts) % 2 else None
        pairs = [(parts[n], parts[n + 1]) for n in range(0, len(parts) - 1, 2)]
        for condition, _ in pairs:
            _must(condition, BOOL, "if")
        kinds = {result.kind for _, result in pairs} | ({last.kind} if last is not None else set())
        if len(kinds) > 1:
            raise FormulaError(f"There was a problem with your formula. Branches return {' and '.join(sorted(kinds))}.")

        def work(values: Values) -> Any:
            for condition, result in pairs:
                if condition.work(values):
                    return result.work(values)
            return last.work(values) if last is not None else None

        return _Part(kinds.pop(), work, *_joined(*parts))

    def call(self, name: Token, *given: _Part | None) -> _Part:
        parts, word = [each for each in given if each is not None], str(name).lower()
        if word not in FUNCTIONS:
            raise FormulaError(f"There was a problem with your formula. Function {name} is not supported.")
        kinds, result, act = FUNCTIONS[word]
        many = kinds[-1:] == ("…",)
        wanted = kinds[:-1] if many else kinds
        if len(parts) < len(wanted) or (len(parts) > len(wanted) and not many):
            raise FormulaError(f"There was a problem with your formula. {name} takes {len(wanted)} arguments, not {len(parts)}.")
        for place, part in enumerate(parts):
            _must(part, wanted[min(place, len(wanted) - 1)], word)
        if word == "is_present":  # what is asked about may be absent
            return _Part(result, _present(parts[0]), frozenset(), parts[0].reads)
        if word in ("string", "bool"):
            return _declared(word, parts[0])
        return _Part(result, lambda values: act([part.work(values) for part in parts]), *_joined(*parts))


def _must(part: _Part, kind: str, where: str) -> None:
    if kind not in (ANY, part.kind):
        raise FormulaError(f"There was a problem with your formula. {where} expects a {kind} and not a {part.kind}.")


def _reader(prop: Property) -> Read:
    name, type_ = prop.name, prop.type
    if type_ == "number":
        return lambda values: Decimal(values[name])
    if type_ in ("date", "datetime"):
        return lambda values: Decimal(parse_stamp(values[name]))
    if type_ == "bool":
        return lambda values: values[name] == "true"
    return lambda values: values[name]


def _declared(word: str, part: _Part) -> _Part:
    """``string(p)``, ``bool(p)``: the property's text taken as that."""
    if part.property is None:
        raise FormulaError(f"There was a problem with your formula. {word} takes a property.")
    name = part.property.name
    if word == "bool":
        return _Part(BOOL, lambda values: values[name].lower() == "true", part.terms, part.reads)
    return _Part(TEXT, lambda values: values[name], part.terms, part.reads)


def _present(part: _Part) -> Read:
    return lambda values: all(values.get(name) for name in part.reads)


def _logic(sign: str, left: Read, right: Read) -> Read:
    if sign == "and":
        return lambda values: bool(left(values) and right(values))
    return lambda values: bool(left(values) or right(values))


_ARITHMETIC: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
}  # fmt: skip
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "==": lambda a, b: a == b, "equals": lambda a, b: a == b, "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
}  # fmt: skip
FUNCTIONS: Mapping[str, tuple[tuple[str, ...], str, Callable[[list[Any]], Any]]] = {
    "max": ((NUMBER, NUMBER, "…"), NUMBER, max),
    "min": ((NUMBER, NUMBER, "…"), NUMBER, min),
    "is_present": ((ANY,), BOOL, bool),
    "contains": ((TEXT, TEXT), BOOL, lambda given: given[1] in given[0]),
    "concatenate": ((TEXT, TEXT, "…"), TEXT, "".join),
    "number_to_string": ((NUMBER,), TEXT, lambda given: _text(given[0])),
    "string_to_number": ((TEXT,), NUMBER, lambda given: Decimal(given[0])),
    "string": ((ANY,), TEXT, str),
    "bool": ((ANY,), BOOL, bool),
}
"""Name → (what it takes, "…" for more of the last; what it gives; how it is worked out)."""
