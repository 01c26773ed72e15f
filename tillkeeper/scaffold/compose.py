"""Writes what Docker Compose needs: the file itself, the configuration in a folder, and the servers' passwords."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from tillkeeper.packaged import packaged
from tillkeeper.scaffold.configuration import configuration, new_secret
from tillkeeper.scaffold.plan import File, ScaffoldPlan

IMAGE_USER: Final = 10001  # of deploy/Dockerfile
FILES: Final = ("compose.yaml", "rabbitmq.conf", "nginx.conf")
FOLDERS: Final = ("prometheus", "grafana")


def files(plan: ScaffoldPlan) -> list[File]:
    """Returns all files.  Containers run as who writes them, or as the image's user where that is root."""
    user = os.getuid() or IMAGE_USER
    postgres, rabbitmq = new_secret(), new_secret()
    plan = msgspec.structs.replace(
        plan,
        database_url=f"postgresql://tillkeeper:{postgres}@postgres:5432/tillkeeper",
        broker_url=f"amqp://tillkeeper:{rabbitmq}@rabbitmq:5672/tillkeeper",
    )
    return [
        *configuration(plan, owner=user if os.getuid() != user else None),
        *_copied(plan.directory),
        File(path=plan.directory / ".env", text=f"TILLKEEPER_UID={user}\nTILLKEEPER_GID={os.getgid() or user}\n"),
        *_passwords(plan.directory / "secrets", postgres=postgres, rabbitmq=rabbitmq),
    ]


def commands(directory: Path) -> list[tuple[str, str]]:
    """Returns what comes after the env file."""
    return [
        (f"cd {directory} && docker compose up --detach", "the database's schema, then every role"),
        ("docker compose run --rm ingest check", "what is ready, and what is left to do"),
    ]


def _copied(directory: Path) -> Iterator[File]:
    for name in FILES:
        yield File(path=directory / name, text=packaged(name).read_text())
    for folder in FOLDERS:
        top = packaged(folder)
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            yield File(path=directory / folder / path.relative_to(top), text=path.read_text())


def _passwords(directory: Path, *, postgres: str, rabbitmq: str) -> Iterator[File]:
    """Yields files that others may read, for their containers have users of their own, in a folder that is closed."""
    yield File(path=directory / "postgres_password", text=f"{postgres}\n", closed=True)
    user = f"default_user = tillkeeper\ndefault_pass = {rabbitmq}\n"
    yield File(path=directory / "rabbitmq_user.conf", text=user, closed=True)
    yield File(path=directory / "grafana_password", text=f"{new_secret()}\n", closed=True)
