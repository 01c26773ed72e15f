"""`tillkeeper sandbox trigger` and `sandbox accounts`: what they take, print and exit with."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tillkeeper.cli.errors import NO, UNAVAILABLE, WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

if TYPE_CHECKING:
    from tillkeeper.sandbox.signer import Signer
    from tillkeeper.sandbox.trigger.posting import ReceiverAnswer
    from tillkeeper.settings import Settings

app = typer.Typer()

AMOUNT_MAX: Final = 10**15

Gateway = Annotated[str, typer.Argument(metavar="GATEWAY", parser=unicode, help="stripe, alipay, wechatpay ...")]
Said = Annotated[
    str | None,
    typer.Argument(
        metavar="[KIND]",
        parser=unicode,
        help="payment.pending, .authorized, .succeeded, .failed, .cancelled, .reversed, refund.pending, .succeeded, "
        ".failed, or the gateway's own word; without one, those of this gateway are listed.",
    ),
]
Order = Annotated[str | None, typer.Option("--order", metavar="REF", parser=unicode, help="The order's reference.")]
Amount = Annotated[
    int | None,
    typer.Option("--amount", min=1, max=AMOUNT_MAX, help="In minor units; else what is due of the registered order."),
]
Currency = Annotated[str | None, typer.Option("--currency", metavar="CODE", help="ISO 4217; with --amount.")]
Payment = Annotated[
    str | None,
    typer.Option("--payment", metavar="REF", parser=unicode, help="The payment; else made of the order."),
]
Refund = Annotated[
    str | None, typer.Option("--refund", metavar="REF", parser=unicode, help="The refund; else made of the order.")
]
Account = Annotated[str | None, typer.Option("--account", metavar="A", parser=unicode, help="If it is of several.")]
Keys = Annotated[
    Path | None, typer.Option("--keys", metavar="DIR", help="What `sandbox accounts` wrote: the gateways' own keys.")
]
Url = Annotated[str | None, typer.Option("--url", help="The receiver; else where the configuration says it listens.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; nothing there is written over.")]
Gateways = Annotated[str, typer.Option("--gateways", metavar="NAME,NAME|all", help="At which gateways.")]


@app.command(
    "accounts",
    epilog=exits(needs_servers=False, example="tillkeeper sandbox accounts ./play --gateways alipay,stripe"),
)
def accounts_command(
    directory: Directory, gateways: Gateways = "all", config: Config = None, as_json: AsJson = False
) -> None:
    """Make accounts at gateways that the sandbox plays, with both sides' keys, for `sandbox trigger`.

    DIR/accounts.toml holds what your configuration must say of them; copy it there.  DIR/gateways.json holds the
    gateways' own keys: whoever has it can make orders paid at these accounts, so name them at no live Tillkeeper.
    """
    del config  # taken as every command takes it
    with reported(as_json=as_json):
        from tillkeeper.cli.output import print_json
        from tillkeeper.sandbox.accounts import AlreadyThere, new_signers
        from tillkeeper.sandbox.simulators.registry import NoSuchGateway, parse_gateways
        from tillkeeper.sandbox.trigger.keyring import ACCOUNTS, write_keyring

        try:
            signers = new_signers(parse_gateways(gateways))
            write_keyring(directory.absolute(), signers)
        except NoSuchGateway as error:
            raise CommandError(str(error), code=WRONG) from None
        except AlreadyThere as error:
            raise CommandError(f"{error} is there already; name another directory", code=WRONG) from None
        except OSError as error:
            raise CommandError(f"{directory} cannot be written to: {error.strerror}", code=WRONG) from None
        if as_json:
            print_json({"accounts": sorted(signers), "file": str(directory.absolute() / ACCOUNTS)})
        else:
            print(f"{len(signers)} accounts: {', '.join(signers)}")
            print(f"Copy what {directory.absolute() / ACCOUNTS} says into your configuration.")


@app.command(
    "trigger",
    epilog=exits(
        yes="the receiver took it",
        no="the receiver refused it",
        example="tillkeeper sandbox trigger stripe payment.succeeded --order A-1001",
    ),
)
def trigger_command(
    gateway: Gateway,
    kind: Said = None,
    order: Order = None,
    amount: Amount = None,
    currency: Currency = None,
    payment: Payment = None,
    refund: Refund = None,
    account: Account = None,
    keys: Keys = None,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Post one genuine delivery of a gateway to a receiver that runs, and tell what it answered.

    Signed by a Stripe account for tests that the configuration names (its api_key begins with sk_test_ or rk_test_), or
    by an account that `sandbox accounts` made (--keys), of any gateway.  No account that may be live is ever played.
    """
    with reported(as_json=as_json):
        _check_gateway(gateway)
        if kind is None:
            _list_words(gateway, as_json=as_json)
            return
        if order is None:
            raise CommandError("--order names no order: which one is it about?", code=WRONG)
        answered = asyncio.run(
            _trigger(
                gateway,
                kind,
                {"order_ref": order, "payment_ref": payment, "refund_ref": refund},
                (amount, currency),
                account=account,
                keys=keys,
                url=url,
                config=config,
            )
        )
        _print(answered, as_json=as_json)
        if not answered.is_taken:
            raise typer.Exit(NO)


