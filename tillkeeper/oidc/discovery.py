"""Reads what a provider says of itself in its discovery document, and the keys that it signs with."""

from typing import Any, Final, cast

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.messages import Call, Response
from tillkeeper.oidc.errors import ProviderAway, ProviderRefuses
from tillkeeper.oidc.settings import is_private_address

OK: Final = 200
NOT_FOUND: Final = 404
SAID_CHARS_MAX: Final = 200  # of what a provider says, in a line of ours
DISCOVERY: Final = "/.well-known/openid-configuration"
# What a provider signs with a key that only it has.  So neither "none" nor a secret that others know is among them.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")


class Discovered(msgspec.Struct, frozen=True, kw_only=True):
    """What the discovery document says."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: tuple[str, ...]  # of tokens, as far as they are taken
    takes_basic: bool  # the client's secret in the header Authorization, or else in the form
    names_itself: bool  # with each answer that a browser brings back


def discovery_call(issuer: str) -> Call:
    """Returns the call that fetches the discovery document."""
    return Call(method="GET", url=issuer.rstrip("/") + DISCOVERY, headers={})


def read_discovery(response: Response, *, issuer: str) -> Discovered:
    """Reads the document.  Raises ProviderAway, or ProviderRefuses for another issuer's and for unsafe addresses."""
    if response.status == NOT_FOUND:
        raise ProviderRefuses(f"there is no {discovery_call(issuer).url}; desk.oidc.issuer is not the provider's")
    said = object_of(response, "the discovery document")
    if said.get("issuer") != issuer:
        itself = str(said.get("issuer"))[:SAID_CHARS_MAX]
        raise ProviderRefuses(f"desk.oidc.issuer is {issuer}, and the provider calls itself {itself}")
    algorithms = _texts(said, "id_token_signing_alg_values_supported", ("RS256",))
    return Discovered(
        issuer=issuer,
        authorization_endpoint=_endpoint(said, "authorization_endpoint"),
        token_endpoint=_endpoint(said, "token_endpoint"),
        jwks_uri=_endpoint(said, "jwks_uri"),
        userinfo_endpoint=_endpoint(said, "userinfo_endpoint") if "userinfo_endpoint" in said else None,
        algorithms=tuple(name for name in ALGORITHMS if name in algorithms),
        takes_basic="client_secret_basic"
        in _texts(said, "token_endpoint_auth_methods_supported", ("client_secret_basic",)),
        names_itself=said.get("authorization_response_iss_parameter_supported") is True,
    )


def read_keys(response: Response) -> KeySet:
    """Reads the keys.  Raises ProviderAway."""
    try:
        return KeySet.import_key_set(cast("KeySetSerialization", object_of(response, "the keys")))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProviderAway(f"the keys cannot be read: {type(error).__name__}") from None


def object_of(response: Response, name: str) -> dict[str, Any]:
    """Returns the object in a response.  Raises ProviderAway."""
    if response.status != OK:
        raise ProviderAway(f"{name}: status {response.status}")
    try:
        return strictjson.object_in(response.body, name)
    except BadPayload as error:
        raise ProviderAway(f"{name}: {error.reason}") from None


def _endpoint(said: dict[str, Any], name: str) -> str:
    url = said.get(name)
    if not isinstance(url, str) or not is_private_address(url):
        raise ProviderRefuses(f"the discovery document's {name} is no https:// address")
    return url


def _texts(said: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    values = said.get(name, default)
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list | tuple) else ()
