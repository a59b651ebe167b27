from __future__ import annotations

from pathlib import Path

import pytest

from connector.mapping.source import MAX_BYTES, MAX_NODES, Document, parse, read


def _only(text: str) -> str:
    document, findings = parse(text, "m.yaml")
    assert document is None or findings
    assert len(findings) == 1
    assert findings[0].code == "SC-E020"
    return findings[0].text()


def test_values_and_positions() -> None:
    document, findings = parse('a:\n  b: {from: X, n: 1.5}\n  "c d": [one, 2]\n', "m.yaml")
    assert findings == []
    assert document is not None
    assert document.data == {"a": {"b": {"from": "X", "n": 1.5}, "c d": ["one", 2]}}
    assert document.place(("a", "b", "from")) == (2, 13)
    assert document.place(("a", "b", "from"), key=True) == (2, 7)
    assert document.place(("a", "c d"), key=True) == (3, 3)
    assert document.place(("a", "c d", 1)) == (3, 16)
    assert document.place(("a", "b", "nowhere", 3)) == (2, 6)


def test_yaml_1_2_words_stay_words() -> None:
    document, findings = parse("a: no\nb: Y\nc: on\nd: 2026-01-01\ne: 012\nf: true\ng: NA\nh: ~\n", "m.yaml")
    assert findings == []
    assert document is not None
    assert document.data == {"a": "no", "b": "Y", "c": "on", "d": "2026-01-01", "e": 12, "f": True, "g": "NA", "h": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\n", "m.yaml:1:4  SC-E020  anchors and aliases are not used in mapping files"),
        ("a: 1\nb: *x\n", "m.yaml:2:4  SC-E020  anchors and aliases are not used in mapping files"),
        ("a: !!python/object/apply:os.system [ls]\n", "m.yaml:1:4  SC-E020  tags are not used in mapping files"),
        ("x:\n  - !secret y\n", "m.yaml:2:5  SC-E020  tags are not used in mapping files"),
        ("a: [" + "1, " * MAX_NODES + "]\n", f"m.yaml:1:{4 + 3 * (MAX_NODES - 2) - 2}  SC-E020  the file has more than 10,000 nodes"),
        ("[" * 60, "m.yaml:1:41  SC-E020  the file is nested deeper than 40 levels"),
        ("", "m.yaml:1:1  SC-E020  the file is empty"),
        ("- a\n", "m.yaml:1:1  SC-E020  the file must hold keys and values"),
        ("a: .inf\n", "m.yaml:1:4  SC-E020  a  .inf is not a plain number\n         → write a decimal number, or quote it as text"),
        ("a: 1\na: 2\n", "m.yaml:2:1  SC-E020  a stands here twice\n         → keep one of the two"),
        ("x: {true: a}\n", 'm.yaml:1:5  SC-E020  x  true is read as something other than text here\n         → write it in quotes: "true"'),
        ("a: 1\n---\nb: 2\n", "m.yaml:2:1  SC-E020  not valid YAML: but found another document"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, said: str) -> None:
    assert _only(text) == said


def test_broken_yaml_names_the_place() -> None:
    said = _only("a: {b: 1\nc: 2\n")
    assert said.startswith("m.yaml:2:")
    assert "not valid YAML" in said


def test_files_too_large_or_not_text(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_text("#" * (MAX_BYTES + 1))
    assert [f.message for f in read(big, "big.yaml")[1]] == ["the file is larger than 1 MB"]
    odd = tmp_path / "odd.yaml"
    odd.write_bytes(b"a: \xff\xfe\n")
    assert [f.code for f in read(odd, "odd.yaml")[1]] == ["SC-E020"]
    assert read(tmp_path / "none.yaml", "none.yaml")[0] is None


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    document, findings = read(path, "bom.yaml")
    assert findings == []
    assert document is not None
    assert document.data == {"a": 1}


def test_comments_and_layout_do_not_change_the_digest() -> None:
    def digest(text: str) -> bytes:
        document = parse(text, "m.yaml")[0]
        assert isinstance(document, Document)
        return document.digest()

    assert digest("a: {b: 1}  # note\n") == digest("a:\n  b: 1\n")
    assert digest("a: {b: 1}\n") != digest("a: {b: 2}\n")
