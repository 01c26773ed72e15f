"""Reads a provider's payload by a table: paths to an event's fields, and its words for our kinds."""

from collections.abc import Callable, Iterator
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
from tillkeeper.gateways.standard.paths import (
    FIXED,
    Path,
    Paths,
    each,
    first_text,
    first_value,
    text_at,
    value_at,
    whole_number,
)

EVENTS_MAX: Final = 500  # of one delivery
CODE_CHARS_MAX: Final = 64
FAILING: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED, Kind.REFUND_FAILED})
_ZONE: Final = r"^[+-](0\d|1[0-4]):[0-5]\d$"


def _check_currency(path: str) -> str:
    if path.startswith(FIXED) and path[1:] not in EXPONENTS:
        raise ValueError("a fixed currency is written as =CNY, by its ISO 4217 code")
    return path


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
        joined = len(each(self.kind))
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


class PayloadMapping:
    """The mapping of one account, ready to read payloads with."""

    def __init__(self, account: str, settings: MappingSettings) -> None:
        self._account = account
        self._settings = settings
        self._zone = _zone(settings.zone)

    def events(self, body: bytes, message_id: str) -> tuple[PaymentEvent, ...]:
        """Returns the events in a payload, none where it is of no interest.  Raises BadPayload."""
        events = (self._event(item, message_id, index) for index, item in enumerate(self._items(body)))
        return tuple(event for event in events if event is not None)

    def remarks(self, body: bytes) -> tuple[str, ...]:
        """Returns what in a payload that can be read looks like a mistake in the mapping.  Raises BadPayload."""
        return tuple(dict.fromkeys(remark for item in self._items(body) for remark in self._remarks(item)))

    def _items(self, body: bytes) -> list[Any]:
        content, path = self._read(body), self._settings.events
        if path is None:
            return [content]
        items = value_at(content, path)
        if not isinstance(items, list) or len(items) > EVENTS_MAX:
            raise BadPayload(f"events: {path} is no list of at most {EVENTS_MAX}")
        return items

    def _read(self, body: bytes) -> object:
        if self._settings.body == "form":
            return dict(form.decode(body).fields)
        content = strictjson.loads(body)
        if not isinstance(content, dict):
            raise BadPayload("the body is no object")
        return content

    def _event(self, item: object, message_id: str, index: int) -> PaymentEvent | None:
        kind = self._kind_of(item) if self._is_ours(item) else None
        if kind is None:
            return None
        currency = self._currency_of(item)
        if currency is not None and not units.is_currency(currency, "mapping.currency"):
            return None
        event = self._with_amounts(
            self._bare_event(item, kind, self._event_id(item, message_id, index)), item, currency
        )
        if problem := problem_with(event):
            raise BadPayload("; ".join((problem, *self._dead_ends(item, kind))))
        return event

    def _bare_event(self, item: object, kind: Kind, event_id: str) -> PaymentEvent:
        """Returns the event without its amounts."""
        settings = self._settings
        code = first_text(item, settings.failure) if kind in FAILING else None
        return PaymentEvent(
            event_id=event_id,
            kind=kind,
            account=self._account,
            occurred_at=self._moment(item),
            order_ref=first_text(item, settings.order_ref),
            payment_ref=first_text(item, settings.payment_ref),
            capture_ref=first_text(item, settings.capture_ref),
            refund_ref=first_text(item, settings.refund_ref),
            dispute_ref=first_text(item, settings.dispute_ref),
            failure=None if code is None else settings.failures.get(code, FailureClass.UNKNOWN),
            failure_code=None if code is None else code[:CODE_CHARS_MAX],
            method=first_text(item, settings.method) if kind.is_payment else None,
        )

    def _with_amounts(self, event: PaymentEvent, item: object, currency: str | None) -> PaymentEvent:
        amount = self._amount(item, self._settings.amount, currency)
        total = self._amount(item, self._settings.total, currency) if event.kind.is_refund else None
        return msgspec.structs.replace(event, amount=amount, total=total, currency=currency)

    def _remarks(self, item: object) -> Iterator[str]:
        settings = self._settings
        if not self._is_ours(item):
            yield "what only asks for does not stand there: it counts as another's"
            return
        word = self._word(item)
        if word not in settings.kinds:
            known = ", ".join(settings.kinds)
            yield f"{word!r} does not stand in mapping.kinds: nothing becomes of it; there are {known}"
        kind = settings.kinds.get(word, "ignore")
        if kind == "ignore":
            return
        yield from self._dead_ends(item, kind)
        amount = first_value(item, settings.amount)
        if settings.unit == "major" and type(amount) is int and amount:
            yield f'amount: {amount} is read as major units; if it counts minor ones, set unit = "minor"'

    def _dead_ends(self, item: object, kind: Kind) -> Iterator[str]:
        """Paths that lead nowhere in an event whose kind would have something there."""
        settings = self._settings
        expected: dict[str, Paths | None] = {"order_ref": settings.order_ref, "payment_ref": settings.payment_ref}
        expected |= {"refund_ref": settings.refund_ref} if kind.is_refund else {}
        expected |= {"dispute_ref": settings.dispute_ref} if kind.is_dispute else {}
        expected |= {"amount": settings.amount, "currency": settings.currency}
        for name, paths in expected.items():
            if paths is not None and first_value(item, paths) is None:
                yield f"{name}: {', '.join(each(paths))} leads nowhere"

    def _is_ours(self, item: object) -> bool:
        return all(text_at(item, path) == wanted for path, wanted in self._settings.only.items())

    def _kind_of(self, item: object) -> Kind | None:
        word, kinds = self._word(item), self._settings.kinds
        if word not in kinds:
            unknown_word("mapping.kinds", word)
        kind = kinds.get(word, "ignore")
        return None if kind == "ignore" else kind

    def _word(self, item: object) -> str:
        paths = each(self._settings.kind)
        words = [text_at(item, path) for path in paths]
        if not any(words):
            raise BadPayload(f"kind: {', '.join(paths)} leads nowhere")
        return "/".join(word or "" for word in words)

    def _event_id(self, item: object, message_id: str, index: int) -> str:
        if self._settings.event_id is None:
            if not message_id:
                raise BadPayload("nothing tells the event's id: set event_id, or signature.id_header")
            return message_id if self._settings.events is None else f"{message_id}:{index}"
        parts = [text_at(item, path) for path in each(self._settings.event_id)]
        if None in parts:
            raise BadPayload(f"event_id: one of {', '.join(each(self._settings.event_id))} is missing")
        return ":".join(part for part in parts if part is not None)

    def _currency_of(self, item: object) -> str | None:
        path = self._settings.currency
        currency = None if path is None else text_at(item, path)
        return None if currency is None else currency.upper()

    def _amount(self, item: object, paths: Paths | None, currency: str | None) -> int | None:
        value = first_value(item, paths)
        if value is None:
            return None
        if currency is None:
            raise BadPayload("an amount has no currency")
        if self._settings.unit == "major":
            return units.from_major(value, currency)
        try:
            minor = whole_number(value)
        except BadPayload as refused:
            raise BadPayload(f'{refused.reason}; amounts in major units, such as 129.00, need unit = "major"') from None
        return units.from_minor(minor, currency, self._settings.digits)

    def _moment(self, item: object) -> datetime:
        value = first_value(item, self._settings.occurred_at)
        if value is None:
            raise BadPayload("occurred_at leads nowhere")
        match self._settings.time:
            case "unix":
                return moment_from_unix(whole_number(value))
            case "unix_ms":
                return moment_from_unix(whole_number(value) // 1000)
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


def _written(value: object) -> str:
    if not isinstance(value, str):
        raise BadPayload("a time is not text")
    return value
