"""Record ids: three characters of key prefix, two of instance, ten that count, three of checksum."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
INSTANCE = "Sb"


def checksum(short: str) -> str:
    """The three characters that tell upper from lower case in the 15 before them, five at a time, first character lowest."""
    out = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, char in enumerate(short[start : start + 5]) if "A" <= char <= "Z")
        out += CHECKSUM[bits]
    return out


def full_id(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character id, or None if it is no id (or its checksum is wrong)."""
    if len(text) not in (15, 18) or not (text.isascii() and text.isalnum()):
        return None
    full = text[:15] + checksum(text[:15])
    return full if text in (full, text[:15]) else None


def new_id(prefix: str, number: int) -> str:
    """The ``number``-th id of an object. Ids of one object sort (by byte) in the order in which they were given."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = ALPHABET[rest] + digits
    short = prefix + INSTANCE + digits.rjust(10, "0")
    return short + checksum(short)
