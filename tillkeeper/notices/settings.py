"""Defines the settings of notices: `[notify]`."""

import base64
import re
from datetime import time
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from tillkeeper.domain.order.mail_timing import MailLimits, QuietHours
from tillkeeper.notices.addresses import is_mail_address

URL_CHARS_MAX: Final = 2048
NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
SECRET_BYTES_MIN: Final = 16  # Standard Webhooks asks for 24; half of that is a typing mistake
SECRETS_MAX: Final = 5  # each signs every webhook
WEBHOOKS_MAX: Final = 20
OPS_URLS_MAX: Final = 20  # for each level
_STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
_QUIET: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def _check_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be one line of printable text, without white space at its ends")
    return text


def _check_address(address: str) -> str:
    if not is_mail_address(address):
        raise ValueError("must be a mail address such as pay@example.com")
    return address


def _check_secret(secret: str) -> str:
    """Refuses a bad secret here, and not when the first notice is sent, for every secret signs."""
    text = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError("must be base64, with or without whsec_ before it") from None
    if len(key) < SECRET_BYTES_MIN:
        raise ValueError(f"must hold {SECRET_BYTES_MIN} bytes or more")
    return secret


def _check_not_empty(secrets: tuple[str, ...]) -> tuple[str, ...]:
    if not secrets:
        raise ValueError("must name at least 1 secret")
    return secrets


def _check_webhook_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise ValueError("must be an https:// address")
    if parts.username is not None:
        raise ValueError("must not hold a login; the signature says who is calling")
    return url


def _check_ops_url(url: str) -> str:
    """Checks the form alone.  The sender asks at its start whether apprise knows the service, for loading apprise takes
    half a second."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+_-]*://.", url):
        raise ValueError("must be an address for apprise, such as mailtos://, slack://, dingtalk:// or wecombot://")
    return url


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # by what the name looks like
        raise ValueError("must be a time zone such as Asia/Shanghai or UTC") from None
    return name


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_line)]
Address = Annotated[str, AfterValidator(_check_address)]
Secret = Annotated[str, AfterValidator(_check_secret)]
Port = Annotated[int, Field(ge=0, le=65535)]
Hours = Annotated[int, Field(ge=1, le=24 * 30)]


class SmtpSettings(BaseModel):
    """The SMTP server for mails to payers."""

    model_config = _STRICT

    host: Line
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Line | None = None
    password: Annotated[str, Field(min_length=1)] | None = Field(default=None, repr=False)
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 20.0
    connections: Annotated[int, Field(ge=1, le=50)] = 4

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password come together")
        if self.security == "none" and self.password is not None:
            raise ValueError("a password is not sent without TLS: security must be starttls or tls")
        return self


class WebhookSettings(BaseModel):
    """One of the merchant's systems, which gets a webhook for every change."""

    model_config = _STRICT

    url: Annotated[str, Field(max_length=URL_CHARS_MAX), AfterValidator(_check_webhook_url)]
    secrets: Annotated[tuple[Secret, ...], Field(max_length=SECRETS_MAX, repr=False), AfterValidator(_check_not_empty)]


class NotifySettings(BaseModel):
    """The recipients of notices, their channels, and the limits."""

    model_config = _STRICT

    merchant_name: Line = "Tillkeeper"
    support: Line | None = None
    from_address: Address | None = None
    default_locale: Literal["zh-CN", "en"] = "zh-CN"
    time_zone: Annotated[str, AfterValidator(_check_zone)] = "Asia/Shanghai"
    quiet_hours: Annotated[str, Field(pattern=rf"^({_QUIET.pattern}|none)$")] = "none"
    per_order_max: Annotated[int, Field(ge=1, le=1000)] = 10
    mail_hours: Hours = 24
    webhook_hours: Hours = 72
    ops_hours: Hours = 24
    allow_private_addresses: bool = False
    allow_plain_http: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9500  # 0: no metrics over HTTP; unless it is named, the first free one of ten from there
    smtp: SmtpSettings | None = None
    webhooks: Annotated[dict[Annotated[str, Field(pattern=NAME)], WebhookSettings], Field(max_length=WEBHOOKS_MAX)] = (
        Field(default_factory=dict)
    )
    ops: Annotated[
        dict[
            Annotated[int, Field(ge=1, le=9)],
            Annotated[tuple[Annotated[str, AfterValidator(_check_ops_url)], ...], Field(max_length=OPS_URLS_MAX)],
        ],
        Field(repr=False),
    ] = Field(default_factory=dict)

    @field_validator("quiet_hours")
    @classmethod
    def _not_all_day(cls, text: str) -> str:
        start, _, end = text.partition("-")
        if start == end:
            raise ValueError('must begin and end at different times, or be "none"')
        return text

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.smtp is not None and self.from_address is None:
            raise ValueError("smtp needs from_address: whom the mails are from")
        plain = sorted(name for name, webhook in self.webhooks.items() if urlsplit(webhook.url).scheme == "http")
        if plain and not self.allow_plain_http:
            raise ValueError(f"webhooks.{plain[0]}.url must begin with https:// (or allow_plain_http, for development)")
        return self

    @property
    def mail_limits(self) -> MailLimits:
        """Returns the limits of mails to payers."""
        return MailLimits(per_order_max=self.per_order_max, quiet=self._quiet())

    def _quiet(self) -> QuietHours | None:
        found = _QUIET.fullmatch(self.quiet_hours)
        if found is None:
            return None
        start_h, start_min, end_h, end_min = (int(number) for number in found.groups())
        return QuietHours(start=time(start_h, start_min), end=time(end_h, end_min), zone=ZoneInfo(self.time_zone))
