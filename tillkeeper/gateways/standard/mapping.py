"""What a provider's own payload means, as a table says: paths to an event's fields, and its words for our kinds."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import AfterValidator, BaseModel, Field, model_validator

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.money import EXPONENTS
from tillkeeper.gateways.account import STRICT
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import form, strictjson, units
from tillkeeper.gateways.kit.fields import moment_from_rfc3339, moment_from_unix
from tillkeeper.gateways.kit.times import moment_from_compact, moment_from_dashed
from tillkeeper.gateways.kit.unknown_words import unknown_word

EVENTS_MAX: Final = 500  # of one delivery
CODE_CHARS_MAX: Final = 64
FAILING: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED, Kind.REFUND_FAILED})
FIXED: Final = "="  # begins a value that stands in the configuration instead of a path
_ZONE: Final = r"^[+-](0\d|1[0-4]):[0-5]\d$"


def _check_path(path: str) -> str:
    if not path or (not path.startswith(FIXED) and "" in path.split(".")):
        raise ValueError("a path is names with dots between them, such as data.object.id, or = and a fixed value")
    return path


def _check_currency(path: str) -> str:
    if path.startswith(FIXED) and path[1:] not in EXPONENTS:
        raise ValueError("a fixed currency is written as =CNY, by its ISO 4217 code")
    return path


Path = Annotated[str, AfterValidator(_check_path)]
Paths = Path | tuple[Path, ...]  # several: the first that leads somewhere


# What each kind cannot do without, and the settings that tell it.
_NEEDED: Final[tuple[tuple[Callable[[Kind], bool], tuple[str, ...]], ...]] = (
    (lambda kind: kind.is_payment, ("payment_ref",)),
    (lambda kind: kind is Kind.PAYMENT_SUCCEEDED, ("amount",)),
    (lambda kind: kind.is_refund, ("refund_ref", "total")),
    (lambda kind: kind.is_dispute, ("dispute_ref",)),
)


class MappingSettings(BaseModel):
    """`[accounts.NAME.mapping]`: where in the payload each field of an event stands."""

    model_config = STRICT

    body: Literal["json", "form"] = "json"
    events: Path | None = None  # to a list, where a delivery carries several; the other paths begin in each item
    event_id: tuple[Path, ...] | Path | None = None  # several are joined; none: the id that a header tells
    kind: tuple[Path, ...] | Path  # several are joined by /
    kinds: Annotated[dict[str, Kind | Literal["ignore"]], Field(min_length=1)]
    order_ref: Paths | None = None
    payment_ref: Paths | None = None
    capture_ref: Paths | None = None
    refund_ref: Paths | None = None
    dispute_ref: Paths | None = None
    amount: Paths | None = None
    total: Paths | None = None
    unit: Literal["minor", "major"] = "minor"
    digits: dict[Annotated[str, Field(pattern="^[A-Z]{3}$")], Annotated[int, Field(ge=0, le=4)]] = {}
    currency: Annotated[Path, AfterValidator(_check_currency)] | None = None
    occurred_at: Paths
    time: Literal["rfc3339", "unix", "unix_ms", "dashed", "compact"] = "rfc3339"
    zone: Annotated[str, Field(pattern=_ZONE)] = "+00:00"  # of times that are written without one
    failure: Paths | None = None
    failures: dict[str, FailureClass] = {}
    method: Paths | None = None
    only: dict[Path, str] = {}  # what must stand there for an event to be ours

    @model_validator(mode="after")
    def _check_kinds(self) -> Self:
        """What no delivery could ever fulfil is refused here, and not with each delivery."""
        joined = len(_each(self.kind))
        for word in self.kinds:
            if word.count("/") < joined - 1:
                raise ValueError(f"kinds: {word!r} can never come, for kind joins {joined} paths by /, as in 'a/b'")
        for needed, given in _NEEDED:
            for word, kind in self.kinds.items():
                if kind != "ignore" and needed(kind) and all(getattr(self, name) is None for name in given):
                    raise ValueError(
                        f"{' or '.join(given)} is missing, and kinds has {word!r} = {kind}, which needs it"
                    )
        if self.currency is None and not (self.amount is self.total is None):
            raise ValueError("currency is missing, and amounts mean nothing without it; a fixed one is written as =CNY")
        return self


class Mapped:
    """A mapping, ready to read payloads with."""

    def __init__(self, account: str, settings: MappingSettings) -> None:
        self._account = account
        self._settings = settings
        self._zone = _zone(settings.zone)

    def events(self, body: bytes, message_id: str) -> tuple[PaymentEvent, ...]:
        """The events in a payload, none where it is of no interest.  Raises BadPayload."""
        content = self._read(body)
        items = [content] if self._settings.events is None else _items(content, self._settings.events)
        events = [it for at, item in enumerate(items) if (it := self._event(item, message_id, at)) is not None]
        return tuple(events)

    def _read(self, body: bytes) -> object:
        if self._settings.body == "form":
            return dict(form.decode(body).fields)
        content = strictjson.loads(body)
        if not isinstance(content, dict):
            raise BadPayload("the body is no object")
        return content

    def _event(self, item: object, message_id: str, at: int) -> PaymentEvent | None:
        it = self._settings
        if not self._is_ours(item):
            return None
        word = self._word(item)
        if word not in it.kinds:
            unknown_word("mapping.kinds", word)
        kind = it.kinds.get(word, "ignore")
        if kind == "ignore":
            return None
        currency = None if it.currency is None else _text(item, it.currency)
        if currency is not None and not units.is_currency(currency.upper(), "mapping.currency"):
            return None
        code = _first(item, it.failure) if kind in FAILING else None
        made = PaymentEvent(
            event_id=self._event_id(item, message_id, at),
            kind=kind,
            account=self._account,
            occurred_at=self._moment(item),
            order_ref=_first(item, it.order_ref),
            payment_ref=_first(item, it.payment_ref),
            capture_ref=_first(item, it.capture_ref),
            refund_ref=_first(item, it.refund_ref),
            dispute_ref=_first(item, it.dispute_ref),
            currency=None if currency is None else currency.upper(),
            failure=None if code is None else it.failures.get(code, FailureClass.UNKNOWN),
            failure_code=None if code is None else code[:CODE_CHARS_MAX],
            method=_first(item, it.method) if kind.is_payment else None,
        )
        made = msgspec.structs.replace(
            made,
            amount=self._amount(item, it.amount, made.currency),
            total=self._amount(item, it.total, made.currency) if kind.is_refund else None,
        )
        if problem := problem_with(made):
            raise BadPayload("; ".join((problem, *self._nowhere(item, kind))))
        return made

    def remarks(self, body: bytes) -> tuple[str, ...]:
        """What in a payload that can be read looks like a mistake in the mapping.  Raises BadPayload."""
        content = self._read(body)
        items = [content] if self._settings.events is None else _items(content, self._settings.events)
        return tuple(dict.fromkeys(it for item in items for it in self._remarks(item)))

    def _remarks(self, item: object) -> Iterator[str]:
        it = self._settings
        if not self._is_ours(item):
            yield "what only asks for does not stand there: it counts as another's"
            return
        word = self._word(item)
        if word not in it.kinds:
            yield f"{word!r} does not stand in mapping.kinds: nothing becomes of it; there are {', '.join(it.kinds)}"
        kind = it.kinds.get(word, "ignore")
        if kind == "ignore":
            return
        yield from self._nowhere(item, kind)
        amount = _any(item, it.amount)
        if it.unit == "major" and type(amount) is int and amount:
            yield f'amount: {amount} is read as major units; if it counts minor ones, set unit = "minor"'

    def _nowhere(self, item: object, kind: Kind) -> Iterator[str]:
        """Paths that lead nowhere in an event whose kind would have something there."""
        it = self._settings
        expected: dict[str, Paths | None] = {"order_ref": it.order_ref, "payment_ref": it.payment_ref}
        expected |= {"refund_ref": it.refund_ref} if kind.is_refund else {}
        expected |= {"dispute_ref": it.dispute_ref} if kind.is_dispute else {}
        expected |= {"amount": it.amount, "currency": it.currency}
        for name, paths in expected.items():
            if paths is not None and _any(item, paths) is None:
                yield f"{name}: {', '.join(_each(paths))} leads nowhere"

    def _is_ours(self, item: object) -> bool:
        return all(_text(item, path) == wanted for path, wanted in self._settings.only.items())

    def _word(self, item: object) -> str:
        paths = _each(self._settings.kind)
        words = [_text(item, path) for path in paths]
        if not any(words):
            raise BadPayload(f"kind: {', '.join(paths)} leads nowhere")
        return "/".join(each or "" for each in words)

    def _event_id(self, item: object, message_id: str, at: int) -> str:
        if self._settings.event_id is None:
            if not message_id:
                raise BadPayload("nothing tells the event's id: set event_id, or signature.id_header")
            return message_id if self._settings.events is None else f"{message_id}:{at}"
        parts = [_text(item, path) for path in _each(self._settings.event_id)]
        if None in parts:
            raise BadPayload(f"event_id: one of {', '.join(_each(self._settings.event_id))} is missing")
        return ":".join(part for part in parts if part is not None)

    def _amount(self, item: object, paths: Paths | None, currency: str | None) -> int | None:
        value = _any(item, paths)
        if value is None:
            return None
        if currency is None:
            raise BadPayload("an amount has no currency")
        if self._settings.unit == "major":
            return units.from_major(value, currency)
        try:
            minor = _whole(value)
        except BadPayload as refused:
            raise BadPayload(f'{refused.reason}; amounts in major units, such as 129.00, need unit = "major"') from None
        return units.from_minor(minor, currency, self._settings.digits)

    def _moment(self, item: object) -> datetime:
        value = _any(item, self._settings.occurred_at)
        if value is None:
            raise BadPayload("occurred_at leads nowhere")
        match self._settings.time:
            case "unix" | "unix_ms":
                seconds = _whole(value)
                return moment_from_unix(seconds // 1000 if self._settings.time == "unix_ms" else seconds)
            case "rfc3339":
                return moment_from_rfc3339(_written(value))
            case "dashed":
                return moment_from_dashed(_written(value), self._zone)
            case _:  # compact
                return moment_from_compact(_written(value), self._zone)


def _zone(written: str) -> timezone:
    hours, minutes = written[1:].split(":")
    shift = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-shift if written.startswith("-") else shift) if shift else UTC


def _each(paths: Any) -> Sequence[str]:
    return () if paths is None else (paths,) if isinstance(paths, str) else paths


def _items(content: object, path: str) -> list[Any]:
    items = _value(content, path)
    if not isinstance(items, list) or len(items) > EVENTS_MAX:
        raise BadPayload(f"events: {path} is no list of at most {EVENTS_MAX}")
    return items


def _value(content: object, path: str) -> object:
    """What stands at a path; None where it, or anything on the way to it, is absent, null or empty.

    A field whose own name is the whole path comes first: in a form, a name may hold dots.
    """
    if path.startswith(FIXED):
        return path.removeprefix(FIXED)
    for name in (path,) if isinstance(content, dict) and path in content else path.split("."):
        if isinstance(content, dict):
            content = content.get(name)
        elif isinstance(content, list) and name.isascii() and name.isdigit():
            content = content[int(name[:9])] if int(name[:9]) < len(content) else None
        else:
            return None
    return None if content == "" else content


def _any(content: object, paths: Paths | None) -> object:
    return next((found for path in _each(paths) if (found := _value(content, path)) is not None), None)


def _text(content: object, path: str) -> str | None:
    """The text at a path; numbers are written out, for ids are numbers at some."""
    value = _value(content, path)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise BadPayload(f"{path} is neither text nor a whole number")


def _first(content: object, paths: Paths | None) -> str | None:
    return next((found for path in _each(paths) if (found := _text(content, path)) is not None), None)


def _whole(value: object) -> int:
    """A whole number, or text that is one."""
    is_written = isinstance(value, str) and value.isascii() and value.isdigit()
    if isinstance(value, str) and is_written and len(value) <= strictjson.INTEGER_DIGITS_MAX:
        return int(value)
    if type(value) is not int:
        raise BadPayload("an amount or a time is not a whole number")
    return value


def _written(value: object) -> str:
    if not isinstance(value, str):
        raise BadPayload("a time is not text")
    return value
