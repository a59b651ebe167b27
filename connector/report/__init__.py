"""The weekly review as one file: content as plain values, charts as Altair specifications, a page, and the same numbers as data."""
