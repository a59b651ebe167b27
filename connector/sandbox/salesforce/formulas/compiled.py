"""A formula's tree → one function of a record, its types checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connector.sandbox.salesforce.formulas import functions as f
from connector.sandbox.salesforce.formulas.functions import Unworkable
from connector.sandbox.salesforce.formulas.names import Context, Read, Scope, inward
from connector.sandbox.salesforce.formulas.syntax import Binary, Call, Constant, FormulaError, Name, Node, Unary, parse
from connector.sandbox.salesforce.schema import Moment, Row

Typed = tuple[str, Read]
WRONG = "Incorrect parameter type for {what}. Expected {wanted}, received {got}"
ORDERED = (f.NUMBER, f.DATE, f.DATETIME)
CONSTANTS = {bool: f.BOOLEAN, str: f.TEXT, type(None): f.ANY}


@dataclass(frozen=True, slots=True)
class Formula:
    """A compiled formula. ``kind`` of its value, ``names`` of the record's own fields that it reads."""

    text: str
    kind: str
    names: frozenset[str]
    read: Read

    def value(self, row: Row, moment: Moment, *, before: Row | None = None, new: bool = False) -> Any:
        """What it comes to for a record; None for blank and for what cannot be worked out."""
        try:
            return self.read(Context(row, moment, before or {}, new))
        except (Unworkable, OverflowError):
            return None


def compiled(text: str, scope: Scope, wanted: str | None = None) -> Formula:
    """A formula of an object. ``wanted``: the kind its value must have. Raises FormulaError as the org would refuse it."""
    kind, read = _node(scope, parse(text))
    if kind in (f.PICKLIST, f.MULTI):
        raise FormulaError(_picklist(text.strip()))
    if wanted is not None and kind not in (wanted, f.ANY):
        expected = "true or false" if wanted == f.BOOLEAN else wanted
        raise FormulaError(f"Formula result is data type ({kind}), incompatible with expected data type ({expected}).")
    return Formula(text, kind, frozenset(scope.names), read)


def _node(scope: Scope, node: Node) -> Typed:
    if isinstance(node, Constant):
        value = node.value
        return CONSTANTS.get(type(value), f.NUMBER), lambda context: value
    if isinstance(node, Name):
        return scope.resolve(node.text)
    if isinstance(node, Unary):
        return _unary(scope, node)
    return _binary(scope, node) if isinstance(node, Binary) else _call(scope, node)


def _plain(scope: Scope, node: Node) -> Typed:
    """A value that is no picklist: those go only into certain functions."""
    kind, read = _node(scope, node)
    if kind in (f.PICKLIST, f.MULTI):
        raise FormulaError(_picklist(node.text if isinstance(node, Name) else "?"))
    return kind, read


def _picklist(name: str) -> str:
    return f"Field {name} is a picklist field. Picklist fields are only supported in certain functions."


def _unary(scope: Scope, node: Unary) -> Typed:
    kind, read = _plain(scope, node.operand)
    wanted = f.BOOLEAN if node.operator == "!" else f.NUMBER
    _must(kind, (wanted,), f"operator '{node.operator}'")
    if node.operator == "!":
        return wanted, lambda context: not read(context)
    if node.operator == "+":
        return wanted, read
    return wanted, lambda context: None if (value := read(context)) is None else -value


def _must(kind: str, wanted: Sequence[str], what: str) -> None:
    if kind != f.ANY and kind not in wanted:
        raise FormulaError(WRONG.format(what=what, wanted=", ".join(wanted), got=kind))


def _same(first: str, second: str, what: str) -> str:
    """The kind that two values share; NULL goes with everything."""
    if first == f.ANY:
        return second
    _must(second, (first,), what)
    return first


def _binary(scope: Scope, node: Binary) -> Typed:
    sign, what = node.operator, f"operator '{node.operator}'"
    (left, first), (right, second) = _plain(scope, node.left), _plain(scope, node.right)
    if sign in ("&&", "||"):
        for kind in (left, right):
            _must(kind, (f.BOOLEAN,), what)
        if sign == "&&":
            return f.BOOLEAN, lambda context: bool(first(context)) and bool(second(context))
        return f.BOOLEAN, lambda context: bool(first(context)) or bool(second(context))
    if sign in ("=", "<>"):
        _same(left, right, what)
        return f.BOOLEAN, lambda context: f.equal(first(context), second(context)) is (sign == "=")
    if sign == "&":
        for kind in (left, right):
            _must(kind, (f.TEXT,), what)
        return f.TEXT, lambda context: f.joined((first(context), second(context)))
    if sign in f.ORDER:
        _must(left, ORDERED, what)
        _same(left, right, what)
        return f.BOOLEAN, _on_both(first, second, f.ORDER[sign], False)
    if sign == "+" and f.TEXT in (left, right):
        _same(left, right, what)
        return f.TEXT, lambda context: f.joined((first(context), second(context)))
    return _sum(sign, left, right, what), _on_both(first, second, f.ARITHMETIC[sign], None)


