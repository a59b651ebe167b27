"""connector secrets init."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.output import Answer
from connector.cli.project import opened
from connector.errors import SettingsError

Out = Annotated[Path | None, typer.Option("--out", help="where the key goes; default: a file of the project's name in your configuration directory")]


def init(out: Out = None) -> Answer:
    """Make the key that encrypts refresh tokens in the state: a file that only you read, outside the project, so that a copy or a backup
    of the project is not enough to sign in. An existing file is never overwritten."""
    from cryptography.fernet import Fernet

    from connector.settings import KEY_VARIABLE

    with opened() as app:
        path = (out or _default(app.resolved.settings.project.name)).expanduser().resolve()
        for place in (app.resolved.root.resolve(), app.resolved.state_dir.resolve()):
            if path.is_relative_to(place):
                raise SettingsError(
                    f"{path} is inside {place}: whoever copies that would have the key too", next_step="connector secrets init --out PATH"
                )
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise SettingsError(f"{path} exists", next_step=f"export {KEY_VARIABLE}_FILE={path}, or choose another place with --out") from None
        except OSError as error:
            raise SettingsError(f"{path} cannot be written: {error.strerror}", next_step="choose another place with --out") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
        app.store.audit.add("secret.key_made", KEY_VARIABLE, {"file": str(path)})
    return Answer({"key_file": str(path)}, {"variable": f"{KEY_VARIABLE}_FILE"}, [f"the key is in {path}", f"  export {KEY_VARIABLE}_FILE={path}"])


def _default(project: str) -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "scorecard-connector" / f"{project}.key"
