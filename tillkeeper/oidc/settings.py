"""Defines the settings `[desk.oidc]`: the provider of a company's accounts, and which of these may do what."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tillkeeper.domain.company_account import RoleRules
from tillkeeper.domain.people import Role

CLIENT_CHARS_MAX: Final = 255
SECRET_CHARS_MIN: Final = 16  # providers make them of 32 and more
SECRET_CHARS_MAX: Final = 1000
VALUES_MAX: Final = 100  # of a role
SCOPES_MAX: Final = 20


def is_private_address(url: str) -> bool:
    """Returns whether nobody on the way can read or change what is sent: https, or this machine."""
    parts = _split(url)
    if parts is None or not parts.hostname or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(parts.hostname))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return None
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_issuer(issuer: str) -> str:
    if not issuer.isascii() or not is_private_address(issuer) or "?" in issuer or "#" in issuer:
        raise ValueError(
            "must be the provider's issuer, an https:// address without ? and #, exactly as its discovery document "
            "says it, such as https://id.shop.example/realms/staff"
        )
    return issuer


def _check_line(text: str) -> str:
    if not text:
        raise ValueError("must have a character or more")
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("must be one line of printable ASCII, without white space at its ends")
    return text


def _check_secret(secret: str) -> str:
    if len(secret) < SECRET_CHARS_MIN:
        raise ValueError(f"must have {SECRET_CHARS_MIN} characters or more")
    return secret


def _check_values(roles: Mapping[Role, tuple[str, ...]]) -> Mapping[Role, tuple[str, ...]]:
    if not any(roles.values()):
        raise ValueError('gives nobody a role; as in: operator = ["till-operators"]')
    return roles


def _path(claim: object) -> object:
    return (claim,) if isinstance(claim, str) else claim


Line = Annotated[str, AfterValidator(_check_line)]
ClaimName = Annotated[str, Field(min_length=1, max_length=200)]
Values = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=500)], ...], Field(max_length=VALUES_MAX)]


class OidcSettings(BaseModel):
    """The settings of signing in at the desk with a company's account."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: Annotated[str, AfterValidator(_check_issuer)]
    client_id: Annotated[Line, Field(max_length=CLIENT_CHARS_MAX)]
    client_secret: Annotated[Line, AfterValidator(_check_secret), Field(max_length=SECRET_CHARS_MAX, repr=False)]
    label: Annotated[str, Field(min_length=1, max_length=60)] | None = None  # None: the issuer's host
    scopes: Annotated[tuple[Line, ...], Field(max_length=SCOPES_MAX)] = ("email", "profile")  # beside openid
    name_claim: ClaimName = "email"  # with it, email_verified must be true
    role_claim: Annotated[tuple[ClaimName, ...], Field(min_length=1, max_length=5), BeforeValidator(_path)] = (
        "groups",
    )
    roles: Annotated[dict[Role, Values], AfterValidator(_check_values)]
    ask: Annotated[str, Field(max_length=200)] | None = None  # whom somebody without a role should ask
    passwords: bool = True  # whether people may sign in with passwords as well
    adds_people: bool = True  # whether somebody whom nobody tied to a person comes in as a new one

    @property
    def shown(self) -> str:
        """Returns what people call the provider."""
        return self.label or urlsplit(self.issuer).hostname or self.issuer

    @property
    def rules(self) -> RoleRules:
        """Returns who gets which role."""
        values = {role: frozenset(values) for role, values in self.roles.items()}
        return RoleRules(name_claim=self.name_claim, role_claim=self.role_claim, values=values)
