"""Metadata files as trees that know their lines. A document type, and with it any entity, is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"


class XmlProblem(Exception):
    """A file that cannot be read. ``line``, ``column``: where."""

    def __init__(self, message: str, line: int, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


@dataclass(slots=True)
class Node:
    """An element: ``tag`` without its namespace, ``text`` of a leaf, ``children`` in order."""

    tag: str
    line: int
    column: int
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Node]:
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Node | None:
        return next(self.all(tag), None)

    def get(self, tag: str) -> str | None:
        """The text of the first child of that name, None where there is none."""
        found = self.first(tag)
        return None if found is None else found.text

    def flag(self, tag: str) -> bool:
        return self.get(tag) == "true"


def parse(content: bytes, *, namespace: str = NAMESPACE) -> Node:
    """The root of a file. Raises XmlProblem; elements of another namespace are a problem too."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    root = Node("", 0, 0)
    open_: list[Node] = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        space, _, tag = name.rpartition(" ")
        if space != namespace:
            raise XmlProblem(f"Unexpected element {{{space}}}{tag} during simple type deserialization", parser.CurrentLineNumber)
        node = Node(tag, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1, dict(attributes))
        open_[-1].children.append(node)
        open_.append(node)

    def end(name: str) -> None:
        node = open_.pop()
        node.text = node.text.strip() if not node.children else ""

    def text(data: str) -> None:
        open_[-1].text += data

    def doctype(*_: object) -> None:
        raise XmlProblem("DOCTYPE is disallowed", parser.CurrentLineNumber)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as problem:
        raise XmlProblem(expat.ErrorString(problem.code), problem.lineno, problem.offset + 1) from None
    return root.children[0]
