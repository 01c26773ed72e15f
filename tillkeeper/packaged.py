"""Finds the files of deploy/ that are installed with the program: in the package or, in a checkout, beside it."""

from pathlib import Path

import tillkeeper


def packaged(name: str) -> Path:
    """Returns the path of a file or folder of deploy/."""
    package = Path(tillkeeper.__file__).parent
    inside = package / "deploy" / name
    return inside if inside.exists() else package.parent / "deploy" / name
