"""Verifies and reads Lakala's notices: RSA over time, nonce and body, a line each; three families of fields.

Sources: o.lakala.com documents 1004 (signing) and 1009 (signing of notices, with a sample); the Java SDK
zkmio/lakala-sdk, which is on no registry.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.fact import Fact, webhook_event
from tillkeeper.gateways.lakala import aggregated, cashier
from tillkeeper.gateways.lakala.fields import Fields

SCHEME: Final = "LKLAPI-SHA256withRSA"
_PAIR: Final = r'[a-z_]{1,32}="[^"]{0,1024}"'
_AUTHORIZATION: Final = re.compile(
    rf"\s*{SCHEME}\s*({_PAIR}(?:\s*,\s*{_PAIR}){{0,7}})\s*", re.ASCII
)  # the official sample has no space behind the scheme, and line ends behind commas
_PAIRS: Final = re.compile(r'([a-z_]+)="([^"]*)"', re.ASCII)
_TIMESTAMP: Final = re.compile(r"\d{1,19}", re.ASCII)
NONCE: Final = re.compile(r"[!-~]{1,64}", re.ASCII)  # a line end in it would let a body be passed off as nonce


class Authorization(msgspec.Struct, frozen=True):
    """What the header of a notice says: when it was signed, and the signature."""

    timestamp: str
    nonce: str
    signature: str

    def signed(self, body: bytes) -> bytes:
        """Returns what the signature is over."""
        return f"{self.timestamp}\n{self.nonce}\n".encode() + body + b"\n"


def authorization_in(header: str) -> Authorization:
    """Reads time, nonce and signature, each of them once, in whatever order and spacing.  Raises BadSignature."""
    found = _AUTHORIZATION.fullmatch(header)
    pairs = _PAIRS.findall(found[1]) if found else []
    fields = dict(pairs)
    if len(fields) != len(pairs) or not fields.keys() >= {"timestamp", "nonce_str", "signature"}:
        raise BadSignature(f"authorization is not {SCHEME} with what it needs, once each", VerificationStep.HEADER)
    if not _TIMESTAMP.fullmatch(fields["timestamp"]) or not NONCE.fullmatch(fields["nonce_str"]):
        raise BadSignature("the signed time is no number, or the nonce not printable", VerificationStep.HEADER)
    return Authorization(fields["timestamp"], fields["nonce_str"], fields["signature"])


class Notice(msgspec.Struct, frozen=True):
    """A decoded body, and when it was signed: not every word has a time of its own."""

    fields: Fields
    signed_at: datetime


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One family of notices: the fields that it is known by, and how it is read."""

    marks: frozenset[str]
    merchant: str  # the field that names whose money it is
    facts_of: Callable[[Fields], tuple[Fact, ...]]
    event_id_of: Callable[[Fields], str]


CASHIER: Final = Family(
    marks=frozenset({"out_order_no", "order_status", "order_trade_info"}),
    merchant="merchant_no",
    facts_of=cashier.notice_facts,
    event_id_of=cashier.notice_event_id,
)
AGGREGATED: Final = Family(
    marks=frozenset({"out_trade_no", "trade_status", "trade_state"}),
    merchant="merchant_no",
    facts_of=aggregated.facts_of,
    event_id_of=aggregated.event_id_of,
)
OF_2021: Final = Family(
    marks=frozenset({"merchantOrderNo", "payStatus"}),
    merchant="merchantNo",
    facts_of=cashier.old_notice_facts,
    event_id_of=cashier.old_notice_event_id,
)
FAMILIES: Final = (OF_2021, CASHIER, AGGREGATED)  # the first that fits


def family_of(fields: Fields) -> Family | None:
    """Returns the family of a notice; None for what is about no payment: splits of money (分账), contracts."""
    return next((family for family in FAMILIES if not family.marks.isdisjoint(fields)), None)


def events_of(account: str, notice: Notice, family: Family) -> tuple[PaymentEvent, ...]:
    """Makes one event mostly; two where a payment comes together with what became of it."""
    facts = family.facts_of(notice.fields)
    if not facts:
        return ()
    event_id = family.event_id_of(notice.fields)
    return tuple(
        webhook_event(fact, account=account, event_id=event_id, reported_at=notice.signed_at) for fact in facts
    )
