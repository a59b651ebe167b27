"""connector provision plan | apply | status | export."""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.main import invocation
from connector.cli.output import Answer, Table, count
from connector.cli.project import ConnectionOption, command, opened
from connector.errors import CODES, AuthenticationError, Blocked, Finding, UsageError

if TYPE_CHECKING:
    from connector.app import App
    from connector.crms.provisioning import Identity, Provisioner, Wanted
    from connector.provision import Action, Applied, FieldState, ProvisionPlan

TokenOption = Annotated[
    bool, typer.Option("--token-stdin", help="read an administrator's access token from standard input; used for this command and kept nowhere")
]
WORDS: Mapping[Action, str] = {"create": "to create", "change": "to change", "grant": "to grant", "conflict": "in conflict"}


def plan(
    connection: ConnectionOption = None,
    token_stdin: TokenOption = False,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="exit 2 if anything would change")] = False,
) -> Answer:
    """What provisioning would do, field by field: create, change, grant access. Changes nothing.

    With an administrator's token the CRM's own compiler checks every formula, and what the connection's user may not see is told apart from
    what is not there.
    """
    from connector import provision

    token = _token() if token_stdin else None
    with opened() as app:
        found: dict[str, ProvisionPlan] = {}
        names = _names(app, connection, token)
        for name in names:
            with _sides(app, name, token) as (wanted, own, admin, user):
                made = provision.look(wanted, own, admin, user.user_id)
                if admin is not None and made.changes and not made.conflicts:
                    made = _with_check(made, admin)
                found[name] = made
    text: list[str | Table] = []
    findings: list[Finding] = []
    for name, made in found.items():
        text += [verdict(name, made), *_shown(made, token is not None)]
        findings += made.conflicts
        if made.checked is not None:
            findings += provision.refusals(made.checked)
    blocked = bool(findings)
    changes = any(made.changes for made in found.values())
    summary: dict[str, object] = {
        "changes": sum(len(_changed(made)) for made in found.values()),
        "conflicts": sum(len(m.conflicts) for m in found.values()),
    }
    return Answer(summary, {n: _told(m) for n, m in found.items()}, text, findings, 4 if blocked else 2 if changes and detailed_exitcode else 0)


def _with_check(made: ProvisionPlan, admin: Provisioner) -> ProvisionPlan:
    from dataclasses import replace

    invocation().console.say("asking the CRM whether it would take all of it")
    return replace(made, checked=admin.provision(made.wanted, check_only=True))


