"""Looks whether the provider of the company's accounts answers, and is the one that the settings name."""

import asyncio
from typing import Final

from tillkeeper.cli.readiness.finding import ReadinessFinding, off, ok, wrong
from tillkeeper.oidc.errors import ProviderAway, ProviderRefuses
from tillkeeper.oidc.provider import open_provider
from tillkeeper.settings import DeskSettings

WHAT: Final = "company accounts"
ANSWER_S: Final = 10.0


async def company(settings: DeskSettings) -> ReadinessFinding:
    """Returns the line about signing in with the company's account, for which discovery and keys are fetched."""
    if settings.oidc is None:
        return off(WHAT, "people sign in with passwords", "name the provider of your accounts in [desk.oidc]")
    assert settings.public_url is not None  # the settings ask for it
    issuer = settings.oidc.issuer
    try:
        async with asyncio.timeout(ANSWER_S), open_provider(settings.oidc, settings.public_url) as provider:
            discovered = await provider.discovered()
            keys = await provider.keys(discovered)
    except ProviderRefuses as error:
        return wrong(WHAT, str(error), "copy the issuer from <issuer>/.well-known/openid-configuration")
    except (ProviderAway, TimeoutError) as error:
        why = str(error) or f"{issuer} does not answer within {ANSWER_S:.0f} s"
        passwords = "passwords work meanwhile" if settings.oidc.passwords else "nobody can sign in meanwhile"
        return wrong(WHAT, why, f"see that this machine reaches {issuer}; {passwords}")
    if not discovered.algorithms:
        return wrong(WHAT, f"{issuer} signs with no algorithm that is taken", "have it sign ID tokens with RS256")
    return ok(WHAT, f"{issuer} answers, with {len(keys.keys)} keys; its redirect URI is {provider.comes_back_to}")
