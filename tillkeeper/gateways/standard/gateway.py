"""Implements Any provider without code of its own: the configuration describes its signature and its payload.

Source: the specification of Standard Webhooks, which most providers without an older scheme follow.
"""

from datetime import datetime
from typing import ClassVar, cast

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Reply, Request, Verified
from tillkeeper.gateways.standard.mapping import PayloadMapping
from tillkeeper.gateways.standard.settings import ABOUT, StandardSettings, signature_of
from tillkeeper.gateways.standard.standard_signature import StandardSignature


class Standard(Gateway):
    """One endpoint of one provider."""

    name: ClassVar[str] = "standard"
    settings: ClassVar[type[AccountModel]] = StandardSettings
    about: ClassVar[About] = ABOUT
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", *StandardSignature.HEADERS})

    def __init__(self, account: str, settings: StandardSettings) -> None:
        self.account = account
        self._signature = signature_of(settings)
        self._mapping = PayloadMapping(account, settings.mapping)
        self._acknowledgement = Reply(status=settings.acknowledge_status, body=settings.acknowledge_body.encode())
        if settings.signature is not None:
            self.kept_headers = frozenset({"content-type", *settings.signature.headers})  # type: ignore[misc]

    def verify(self, request: Request, now: datetime) -> Verified:
        """Checks the signature that the account describes."""
        label, message_id = self._signature.check(request, now)
        return Verified(key=label, content=(request.body, message_id))

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes the events that the account's mapping finds."""
        body, message_id = cast("tuple[bytes, str]", verified.content)
        return self._mapping.events(body, message_id)

    def remarks(self, verified: Verified) -> tuple[str, ...]:
        """Tells what looks like a mistake in the account's mapping."""
        body, _ = cast("tuple[bytes, str]", verified.content)
        return self._mapping.remarks(body)

    def key_labels(self) -> tuple[str, ...]:
        """There is one label for each secret."""
        return self._signature.labels

    def acknowledge(self) -> Reply:
        """Answers as the account says."""
        return self._acknowledgement
