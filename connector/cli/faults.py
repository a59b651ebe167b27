"""connector sandbox faults list | add | clear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from connector.cli.output import Answer, Table, count
from connector.cli.sandbox import base_url, said
from connector.errors import UsageError
from connector.sandbox import process
from connector.sandbox.errors import SandboxError
from connector.sandbox.faults.kinds import KINDS, kind_of

_FAMILIES = {
    "answer": "another answer", "wire": "the connection, the body, the pace", "headers": "headers", "records": "single records of a batch write",
    "switch": "the org or portal itself, until cleared",
}  # fmt: skip


def list_faults() -> Answer:
    """The faults that are ordered, in order, and how often each has met a request (seen) and struck."""
    found = said(lambda: process.ask(base_url(), "GET", "faults"))["faults"]
    if not found:
        return Answer(summary={"faults": 0}, result=found, text=["no faults"])
    rows = [
        [str(one["number"]), one["crm"], one["kind"], _where(one), _when(one), str(one["seen"]), str(one["struck"])] for one in found
    ]  # fmt: skip
    table = Table(heads=[">no", "crm", "fault", "where", "when", ">seen", ">struck"], rows=rows)
    return Answer(summary={"faults": len(found)}, result=found, text=[count(len(found), "fault"), table])


def add(
    crm: Annotated[str, typer.Argument(metavar="CRM", help="salesforce or hubspot")],
    fault: Annotated[str, typer.Argument(metavar="FAULT", help="see the list below")],
    method: Annotated[str | None, typer.Option(help="only requests of this method")] = None,
    path: Annotated[str | None, typer.Option(help="only paths like this; * stands for anything")] = None,
    object: Annotated[str | None, typer.Option(help="only requests about this object: Opportunity, deals …")] = None,
    body: Annotated[str | None, typer.Option(help="only requests with this text in query or body")] = None,
    after: Annotated[int, typer.Option(min=0, help="spare so many first")] = 0,
    times: Annotated[int, typer.Option(min=0, help="strike so often; 0: for ever")] = 1,
    seconds: Annotated[float | None, typer.Option(help="for faults that take a while")] = None,
    set: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="a parameter of the fault")] = None,
) -> Answer:
    try:
        kind_of(fault, crm)
        given = {"method": method, "path": path, "object": object, "body": body, "after": after, "times": times or None, "seconds": seconds}
        order = {"crm": crm, "kind": fault, **given, "parameters": _parameters(set or [])}
    except SandboxError as error:
        raise UsageError(error.message, next_step=error.next_step) from error
    made = said(lambda: process.ask(base_url(), "POST", "faults", order))["fault"]
    return Answer(summary={"number": made["number"]}, result=made, text=[f"fault {made['number']}: {crm} {fault}, {_where(made)}, {_when(made)}"])


def _help() -> str:
    """Every kind of fault by family, one a line, with its parameters: the verb's help."""
    lines = ["Order a fault. The kinds, and what they take with --set:", ""]
    for family, title in _FAMILIES.items():
        lines += ["\b", f"{title}:"]
        for kind in KINDS.values():
            if kind.family == family:
                only = f" [{kind.crms[0]} only]" if len(kind.crms) == 1 else ""
                lines.append(f"  {kind.name:<20} {kind.text}{only}")
                lines += [f"  {'':<20}   --set {name}=  {text}" for name, text in kind.parameters.items()]
        lines.append("")
    return "\n".join(lines)


add.__doc__ = _help()


def clear(number: Annotated[int | None, typer.Argument(metavar="[NUMBER]", help="as faults list shows it; without it all")] = None) -> Answer:
    """End one fault, or all; switches go back to what they were."""
    what = "faults" if number is None else f"faults?number={number}"
    ended = said(lambda: process.ask(base_url(), "DELETE", what))["cleared"]
    return Answer(summary={"cleared": ended}, result={"cleared": ended}, text=[f"{count(ended, 'fault')} cleared"])


def _parameters(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise SandboxError(f"--set wants NAME=VALUE, got {word!r}", "connector sandbox faults add --help")
        found[name] = value
    return found


def _where(one: Mapping[str, Any]) -> str:
    parts = [one[name] for name in ("method", "object", "path") if one[name]]
    if one["body"]:
        parts.append(f"with {one['body']!r}")
    parts += [f"{name}={value}" for name, value in one["parameters"].items()]
    return " ".join(parts) or "anywhere"


def _when(one: Mapping[str, Any]) -> str:
    often = "for ever" if one["times"] is None else "once" if one["times"] == 1 else f"{one['times']} times"
    late = f" after {one['after']}" if one["after"] else ""
    slow = f" ({one['seconds']:g} s)" if one["seconds"] is not None else ""
    return often + late + slow
