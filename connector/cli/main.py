"""Dispatch: a table of verbs whose modules are imported only when called, exit codes, the one place where exceptions end."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.models import CommandInfo

from connector import __version__, logs
from connector.cli.commands import COMMANDS, GROUPS
from connector.cli.output import Answer, Console, color_forced, color_wanted
from connector.errors import ConnectorError, Finding, UsageError

USAGE = 64
GLOBALS_HELP = (
    "Everywhere: --project DIR  --env-file PATH  --json  -q  -v  --log-level L  --log-format {pretty|json}  --no-color  "
    "(exit codes: 0 ok, 1 error, 2 changes with --detailed-exitcode, 3 partial, 4 blocked, 5 authentication, 64 usage)"
)


@dataclass(frozen=True, slots=True)
class Invocation:
    """The flags that every verb understands."""

    console: Console
    project: Path
    env_file: Path | None
    log_level: str
    log_format: str


_current: list[Invocation] = []


def invocation() -> Invocation:
    """The flags of the running command."""
    return _current[-1]


class LazyGroup(TyperGroup):
    """A group whose commands come from the table: help reads the table, only dispatch imports a verb's module."""

    path: tuple[str, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        depth = len(self.path)
        names = [name.split() for name in COMMANDS]
        return list(dict.fromkeys(parts[depth] for parts in names if tuple(parts[:depth]) == self.path and len(parts) > depth))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        whole = " ".join((*self.path, cmd_name))
        if whole in COMMANDS:
            return _load(whole, cmd_name)
        if whole in GROUPS:
            return _group(whole, cmd_name)
        return None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, _line(" ".join((*self.path, name)))) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _line(whole: str) -> str:
    return COMMANDS[whole][1] if whole in COMMANDS else GROUPS[whole]


def _load(whole: str, name: str) -> Any:
    module, function = COMMANDS[whole][0].split(":")
    verb = getattr(importlib.import_module(module), function)
    info = CommandInfo(name=name, callback=verb, help=verb.__doc__, epilog=GLOBALS_HELP)
    return typer.main.get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)


def _group(whole: str, name: str) -> LazyGroup:
    group = LazyGroup(name=name, help=GROUPS[whole], no_args_is_help=True, rich_markup_mode=None, epilog=GLOBALS_HELP)
    group.path = tuple(whole.split())
    return group


def root() -> LazyGroup:
    """The command tree."""
    return LazyGroup(
        name="connector",
        help="Pull deals from Salesforce and HubSpot, compute KPIs, write scorecard fields back.",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog=GLOBALS_HELP,
    )


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        rest, current = _globals(list(arguments))
    except UsageError as error:
        Console(json="--json" in arguments).failure("", error.finding(), (), USAGE)
        return USAGE
    console = current.console
    if "--version" in rest[:1]:
        print(f"connector {__version__}")
        return 0
    _current.append(current)
    try:
        with logs.to(console.err, current.log_level, current.log_format):
            answer = _dispatch(rest)
        if isinstance(answer, Answer):
            console.answer(_verb(rest), answer)
            return answer.exit_code
        return int(answer or 0)
    except ConnectorError as error:
        if isinstance(error, UsageError) and error.next_step is None:
            error.next_step = f"connector {_verb(rest)} --help".replace("  ", " ")
        console.failure(_verb(rest), error.finding(), error.findings, error.exit_code)
        if console.verbose:
            _causes(error, console)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _unexpected(error, console, rest)
    finally:
        _current.pop()


def _dispatch(rest: list[str]) -> Any:
    """Run the command that the leading words name. Straight to its verb: a group in between would load pydantic to read its own flags."""
    words = _known(rest)
    whole, left = " ".join(words), rest[len(words) :]
    if whole in COMMANDS:
        return _load(whole, words[-1]).main(left, prog_name=f"connector {whole}", standalone_mode=False)
    group = _group(whole, words[-1]) if words else root()
    if not left and invocation().console.json:
        raise UsageError("a command is missing; known: " + ", ".join(group.list_commands(None)))
    if not left:
        print(group.get_help(typer.Context(group, info_name=f"connector {whole}".rstrip())), file=sys.stderr)
        return USAGE
    if not left[0].startswith("-"):
        names = group.list_commands(None)
        near = get_close_matches(left[0], names, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(names)}"
        raise UsageError(f"no command {' '.join((*words, left[0]))!r}{hint}", next_step=f"connector {whole} --help".replace("  ", " "))
    return group.main(left, prog_name=f"connector {whole}".rstrip(), standalone_mode=False)


def _unexpected(error: Exception, console: Console, rest: list[str]) -> int:
    if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # usage errors of Typer's own Click
        finding = Finding(code="SC-E002", message=str(error.format_message()), next=f"connector {' '.join(_known(rest))} --help".replace("  ", " "))
        console.failure(_verb(rest), finding, (), USAGE)
        return USAGE
    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0))
    if type(error).__name__ == "Abort":
        return 130
    finding = Finding(code="SC-E001", message=f"{type(error).__name__} (a bug of ours)", next="run again with -v and report what it prints")
    console.failure(_verb(rest), finding, (), 1)
    if console.verbose:
        _frames(error, console)
        _causes(error, console)
    return 1


def _causes(error: BaseException, console: Console) -> None:
    """The chain of causes by class and place. Never their messages: those may hold values of records."""
    while (cause := error.__cause__ or error.__context__) is not None:
        print(f"  caused by {type(cause).__name__}", file=console.err)
        _frames(cause, console)
        error = cause


def _frames(error: BaseException, console: Console) -> None:
    for frame, line in traceback.walk_tb(error.__traceback__):
        print(f"    {frame.f_globals.get('__name__')}:{line} in {frame.f_code.co_name}", file=console.err)


def _verb(rest: list[str]) -> str:
    return " ".join(_known(rest))


def _known(rest: list[str]) -> list[str]:
    """The leading words that name a command."""
    words: list[str] = []
    for word in rest:
        whole = " ".join((*words, word))
        if whole not in COMMANDS and whole not in GROUPS:
            break
        words.append(word)
        if whole in COMMANDS:
            break
    return words


def _globals(arguments: list[str]) -> tuple[list[str], Invocation]:
    """Global flags may stand before or after the verb; what is left is the verb and its own words."""
    flags = {"--json": False, "-q": False, "-v": False, "--no-color": False}
    values: dict[str, str | None] = {"--project": None, "--env-file": None, "--log-level": "warning", "--log-format": "pretty"}
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, given = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif word in flags:
            flags[word] = True
        elif name in values:
            if not (given or (not equals and (given := next(words, "")))):
                raise UsageError(f"{name} needs a value")
            values[name] = given
        else:
            rest.append(word)
    _one_of("--log-level", values, logs.LEVELS)
    _one_of("--log-format", values, logs.FORMATS)
    console = Console(json=flags["--json"], quiet=flags["-q"], verbose=flags["-v"], color=color_wanted(flags["--no-color"]), forced=color_forced())
    env_file = Path(values["--env-file"]) if values["--env-file"] else None
    project = Path(values["--project"] or ".")
    return rest, Invocation(console, project, env_file, str(values["--log-level"]), str(values["--log-format"]))


def _one_of(flag: str, values: Mapping[str, str | None], known: Sequence[str]) -> None:
    if values[flag] not in known:
        raise UsageError(f"{flag} {values[flag]!r}: known are {', '.join(known)}")


def run() -> None:
    """Entry point of the ``connector`` script."""
    sys.exit(main(sys.argv[1:]))