def _on_both(first: Read, second: Read, act: Callable[[Any, Any], Any], blank: Any) -> Read:
    def read(context: Context) -> Any:
        left, right = first(context), second(context)
        return blank if left is None or right is None else act(left, right)

    return read


def _sum(sign: str, left: str, right: str, what: str) -> str:
    """The kind of an arithmetic result: days and numbers make days, two days make a number."""
    if sign in ("+", "-"):
        _must(left, ORDERED, what)
        if sign == "-" and left in (f.DATE, f.DATETIME) and right == left:
            return f.NUMBER
        if sign == "+" and left == f.NUMBER and right in (f.DATE, f.DATETIME):
            return right
        _must(right, (f.NUMBER, left) if sign == "-" and left != f.NUMBER else (f.NUMBER,), what)
        return f.NUMBER if left == f.ANY else left
    for kind in (left, right):
        _must(kind, (f.NUMBER,), what)
    return f.NUMBER


# -- functions -----------------------------------------------------------------------------------------------------------


def _call(scope: Scope, node: Call) -> Typed:
    name, count = node.function, len(node.arguments)
    special = _SPECIAL.get(name)
    if special is not None:
        least, most, act = special
        _count(name, count, least, most)
        return act(scope, node)
    found = f.FUNCTIONS.get(name)
    if found is None:
        raise FormulaError(f"Unknown function {name}. Check spelling.")
    _count(name, count, found.least, found.most)
    reads = []
    for place, argument in enumerate(node.arguments):
        kind, read = _plain(scope, argument)
        _must(kind, (found.takes[min(place, len(found.takes) - 1)],), f"function '{name}()'")
        reads.append(read)

    def apply(context: Context) -> Any:
        values = [read(context) for read in reads]
        return None if None in values else found.act(*values)

    return found.gives, apply


def _count(name: str, count: int, least: int, most: int) -> None:
    if not least <= count <= most:
        raise FormulaError(f"Incorrect number of parameters for function '{name}()'. Expected {least}, received {count}")


def _if(scope: Scope, node: Call) -> Typed:
    (kind, test), (first, yes), (second, no) = (_plain(scope, each) for each in node.arguments)
    _must(kind, (f.BOOLEAN,), "function 'IF()'")
    return _same(first, second, "function 'IF()'"), lambda context: yes(context) if test(context) else no(context)


def _logic(scope: Scope, node: Call) -> Typed:
    reads = []
    for argument in node.arguments:
        kind, read = _plain(scope, argument)
        _must(kind, (f.BOOLEAN,), f"function '{node.function}()'")
        reads.append(read)
    if node.function == "AND":
        return f.BOOLEAN, lambda context: all(read(context) for read in reads)
    if node.function == "OR":
        return f.BOOLEAN, lambda context: any(read(context) for read in reads)
    return f.BOOLEAN, lambda context: not reads[0](context)


def _is_blank(scope: Scope, node: Call) -> Typed:
    _, read = _node(scope, node.arguments[0])
    return f.BOOLEAN, lambda context: read(context) in (None, "")


def _blank_value(scope: Scope, node: Call) -> Typed:
    (kind, read), (other, instead) = (_plain(scope, each) for each in node.arguments)
    kind = _same(kind, other, f"function '{node.function}()'")

    def value(context: Context) -> Any:
        found = read(context)
        return instead(context) if found in (None, "") else found

    return kind, value


def _case(scope: Scope, node: Call) -> Typed:
    count = len(node.arguments)
    if count % 2:
        raise FormulaError(f"Incorrect number of parameters for function 'CASE()'. Expected {count + 1}, received {count}")
    what, (kind, read) = "function 'CASE()'", _node(scope, node.arguments[0])
    kind = f.TEXT if kind == f.PICKLIST else kind
    pairs: list[tuple[Read, Read]] = []
    result, otherwise = _plain(scope, node.arguments[-1])
    for place in range(1, count - 1, 2):
        (first, value), (second, then) = (_plain(scope, each) for each in node.arguments[place : place + 2])
        _same(kind, first, what)
        result = _same(second, result, what)
        pairs.append((value, then))

    def chosen(context: Context) -> Any:
        found = read(context)
        then = next((then for value, then in pairs if f.equal(found, value(context))), otherwise)
        return then(context)

    return result, chosen


