"""Decides where a person goes after signing in: to the page that they wanted, which is one of ours, or to the first."""

import re
from typing import Final

FIRST_PAGE: Final = "/"
PATH_CHARS_MAX: Final = 2000
# A path of ours begins with a letter.  So neither `//host`, `/\host` nor `/%2f%2fhost` is one, however it is read.
_OURS: Final = re.compile(r"/(?:[A-Za-z?][!#-;=?-\[\]^_a-z~]*)?")


def local_path(wanted: str) -> str:
    """Returns the path if it is one of ours, else that of the first page."""
    return wanted if len(wanted) <= PATH_CHARS_MAX and _OURS.fullmatch(wanted) else FIRST_PAGE
