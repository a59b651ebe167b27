"""The frame of the pages for people: plain HTML, nothing from outside."""

from __future__ import annotations

FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ title }}</title><style>
body{font:15px/1.5 system-ui,sans-serif;color:#1b2733;background:#f4f6f8;margin:0}
main{max-width:62rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1rem;margin:0;padding:.6rem 1rem;background:#e8edf2;border-radius:6px 6px 0 0}
section{background:#fff;border:1px solid #d5dde5;border-radius:6px;margin:1rem 0}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:.2rem 1.5rem;margin:0;padding:.8rem 1rem}
dl div{border-bottom:1px solid #eef1f4;padding:.3rem 0}dt{color:#5a6b7b;font-size:.8rem}dd{margin:0;overflow-wrap:anywhere}
.note,small{color:#5a6b7b}a{color:#0b5cab}table{border-collapse:collapse;width:100%;background:#fff}
td,th{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #d5dde5}
</style></head><body><main>{% block body %}{% endblock %}</main></body></html>"""