def _date_value(scope: Scope, node: Call) -> Typed:
    kind, read = _plain(scope, node.arguments[0])
    _must(kind, (f.DATETIME, f.DATE, f.TEXT), "function 'DATEVALUE()'")
    return f.DATE, lambda context: None if (value := read(context)) in (None, "") else f.date_value(value, context.moment.zone)


def _today(scope: Scope, node: Call) -> Typed:
    return f.DATE, lambda context: context.moment.now.astimezone(context.moment.zone).date()


def _now(scope: Scope, node: Call) -> Typed:
    return f.DATETIME, lambda context: context.moment.now.astimezone(UTC)


def _text(scope: Scope, node: Call) -> Typed:
    kind, read = _node(scope, node.arguments[0])
    _must(kind, (f.NUMBER, f.DATE, f.DATETIME, f.PICKLIST), "function 'TEXT()'")
    return f.TEXT, lambda context: None if (value := read(context)) is None else f.text_of(value)


def _picked(scope: Scope, node: Call) -> Typed:
    """ISPICKVAL and INCLUDES: a picklist and a text."""
    kind, read = _node(scope, node.arguments[0])
    _must(kind, (f.PICKLIST if node.function == "ISPICKVAL" else f.MULTI,), f"function '{node.function}()'")
    other, value = _plain(scope, node.arguments[1])
    _must(other, (f.TEXT,), f"function '{node.function}()'")
    if node.function == "ISPICKVAL":
        return f.BOOLEAN, lambda context: f.equal(read(context), value(context))
    return f.BOOLEAN, lambda context: value(context) in (read(context) or "").split(";")


def _save(scope: Scope, node: Call) -> Typed:
    """ISNEW, ISCHANGED, PRIORVALUE: only a rule knows what a save changes."""
    name = node.function
    if not scope.rule:
        raise FormulaError(f"Unknown function {name}. Check spelling.")
    if name == "ISNEW":
        return f.BOOLEAN, lambda context: context.new
    argument = node.arguments[0]
    if not isinstance(argument, Name):
        raise FormulaError(f"Incorrect parameter type for function '{name}()'. Expected Field, received Formula Expression")
    found = scope.field_named(argument.text)
    key, (kind, read) = found.name, scope.resolve(argument.text)

    def before(context: Context) -> Any:
        return inward(found, context.before.get(key), scope.blank_as_zero)

    if name == "PRIORVALUE":
        return kind, lambda context: read(context) if context.new else before(context)
    return f.BOOLEAN, lambda context: not context.new and not f.equal(read(context), before(context))


def _instant(scope: Scope, node: Call) -> Typed:
    kind, read = _plain(scope, node.arguments[0])
    _must(kind, (f.TEXT, f.DATETIME), "function 'DATETIMEVALUE()'")

    def value(context: Context) -> Any:
        found = read(context)
        if found in (None, "") or isinstance(found, datetime):
            return found or None
        try:
            return datetime.fromisoformat(str(found)).replace(tzinfo=UTC)
        except ValueError as problem:
            raise Unworkable from problem

    return f.DATETIME, value


_MANY = 255
_SPECIAL: Mapping[str, tuple[int, int, Callable[[Scope, Call], Typed]]] = {
    "IF": (3, 3, _if), "AND": (1, _MANY, _logic), "OR": (1, _MANY, _logic), "NOT": (1, 1, _logic), "ISBLANK": (1, 1, _is_blank),
    "ISNULL": (1, 1, _is_blank), "BLANKVALUE": (2, 2, _blank_value), "NULLVALUE": (2, 2, _blank_value), "CASE": (4, _MANY, _case),
    "TODAY": (0, 0, _today), "NOW": (0, 0, _now), "DATEVALUE": (1, 1, _date_value), "DATETIMEVALUE": (1, 1, _instant), "TEXT": (1, 1, _text),
    "ISPICKVAL": (2, 2, _picked), "INCLUDES": (2, 2, _picked), "ISNEW": (0, 0, _save), "ISCHANGED": (1, 1, _save),
    "PRIORVALUE": (1, 1, _save),
}  # fmt: skip
