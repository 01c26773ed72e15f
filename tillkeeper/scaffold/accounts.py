"""Describes a first account at a gateway: its table in the configuration, and the variables that fill it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType, NoneType
from typing import Any, Final, get_args

import msgspec
from pydantic.fields import FieldInfo

from tillkeeper.gateways.about import setup_guide
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.registry import GATEWAYS
from tillkeeper.scaffold.plan import account_of

# What nobody can guess of a gateway that is described by its settings: one that follows Standard Webhooks.
MAPPING: Final = """
# What its payload means; change it to what yours sends (docs/standard.md).
[accounts.standard-main.mapping]
kind = "type"
kinds = { "payment.paid" = "payment.succeeded", "payment.failed" = "payment.failed" }
order_ref = "data.order"
payment_ref = "data.payment"
amount = "data.amount"
unit = "major"
currency = "data.currency"
occurred_at = "timestamp\""""

SINGULAR: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hmac_keys": "hmac_key",
        "partner_keys": "partner_key",
        "public_keys": "public_key",
        "secret_hashes": "secret_hash",
        "secret_keys": "secret_key",
        "signature_keys": "signature_key",
        "webhook_secrets": "webhook_secret",
    }
)


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the env file, and what it is."""

    name: str
    says: str
    value: str = ""


def account_table(gateway: str, *, public_url: str) -> Iterator[str]:
    """Yields the lines of the account's table."""
    account = account_of(gateway)
    yield f"[accounts.{account}]"
    yield f'gateway = "{gateway}"'
    for name, field in _fields(GATEWAYS[gateway]):
        if name == "mapping":
            yield MAPPING
        elif name == GATEWAYS[gateway].own_url:
            yield f'{name} = "{public_url}/webhooks/{account}"'
        else:
            yield f"{name} = {_reference(gateway, name, field)}"


def account_variables(gateway: str) -> Iterator[Variable]:
    """Yields the variables that the account's table refers to."""
    for name, field in _fields(GATEWAYS[gateway]):
        if name in {"mapping", GATEWAYS[gateway].own_url}:
            continue
        variable, says = variable_of(gateway, name), " ".join((field.description or "").split())
        if dict in _kinds(field.annotation):
            yield Variable(name=f"{variable}_ID", says="The id that the key below goes by.")
        yield Variable(name=variable, says=says)


def account_guide(gateway: str) -> Iterator[str]:
    """Yields the steps in the provider's console."""
    yield from setup_guide(gateway).splitlines()[2:]  # without its title


def variable_of(gateway: str, setting: str) -> str:
    """Returns the name of the variable that holds a setting, or the first entry of a list."""
    one = SINGULAR.get(setting, setting)
    return (one if one.startswith(f"{gateway}_") else f"{gateway}_{one}").upper()


def _fields(gateway: type[Gateway]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in gateway.settings.model_fields.items():
        if name != "gateway" and (field.is_required() or name in gateway.about.set_up_with):
            yield name, field


def _reference(gateway: str, name: str, field: FieldInfo) -> str:
    variable, kinds = variable_of(gateway, name), _kinds(field.annotation)
    if dict in kinds:
        return f'{{ "env:{variable}_ID" = "env:{variable}" }}'
    return f'["env:{variable}"]' if tuple in kinds else f'"env:{variable}"'


def _kinds(annotation: Any) -> set[Any]:
    """Returns the plain types in an annotation, None left out."""
    origin = getattr(annotation, "__origin__", None)
    if origin in (tuple, dict):
        return {origin}
    inner = [arg for arg in get_args(annotation) if arg is not NoneType]
    return {kind for each in inner for kind in _kinds(each)} if inner else {annotation}
