"""The text of a formula → a tree. What names mean is types.py's business."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, v_args

LONGEST = 3900
GRAMMAR = r"""
?start: either
?either: both | either OR both -> binary
?both: same | both AND same -> binary
?same: order | same EQUALITY order -> binary
?order: joined | order ORDER joined -> binary
?joined: sum | joined JOIN sum -> binary
?sum: term | sum (PLUS | MINUS) term -> binary
?term: power | term (TIMES | OVER) power -> binary
?power: sign | power RAISED sign -> binary
?sign: atom | MINUS sign -> unary | PLUS sign -> unary | BANG sign -> unary
?atom: NUMBER -> number
    | STRING -> string
    | TRUE -> true
    | FALSE -> false
    | NULL -> null
    | NAME "(" [either ("," either)*] ")" -> call
    | NAME -> name
    | "(" either ")"

OR: "||"
AND: "&&"
EQUALITY: "==" | "=" | "<>" | "!="
ORDER: "<=" | ">=" | "<" | ">"
JOIN: "&"
PLUS: "+"
MINUS: "-"
TIMES: "*"
OVER: "/"
RAISED: "^"
BANG: "!"
TRUE.2: /true\b/i
FALSE.2: /false\b/i
NULL.2: /null\b/i
NAME: /\$?[A-Za-z]\w*(\.[A-Za-z]\w*)*/
NUMBER: /\d+(\.\d+)?|\.\d+/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
COMMENT: /\/\*(.|\n)*?\*\//
%ignore COMMENT
%ignore /\s+/
"""
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class FormulaError(Exception):
    """A formula that the org refuses, in the org's words."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Constant:
    """``value``: Decimal, str, bool or None."""

    value: Decimal | str | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A field (``Amount``, ``Owner.Name``) or a global (``$Permission.X``)."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """``function`` in capitals."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Node


Node = Constant | Name | Call | Binary | Unary


@v_args(inline=True)
class _Tree(Transformer[Token, Node]):
    def number(self, token: Token) -> Node:
        return Constant(Decimal(token))

    def string(self, token: Token) -> Node:
        return Constant(_unquoted(str(token)))

    def true(self, token: Token) -> Node:
        return Constant(True)

    def false(self, token: Token) -> Node:
        return Constant(False)

    def null(self, token: Token) -> Node:
        return Constant(None)

    def name(self, token: Token) -> Node:
        return Name(str(token))

    def call(self, function: Token, *arguments: Node | None) -> Node:
        return Call(function.upper(), tuple(each for each in arguments if each is not None))

    def binary(self, left: Node, operator: Token, right: Node) -> Node:
        return Binary({"==": "=", "!=": "<>"}.get(operator, str(operator)), left, right)

    def unary(self, operator: Token, operand: Node) -> Node:
        return Unary(str(operator), operand)


_PARSER = Lark(GRAMMAR, parser="lalr", maybe_placeholders=True)


def parse(text: str) -> Node:
    """The tree of a formula. Raises FormulaError with the org's words for a syntax error."""
    if not text.strip():
        raise FormulaError("The formula is empty.")
    if len(text) > LONGEST:
        raise FormulaError(f"Formula is too long ({len(text):,} characters). Maximum length is {LONGEST:,} characters.")
    try:
        tree: Any = _PARSER.parse(text)
    except UnexpectedEOF as found:
        raise FormulaError(_missing(found)) from None
    except UnexpectedToken as found:
        raise FormulaError(_missing(found) if found.token.type == "$END" else _extra(found)) from None
    except UnexpectedCharacters as found:
        raise FormulaError(f"Syntax error. Found '{found.char}'") from None
    built: Node = _Tree().transform(tree) if not isinstance(tree, Token) else Name(str(tree))
    return built


def _missing(found: UnexpectedInput) -> str:
    expected = set(getattr(found, "accepts", None) or getattr(found, "expected", None) or ())
    return "Syntax error. Missing ')'" if "RPAR" in expected else "Syntax error. Found end of formula"


def _extra(found: UnexpectedToken) -> str:
    if found.token.type in ("RPAR", "COMMA"):
        return f"Syntax error. Extra '{found.token}'"
    expected = {str(each) for each in (found.accepts or found.expected or ())}
    return "Syntax error. Missing ')'" if "RPAR" in expected and "NAME" not in expected else f"Syntax error. Found '{found.token}'"


def _unquoted(text: str) -> str:
    out, at, inner = [], 0, text[1:-1]
    while at < len(inner):
        if inner[at] == "\\":
            out.append(ESCAPES.get(inner[at + 1], inner[at + 1]))
            at += 2
            continue
        out.append(inner[at])
        at += 1
    return "".join(out)
