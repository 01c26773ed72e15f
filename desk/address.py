"""Says what the parameters in a page's address may be; anything else is answered 400 and named, on every page.

Names that a page does not know say nothing to it: programs for chats add their own to links that people send, as WeChat
adds from=singlemessage.  The API refuses such names, for who writes a program can mend it.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from aiohttp import web

from tillkeeper.desk.form import is_keepable, moment_in, month_in, number_in
from tillkeeper.domain.order.notices import Audience
from tillkeeper.store.reports.stuck import STUCK

SHOWN_CHARS: Final = 60  # of what was sent: more tells nobody more


class BadAddress(Exception):
    """The address of a page holds something that the page does not take; `word` is the key of what is said about it."""

    def __init__(self, word: str, name: str, text: str = "", takes: str = "") -> None:
        super().__init__(word)
        self.word = word
        self.name = name[:SHOWN_CHARS]
        self.text = text[:SHOWN_CHARS]
        self.takes = takes


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """What a parameter of an address may be: `read` raises HTTPBadRequest for what it is not."""

    word: str = "text"  # the key of what is said of anything else
    read: Callable[[str], object] | None = None
    one_of: Collection[str] = ()
    is_many: bool = False  # it may stand there several times
    is_free: bool = False  # of any length, and of any characters


TEXT: Final = Parameter()
NUMBER: Final = Parameter(word="number", read=number_in)
MONTH: Final = Parameter(word="month", read=month_in)
MOMENT: Final = Parameter(word="moment", read=moment_in)
NUMBERS: Final = Parameter(word="number", read=number_in, is_many=True)
TEXTS: Final = Parameter(is_many=True)
PASTED: Final = Parameter(is_free=True)
DONE: Final = Parameter(word="one_of", one_of=("1",))


def one_of(*words: str) -> Parameter:
    """Returns a parameter that is one of these words."""
    return Parameter(word="one_of", one_of=words)


_ORDER: Final = "/orders/{ref:[^/]+}"
_NOTHING: Final[Mapping[str, Parameter]] = MappingProxyType({})
# By the route's path; pages that are not here take nothing.  `after` is a place in a list, which the list itself reads.
_TAKEN: Final[Mapping[str, Mapping[str, Parameter]]] = MappingProxyType(
    {
        "/find": {"q": PASTED},
        "/stuck": {"status": one_of(*STUCK), "account": TEXT, "after": TEXT},
        "/orders": {"ref": TEXT, "before": NUMBER},
        _ORDER: {"before": NUMBER},
        f"{_ORDER}/as-of": {"at": MOMENT},
        "/cases": {
            "owner": TEXT,
            "due": one_of("today"),
            "kind": TEXT,
            "level": NUMBER,
            "account": TEXT,
            "closed": one_of("too"),
            "after": TEXT,
        },
        "/cases/many": {"act": one_of("take", "escalate", "resolve"), "id": NUMBERS, "done": DONE},
        "/parked": {"reason": TEXT, "account": TEXT, "closed": one_of("too"), "after": NUMBER},
        "/parked/many": {"act": one_of("replay", "discard"), "id": NUMBERS, "done": DONE},
        "/waiting": {
            "show": one_of("came", "on_its_way", "mismatched"),
            "account": TEXT,
            "first": one_of("longest"),
            "after": TEXT,
        },
        "/waiting/payment": {"account": TEXT, "payment": TEXT},
        "/refused": {"account": TEXT, "finding": TEXT, "before": NUMBER},
        "/refused/retry": {"id": NUMBERS},
        "/refused/retried": {"taken": NUMBERS, "left": NUMBERS},
        "/outbox": {"state": one_of("pending", "dead"), "audience": one_of(*Audience), "after": TEXT},
        "/outbox/retry": {"key": TEXTS},
        "/outbox/retried": {"retried": TEXTS, "left": TEXTS},
        "/books": {"account": TEXT},
        "/reports": {"month": MONTH, "account": TEXT},
        "/handover": {"since": MOMENT},
    }
)


def taken_by(path: str) -> Mapping[str, Parameter]:
    """Returns what the page of this route takes."""
    return _TAKEN.get(path, _NOTHING)


def check_address(request: web.Request, path: str) -> None:
    """Raises BadAddress for the first parameter that cannot be what the page takes; one that is empty is as none."""
    for name, wanted in taken_by(path).items():
        texts = request.query.getall(name, [])
        if len(texts) > 1 and not wanted.is_many:
            raise BadAddress("twice", name)
        for text in texts:
            _check(name, text.strip(), wanted)


def _check(name: str, text: str, wanted: Parameter) -> None:
    if not text:
        return
    if not (wanted.is_free or is_keepable(text)):
        raise BadAddress("text", name)
    if wanted.one_of and text not in wanted.one_of:
        raise BadAddress(wanted.word, name, text, takes=", ".join(wanted.one_of))
    if wanted.read is not None:
        try:
            wanted.read(text)
        except web.HTTPBadRequest:
            raise BadAddress(wanted.word, name, text) from None
