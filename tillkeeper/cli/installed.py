"""Commands that are installed beside the product's own.  Each is an entry point of one group that names a typer app."""

from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from tillkeeper.cli.errors import WRONG, CommandError, reported

GROUP: Final = "tillkeeper.commands"
# What a command needs that is known and not installed, by the command's name.
EXTRAS: Final = {"sandbox": "pip install 'tillkeeper[sandbox]'"}


class Commands(TyperGroup):
    """The product's own commands; the installed ones are looked up for `--help`, and for what is none of its own."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names that `--help` shows."""
        return [*super().list_commands(ctx), *sorted(_installed().names)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns the command of a name, or None."""
        own = super().get_command(ctx, cmd_name)
        return own if own is not None else _installed_command(ctx, cmd_name)


def _installed() -> Any:
    # Imported late, for it takes longer than everything else that `tillkeeper order show` needs.
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _installed_command(ctx: Any, name: str) -> Any:
    points = _installed()
    if name in points.names:
        app = points[name].load()
    elif name in EXTRAS:
        app = _saying_what_is_missing(name)
    else:
        return None
    group = typer.Typer(rich_markup_mode=None)  # help looks like that of the product's own
    group.add_typer(app)
    return get_group(group).get_command(ctx, name)


def _saying_what_is_missing(name: str) -> typer.Typer:
    app = typer.Typer()
    takes_anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

    @app.command(name, context_settings=takes_anything)
    def say_what_is_missing() -> None:
        with reported(as_json=False):
            raise CommandError(f"{name} is not installed; it comes with: {EXTRAS[name]}", code=WRONG)

    return app
