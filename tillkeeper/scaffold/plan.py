"""What is asked before the files of a new installation are written."""

from pathlib import Path
from typing import Final, Literal

import msgspec

Target = Literal["run", "systemd", "compose"]
TARGETS: Final[tuple[Target, ...]] = ("run", "systemd", "compose")


class ScaffoldPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The answers.  Paths are absolute."""

    directory: Path
    gateways: tuple[str, ...]
    target: Target = "run"
    database_url: str
    broker_url: str | None = None
    public_url: str
    notices_url: str | None = None
    program: Path  # of this installation, for units

    @property
    def config_directory(self) -> Path:
        """Where configuration, policy and env file are written."""
        return self.directory / "config" if self.target == "compose" else self.directory

    @property
    def seen_directory(self) -> Path:
        """Where Tillkeeper itself sees that folder: in a container it is mounted."""
        return Path("/etc/tillkeeper") if self.target == "compose" else self.directory


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be written."""

    path: Path
    text: str
    mode: int = 0o644
    closed: bool = False  # whether its folder is the owner's alone
    owner: int | None = None  # a user's number; None: whoever writes it


def account_of(gateway: str) -> str:
    """Returns the name that a first account at the gateway gets."""
    return f"{gateway.replace('_', '-')}-main"