def apply(
    connection: ConnectionOption = None,
    token_stdin: TokenOption = False,
    check_only: Annotated[bool, typer.Option("--check-only", help="ask the CRM whether it would; change nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> Answer:
    """Make the fields, formulas and permission sets in one deployment: checked first, whole or not at all. Then give the connection's user
    its rights and prove, as that user, that each field is visible and editable.
    """
    from connector import provision

    if not token_stdin:
        raise UsageError("making fields needs an administrator's access token", next_step=f"{command()} provision apply --token-stdin < FILE")
    token, console = _token(), invocation().console
    with opened() as app:
        (name,) = _names(app, connection, token)
        with _sides(app, name, token) as (wanted, own, admin, user):
            assert admin is not None
            who = admin.whoami()
            made = provision.look(wanted, own, admin, user.user_id)
            if made.conflicts:
                raise Blocked(
                    f"{name}: {count(len(made.conflicts), 'field')} in conflict; nothing was changed", code="SC-E151", findings=made.conflicts
                )
            if not made.changes:
                return Answer({"changes": 0, "connection": name}, _told(made), [f"{name}: No changes. (token of {who.user})"])
            console.say(f"{name}: {_tally(made)}")
            console.say(f"the token is {who.user}'s, in {who.org} ({who.org_id})")
            if not (check_only or yes):
                _ask(name, who, production=app.resolved.connection(name).environment == "production" or who.production is True)
            console.say("checked first, then deployed as a whole")
            asked = {"token_of": who.user, "org": who.org_id, "asked": _asked(made), "check_only": check_only}
            app.store.audit.add("provision.began", name, asked)
            done = provision.apply(made.wanted, own, admin, check_only=check_only)
            last = done.deployed or done.checked
            app.store.audit.add("provision.ended", name, {"ok": last.ok, "status": last.status, "made": last.done if done.deployed else 0})
    return _outcome(name, made, done, who, check_only, admin.by_hand)


def _asked(made: ProvisionPlan) -> list[str]:
    """What is asked for, as the audit names it."""
    fields = [f"{state.action} {state.object}.{state.name}" for state in made.fields if state.action not in ("ok", "conflict")]
    return fields + [f"{piece.action} {piece.kind} {piece.name}" for piece in made.pieces if piece.action in ("create", "change")]


def _outcome(name: str, made: ProvisionPlan, done: Applied, who: Identity, check_only: bool, by_hand: str) -> Answer:
    from connector import provision

    result = {**asdict(done), "token_of": asdict(who)}
    last = done.deployed or done.checked
    if not last.ok:
        step = "check" if done.deployed is None else "deployment"
        findings = provision.refusals(last)
        stands = last.done if done.deployed else 0
        kept = f"{stands} of {last.total} are made: run it again" if stands else "nothing was changed"
        text = [f"{name}: the CRM refused the {step} ({last.status}); {kept}"]
        return Answer({"connection": name, "changes": stands, "refused": len(findings)}, result, text, findings, 4)
    if check_only:
        return Answer({"connection": name, "changes": 0}, result, [f"{name}: the CRM would take all of it ({_tally(made)}); nothing was changed"])
    lines = [f"{name}: {count(last.done, 'component')} deployed with {who.user}'s token, which is not kept"]
    if done.admitted:
        lines.append("KPI_Scorecard_Integration was assigned to the connection's user")
    fields = sum(len(spec.fields) for spec in made.wanted.objects)
    if done.proven:
        lines.append(f"{count(len(done.proven), 'field')} of {fields} cannot be used as the connection's user yet")
    else:
        lines.append(f"as the connection's user: {count(fields, 'field')} visible, each editable or a formula as it should be")
    lines += [f"next: {by_hand}",
              f"      {command()} sync --connection {name}"]  # fmt: skip
    summary: dict[str, object] = {"connection": name, "changes": len(_changed(made)), "unproven": len(done.proven)}
    return Answer(summary, result, lines, done.proven, 4 if done.proven else 0)


def status(connection: ConnectionOption = None, token_stdin: TokenOption = False) -> Answer:
    """Every field as it should be and as it is: missing, of another type, formula drifted, hidden, not editable, on no page; fields that no mapping
    uses; how many more the CRM allows. Exit 4 where a push would be refused.
    """
    from connector import provision

    token = _token() if token_stdin else None
    with opened() as app:
        found: dict[str, ProvisionPlan] = {}
        for name in _names(app, connection, token):
            with _sides(app, name, token) as (wanted, own, admin, user):
                found[name] = provision.look(wanted, own, admin, user.user_id)
    text: list[str | Table] = []
    findings: list[Finding] = []
    for name, made in found.items():
        text += [verdict(name, made, status=True), *_fields(made), *_around(made)]
        findings += _findings(name, made)
    failed = any(f.severity == "error" for f in findings)
    summary: dict[str, object] = {"fields": sum(len(m.fields) for m in found.values()), "not_ok": sum(len(_off(m.fields)) for m in found.values())}
    return Answer(summary, {n: _told(m) for n, m in found.items()}, text, findings, 4 if failed else 0)


def export(
    target: Annotated[str, typer.Option("--target", help="salesforce | hubspot")],
    connection: ConnectionOption = None,
    out: Annotated[Path | None, typer.Option(help="an empty or new directory; default: TARGET-project")] = None,
) -> Answer:
    """Write the same fields as a project of the vendor's own tools, for teams that deploy through a pipeline. Needs no connection to the CRM."""
    from connector import provision
    from connector.crms import registry

    made = registry.project(target)
    with opened() as app:
        names = [n for n in app.names(connection) if app.resolved.connection(n).crm == target]
        if not names:
            raise UsageError(f"no connection of this project is one of {target}")
        if len(names) > 1:
            raise UsageError(f"name one with --connection: {', '.join(names)}")
        wanted = provision.wanted(app.mapped(names[0]), app.definitions)
        declared = app.resolved.connection(names[0])
        files = made(wanted, declared.platform_version if target == "hubspot" else declared.api_version or "68.0")
        root = out or app.resolved.root / f"{target}-project"
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UsageError(f"{root} is not empty", next_step="choose another directory with --out")
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        app.store.audit.add("provision.exported", names[0], {"target": target, "to": str(root), "files": len(files)})
    return Answer(
        {"files": len(files), "out": str(root)},
        {"files": sorted(files)},
        [f"{count(len(files), 'file')} in {root}; how to deploy them: {root / 'DEPLOY.md'}"],
    )


# -- both sides ------------------------------------------------------------------------------------------------------


def _token() -> str:
    """An access token: one line of standard input, asked for without echo on a terminal. Never an argument."""
    given = getpass.getpass("administrator's access token: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not given.strip():
        raise UsageError("--token-stdin: standard input holds no token")
    return given.strip()


def _names(app: App, connection: str | None, token: str | None) -> Sequence[str]:
    """Connections whose CRM can be provisioned; a token belongs to one of them."""
    from connector.crms import registry

    names = app.names(connection)
    if connection is None:
        names = [name for name in names if app.resolved.connection(name).crm in registry.PROVISIONERS]
    if token is not None and len(names) != 1:
        raise UsageError(f"a token belongs to one connection: name it with --connection ({', '.join(names)})")
    return names


@contextlib.contextmanager
def _sides(app: App, name: str, token: str | None) -> Iterator[tuple[Wanted, Provisioner, Provisioner | None, Identity]]:
    """(what is wanted, the connection's own side, the administrator's, who the connection's user is). Raises AuthenticationError for a token
    of another account."""
    from connector import provision

    with contextlib.ExitStack() as stack:
        own = stack.enter_context(app.provisioner(name))
        wanted = provision.wanted(app.mapped(name), app.definitions)
        admin = stack.enter_context(app.provisioner(name, token)) if token is not None else None
        wanted = own.fitting(wanted)
        user = own.whoami()
        if admin is not None and (other := admin.whoami()).org_id != user.org_id:
            raise AuthenticationError(f"the token belongs to {other.org} ({other.org_id}), {name} to {user.org} ({user.org_id})")
        yield wanted, own, admin, user


def _ask(name: str, who: Identity, *, production: bool) -> None:
    """Before anything changes: on production always, elsewhere where somebody sits there. Standard input may have brought the token."""
    console = invocation().console
    if not production and not console.terminal:
        return
    question = f"deploy to {'PRODUCTION ' if production else ''}{name} ({who.org}) as {who.user}? [y/N] "
    try:
        with Path("/dev/tty").open("r+", encoding="utf-8") as terminal:
            terminal.write(question)
            terminal.flush()
            answer = terminal.readline()
    except OSError:
        raise UsageError(f"{name} is production: add --yes where nobody can be asked") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise typer.Abort


# -- words -----------------------------------------------------------------------------------------------------------


def verdict(name: str, made: ProvisionPlan, *, status: bool = False) -> str:
    """The first line: what would change, or that nothing would."""
    if status and not _off(made.fields) and not made.changes:
        return f"{name}: {count(len(made.fields), 'field')}, each as it should be"
    if not made.changes and not made.conflicts:
        return f"{name}: No changes."
    return f"{name}: {_tally(made)}"


def _tally(made: ProvisionPlan) -> str:
    fields = Counter(state.action for state in made.fields)
    others = Counter(piece.action for piece in made.pieces)
    parts = [f"{count(fields[action], 'field')} {WORDS[action]}" for action in WORDS if fields[action]]
    parts += [f"{count(others[action], 'other component')} {WORDS[action]}" for action in ("create", "change") if others[action]]
    return ", ".join(parts) or "No changes."


def _changed(made: ProvisionPlan) -> list[object]:
    return [*(s for s in made.fields if s.action not in ("ok", "conflict")), *(p for p in made.pieces if p.action in ("create", "change"))]


def _shown(made: ProvisionPlan, with_token: bool) -> Iterator[str | Table]:
    off = _off(made.fields)
    rows = [(state.action, f"{state.object}.{state.name}", "; ".join(state.said) or _cut(state.formula or "")) for state in off]
    rows += [(piece.action, f"{piece.kind} {piece.name}", piece.said) for piece in made.pieces if piece.action in ("create", "change")]
    if rows:
        yield from ("", Table(("", "what", ""), rows))
    if made.checked is not None and made.checked.ok:
        yield made.checked.said or f"the CRM would take all of it: {count(made.checked.total, 'component')} checked, every formula compiled"
    elif made.changes and not with_token and any(piece.action is None for piece in made.pieces):
        yield "formulas were not compiled and permission sets not looked at: both need an administrator's token (--token-stdin)"


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"


def _off(states: Sequence[FieldState]) -> list[FieldState]:
    return [state for state in states if state.action != "ok"]


def _fields(made: ProvisionPlan) -> Iterator[str | Table]:
    word = {"ok": "ok", "create": "missing", "change": "differs", "grant": "no access", "conflict": "other type"}
    placed = {True: "yes", False: "no", None: "?"}
    rows = [
        (word[s.action], f"{s.object}.{s.name}", "formula" if s.formula else "written", placed[s.placed], "; ".join(s.said))
        for s in made.fields
    ]  # fmt: skip
    yield from ("", Table(("", "field", "", "on a page", ""), rows))


def _around(made: ProvisionPlan) -> Iterator[str]:
    for piece in made.pieces:
        if piece.action != "ok" and piece.kind in ("permission set", "assignment"):
            state = {None: "not known", "create": "missing", "change": "differs"}[piece.action]
            yield f"{piece.kind} {piece.name}: {state}{f' ({piece.said})' if piece.said else ''}"
    for object_, left in made.quota.items():
        yield f"{object_}: {'how many more fields it may have is not known' if left is None else f'{left:,} more fields allowed'}"
    if made.unread:
        yield f"record pages that could not be looked into: {', '.join(made.unread)}"
    for key, why in sorted(made.wanted.left_out.items()):
        yield f"left out: {key} ({why})"


def _findings(name: str, made: ProvisionPlan) -> Iterator[Finding]:
    from connector import provision

    yield from made.conflicts
    step = f"{command()} provision apply --connection {name} --token-stdin"
    for state in made.fields:
        where = f"{state.object}.{state.name}"
        if state.action == "create":
            yield Finding("SC-E154", f"{where} is not there" if not state.said else f"{where}: {state.said[0]}", next=step)
        for code, why in state.refused:
            yield Finding(code, f"{where}: {why}", next=CODES[code].next_step if code == provision.NO_RIGHT else step)
    for unused in made.unused:
        yield Finding("SC-W152", f"{unused} is used by no mapping", "warning")


def _told(made: ProvisionPlan) -> Mapping[str, Any]:
    return {
        "fields": [asdict(state) for state in made.fields], "pieces": [asdict(piece) for piece in made.pieces], "unused": list(made.unused),
        "quota": dict(made.quota), "unread_pages": list(made.unread), "left_out": dict(made.wanted.left_out),
        "checked": asdict(made.checked) if made.checked is not None else None,
    }  # fmt: skip