def _check_gateway(gateway: str) -> None:
    from tillkeeper.gateways.registry import GATEWAYS

    if gateway not in GATEWAYS:
        raise CommandError(f"there is no gateway {gateway!r}; there are: {', '.join(sorted(GATEWAYS))}", code=WRONG)


def _list_words(gateway: str, *, as_json: bool) -> None:
    from tillkeeper.cli.output import print_json, print_table
    from tillkeeper.sandbox.simulators.registry import simulator_of
    from tillkeeper.sandbox.trigger.words import sent_words, words_by_kind

    by_kind = words_by_kind(gateway)
    others = [word for word in sent_words(simulator_of(gateway)) if word not in by_kind.values()]
    if as_json:
        print_json({"gateway": gateway, "kinds": by_kind, "others": others})
        return
    print_table(f"What {gateway} can be made to say", ("kind", "in its own word"), by_kind.items())
    if others:
        print(f"In its own words alone: {', '.join(others)}")


async def _trigger(
    gateway: str,
    said: str,
    references: dict[str, str | None],
    money: tuple[int | None, str | None],
    *,
    account: str | None,
    keys: Path | None,
    url: str | None,
    config: Path | None,
) -> "ReceiverAnswer":
    from tillkeeper import clock
    from tillkeeper.sandbox.trigger.keyring import NoKeyring
    from tillkeeper.sandbox.trigger.posting import CannotTrigger, trigger
    from tillkeeper.sandbox.trigger.words import NoSuchWord, WantedDelivery, word_for

    try:
        word = word_for(gateway, said)
        settings = None if keys is not None and url is not None and None not in money else settings_from(config)
        signer = _signer(gateway, account, keys, settings)
        url = url or _url_of(settings)
        due, currency = await _money(money, url, settings, str(references["order_ref"]))
        wanted: WantedDelivery = WantedDelivery(**references, amount=due, currency=currency)  # type: ignore[arg-type]
        return await trigger(url, signer, word, wanted, now=clock.now())
    except (NoSuchWord, NoKeyring) as error:
        raise CommandError(str(error), code=WRONG) from None
    except CannotTrigger as error:
        raise CommandError(str(error), code=UNAVAILABLE) from None


def _signer(gateway: str, account: str | None, keys: Path | None, settings: "Settings | None") -> "Signer":
    from tillkeeper.sandbox.accounts import signers_of
    from tillkeeper.sandbox.trigger.keyring import read_keyring

    assert keys is not None or settings is not None
    signers: dict[str, Signer] = read_keyring(keys) if keys is not None else signers_of(settings)  # type: ignore[arg-type]
    found = {name: signer for name, signer in signers.items() if signer.gateway == gateway}
    if account is not None:
        found = {name: signer for name, signer in found.items() if name == account}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise CommandError(f"--account says which of these: {', '.join(sorted(found))}", code=WRONG)
    raise CommandError(
        f"no account of {gateway}{f' named {account!r}' if account else ''} can be played: "
        + (
            f"{keys} has none; `tillkeeper sandbox accounts` makes them"
            if keys is not None
            else "of a configuration only Stripe accounts whose api_key is for tests; for others see `tillkeeper "
            "sandbox accounts` and --keys"
        ),
        code=WRONG,
    )


def _url_of(settings: "Settings | None") -> str:
    assert settings is not None
    return f"http://{settings.ingest.host}:{settings.ingest.port}"


async def _money(
    money: tuple[int | None, str | None], url: str, settings: "Settings | None", order_ref: str
) -> tuple[int, str]:
    """Returns amount and currency: as given, or what the order is registered with."""
    from tillkeeper.domain.money import BadMoney, exponent
    from tillkeeper.sandbox.trigger.posting import registered_terms

    amount, currency = money
    if currency is not None:
        try:
            exponent(currency)
        except BadMoney as error:
            raise CommandError(f"--currency: {error}", code=WRONG) from None
    if amount is not None and currency is not None:
        return amount, currency
    assert settings is not None
    if not settings.api_tokens:
        raise CommandError("give --amount and --currency: without api_tokens no order can be looked up", code=WRONG)
    due, in_currency = await registered_terms(url, settings.api_tokens[0], order_ref)
    return amount or due, currency or in_currency


def _print(answered: "ReceiverAnswer", *, as_json: bool) -> None:
    import msgspec

    from tillkeeper.cli.money import in_words
    from tillkeeper.cli.output import print_json, shown

    if as_json:
        print_json(msgspec.structs.asdict(answered))
        return
    amount = in_words(answered.payment_amount, answered.currency)
    print(f"{answered.account}: {answered.word}, {amount}, posted as {answered.event_id}")
    print(f"The receiver answered {answered.status} {shown(answered.answer)}".rstrip())
    if not answered.is_taken:
        print("`tillkeeper refused list` tells why.")
