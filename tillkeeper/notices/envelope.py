"""Writes a mail as the bytes that are sent; no text from outside can break out of its header."""

import hashlib
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from tillkeeper.notices.addresses import is_mail_address
from tillkeeper.notices.mail import Mail
from tillkeeper.notices.settings import NotifySettings

# 7 bits, for not every server on the way supports 8BITMIME.
POLICY: Final = SMTP.clone(cte_type="7bit", raise_on_defect=True)


def as_bytes(mail: Mail, *, key: str, to: str, settings: NotifySettings, now: datetime) -> bytes:
    """Writes the whole message.  The same key makes the same Message-ID, by which mailboxes drop what comes twice."""
    assert settings.from_address is not None, "mail is configured"
    message = EmailMessage(policy=POLICY)
    message["From"] = Address(settings.merchant_name, addr_spec=settings.from_address)
    message["To"] = Address(addr_spec=to)
    if settings.support is not None and is_mail_address(settings.support):
        message["Reply-To"] = Address(addr_spec=settings.support)
    message["Subject"] = mail.subject.replace(
        "=?", "= ?"
    )  # text that looks encoded would be decoded, with its line ends
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(key, settings.from_address)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message["Content-Language"] = mail.language  # set before, it would move into the first part
    return message.as_bytes()


def message_id(key: str, from_address: str) -> str:
    """Makes the Message-ID of the outbox key's digest, for a key may hold what a header may not."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{from_address.rpartition('@')[2]}>"
