"""Checks secrets: refuses those that anybody could guess, and warns of those that look like another key.

Refused is what would let a stranger sign: words and sequences that are tried first, and values that are public.  A
secret in the wrong place lets nobody in, but verifies nothing either: the log says so at start.
"""

import math
import re
from collections.abc import Iterator
from typing import Final

import msgspec

LEFT_CHARS_MIN: Final = 4  # besides the words of GUESSES; fewer are quickly tried
WORDS_MAX: Final = 4  # more in a row are a phrase, which takes longer
DIFFERENT_MIN: Final = 5  # different characters at least
RUN_CHARS_MIN: Final = 3  # as in 123, abc, asd or aaa
LONG_RUN_CHARS: Final = 9  # a whole row after a prefix, as in keys of tests: a warning, no refusal
BITS_MIN: Final = 64  # with fewer, a stranger who has seen one signature can try every key

# Placeholders for secrets.  Longer words first, so that what is left of one is no other.
_WORDS: Final = """
changeme change password passwort passwd passw0rd p4ssw0rd secret geheim secrets keys key token webhooks webhook signing
signature sign hmac hash api tests testing test demo dummy sample example examples default admin root user guest letmein
welcome qwerty qwertz iloveyou monkey dragon master hello world foobar foo bar baz please replace insert enter here todo
fixme none null undefined empty unset string value text super strong very safe mysecret secretkey apikey
my your our the of for this is merchant
payments payment pay shop store live prod production sandbox staging dev development local localhost
account main private public client server mima ceshi woaini zhifubao zhifu weixin miyao shanghu whsec sk rk pk xxx
"""
# The gateways' names as people write them; a test holds this against the registry.
GATEWAY_WORDS: Final = """
tillkeeper adyen alipay braintree checkout flutterwave gocardless klarna lakala mercadopago mercado pago mollie paypal
paystack razorpay shengpay shopee square standard stripe wechatpay wechat v2 v3
"""
GUESSES: Final = tuple(sorted({*_WORDS.split(), *GATEWAY_WORDS.split()}, key=len, reverse=True))
PREFIXES: Final = frozenset({"whsec", "sk", "rk", "pk", "test", "live", "key"})  # of keys, as gateways write them
SHORT_CHARS_MAX: Final = 3  # short words count only alone, for they occur in every text
_GUESSED: Final = re.compile("|".join(word if len(word) > SHORT_CHARS_MAX else rf"\b{word}\b" for word in GUESSES))
_ROWS: Final = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc")
_SORTS: Final = ("0123456789", "abcdef", "ghijklmnopqrstuvwxyz", "ABCDEF", "GHIJKLMNOPQRSTUVWXYZ")
OTHER_SIGNS: Final = 32  # of ASCII
_SEPARATORS: Final = re.compile(r"[\W_]+")

# Keys from documentation, which a forger tries first.  They cause a warning and no refusal: people try out the examples
# of documents with them.
DOCUMENTED: Final = frozenset(
    {
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # the Standard Webhooks specification
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",  # the same
        "192006250b4c09247ec02edce69f6a2d",  # WeChat Pay's page on signatures
        "8934e7d15453e97507ef794cf7b0519d",  # the same
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",  # Stripe's API reference
        "sk_test_BQokikJOvBiI2HlWgH4olfQ2",  # the same, earlier
    }
)


class Shape(msgspec.Struct, frozen=True):
    """The form of one sort of key, and where it belongs (`gateway.setting`)."""

    pattern: str
    what: str
    public: bool = False
    belongs: frozenset[str] = frozenset()


SHAPES: Final = (
    Shape(r"pk_\w", "a publishable key (pk_), which every visitor of a shop can read", public=True),
    Shape(r"rzp_(live|test)_", "a Razorpay key id (rzp_), which every visitor of a shop can read", public=True),
    Shape(r"FLWPUBK", "a Flutterwave public key (FLWPUBK), which every visitor of a shop can read", public=True),
    Shape(r"(sandbox-)?sq0id[bp]-", "a Square application id, which every visitor of a shop can read", public=True),
    Shape(
        r"(APP_USR|TEST)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+\Z",
        "a Mercado Pago public key, which every visitor of a shop can read",
        public=True,
    ),
    Shape(r"(acct_|we_1|acc_|merchant_)[A-Za-z0-9]+\Z", "an id and no secret", public=True),
    Shape(r"https?://", "an address and no secret", public=True),
    Shape(
        r"-----BEGIN (RSA )?PUBLIC KEY-----",
        "a public key and no secret",
        public=True,
        belongs=frozenset({"shengpay.shengpay_public_key"}),
    ),
    Shape(
        r"-----BEGIN CERTIFICATE-----",
        "a certificate and no secret",
        public=True,
        belongs=frozenset({"lakala.platform_cert"}),
    ),
    Shape(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
        "a private key in PEM",
        belongs=frozenset(
            {
                "alipay.app_private_key",
                "lakala.merchant_private_key",
                "shengpay.mch_private_key",
                "wechatpay.merchant_private_key",
            }
        ),
    ),
    Shape(
        r"sk_\w",
        "a secret API key (sk_)",
        belongs=frozenset({"stripe.api_key", "paystack.secret_keys", "checkout.secret_key"}),
    ),
    Shape(r"rk_(live|test)_", "a restricted API key (rk_)", belongs=frozenset({"stripe.api_key"})),
    Shape(
        r"whsec_",
        "a webhook's signing secret (whsec_)",
        belongs=frozenset({"stripe.webhook_secrets", "standard.webhook_secrets"}),
    ),
    Shape(r"FLWSECK", "a Flutterwave secret key (FLWSECK)", belongs=frozenset({"flutterwave.secret_key"})),
    Shape(r"EAAA", "a Square access token (EAAA)", belongs=frozenset({"square.access_token"})),
    Shape(r"(APP_USR|TEST)-[0-9]+-", "a Mercado Pago access token", belongs=frozenset({"mercadopago.access_token"})),
    Shape(
        r"(live|test)_[A-Za-z0-9]{30,}\Z",
        "an API key of Mollie's form (live_, test_)",
        belongs=frozenset({"mollie.api_key", "gocardless.access_token"}),
    ),
    Shape(
        r"(live|sandbox)_[A-Za-z0-9_-]{36,}\Z",
        "a GoCardless access token",
        belongs=frozenset({"gocardless.access_token"}),
    ),
)
_SHAPES: Final = tuple((re.compile(shape.pattern), shape) for shape in SHAPES)

# The prefix of a setting's secret, where its gateway always writes one.
BEGINNINGS: Final = {
    "stripe.webhook_secrets": (("whsec_",), "an endpoint's signing secret, whsec_..."),
    "stripe.api_key": (("sk_", "rk_"), "a secret or restricted API key, sk_... or rk_..."),
    "paystack.secret_keys": (("sk_",), "a secret key, sk_live_... or sk_test_..."),
    "mollie.api_key": (("live_", "test_", "access_"), "an API key, live_... or test_..."),
}
# With one of these a forger can sign as the gateway.  Other secrets query the gateway, or decrypt what is signed
# otherwise.
VERIFYING: Final = frozenset(
    {
        "adyen.hmac_keys",
        "braintree.private_key",
        "checkout.signature_keys",
        "flutterwave.secret_hashes",
        "gocardless.webhook_secrets",
        "mercadopago.webhook_secrets",
        "mollie.signing_secrets",
        "paystack.secret_keys",
        "razorpay.webhook_secrets",
        "shopee.partner_keys",
        "square.signature_keys",
        "standard.webhook_secrets",
        "stripe.webhook_secrets",
        "wechatpay_v2.api_key",
    }
)
_MODES: Final = (
    re.compile(r"(?:sk|rk)_live_|live_|FLWSECK-"),
    re.compile(r"(?:sk|rk)_test_|test_|sandbox_|TEST-|FLWSECK_TEST"),
)


def forgeable(gateway: str, setting: str, secret: str) -> str | None:
    """Says why anybody could sign with it, and what would be right; returns None for a secret."""
    return weakness(gateway, setting, secret) if f"{gateway}.{setting}" in VERIFYING else None


def weakness(gateway: str, setting: str, secret: str) -> str | None:
    """Says why it is no secret, and what would be right; returns None for one."""
    if "..." in secret or "<" in secret or ">" in secret:
        return "is a placeholder; put the secret in its place"
    shape = _shape_of(secret)
    if shape is not None and shape.public and f"{gateway}.{setting}" not in shape.belongs:
        return f"is {shape.what}; here belongs {_right(gateway, setting)}"
    if is_guessable(secret):
        return f"can be guessed; here belongs {_right(gateway, setting)}, drawn at random"
    return None


def is_guessable(secret: str) -> bool:
    """Returns True for words, runs and repetitions that are tried before all else, and whatever consists of a few of
    them."""
    return len(set(secret)) < DIFFERENT_MIN or any(words <= WORDS_MAX for words in _counts_of_words(secret))


def is_a_word(secret: str) -> bool:
    """Returns True for one such word, repeated, or with digits around it."""
    return any(words == 1 for words in _counts_of_words(secret))


def _counts_of_words(secret: str) -> Iterator[int]:
    """Yields how many different words it consists of, with and without separators; nothing where it has more than
    words."""
    for separator in (" ", ""):
        text = _unit_of(_SEPARATORS.sub(separator, secret.lower()))
        words = {found[0] for found in _GUESSED.finditer(text)}
        if words <= PREFIXES and _is_row_behind_prefix(text):
            continue
        left = _GUESSED.sub(" ", _without_runs(_GUESSED.sub(" ", text)))
        if len(left.replace(" ", "")) < LEFT_CHARS_MIN:
            yield len(words)


def _is_row_behind_prefix(text: str) -> bool:
    row = next((at for at in range(len(text)) if _run_at(text, at) >= LONG_RUN_CHARS), 0)
    return row > 0 and _run_at(text, 0) < RUN_CHARS_MIN


def doubts(gateway: str, setting: str, secrets: tuple[str, ...]) -> Iterator[str]:
    """Yields what looks wrong about secrets of one setting, and lets nobody in."""
    right = _right(gateway, setting)
    for secret in secrets:
        shape = _shape_of(secret)
        begins, what = BEGINNINGS.get(f"{gateway}.{setting}", ((), ""))
        if (why := weakness(gateway, setting, secret)) is not None:
            yield why
        elif shape is not None and f"{gateway}.{setting}" not in shape.belongs:
            yield f"looks like {shape.what}; here belongs {right}"
        elif begins and not secret.startswith(begins):
            yield f"does not look like {what}"
        if _is_row_behind_prefix(secret.lower()):
            yield "is a row of characters behind a prefix, which anybody could try; draw it at random"
        if secret in DOCUMENTED:
            yield "stands in documentation, where everybody reads it; have the gateway make another one"
        if bits_of(secret) < BITS_MIN:
            yield f"is short: it could be found by trying; {BITS_MIN // 4} hexadecimal digits or more are right"
    if all(any(mode.match(secret) for secret in secrets) for mode in _MODES):
        yield "mixes keys of live and of test mode: make an account for each, or test money can pay live orders"


def bits_of(secret: str) -> float:
    """Returns how many bits of chance are in it at most, by the sorts of characters that it has."""
    sorts = (
        ("0123456789", 10),
        ("abcdef", 6),
        ("ghijklmnopqrstuvwxyz", 20),
        ("ABCDEF", 6),
        ("GHIJKLMNOPQRSTUVWXYZ", 20),
    )
    known = "".join(letters for letters, _ in sorts)
    size = sum(count for letters, count in sorts if any(char in letters for char in secret))
    if any(char not in known for char in secret):
        size += 32
    return len(secret) * math.log2(max(size, 2))


def _shape_of(secret: str) -> Shape | None:
    return next((shape for pattern, shape in _SHAPES if pattern.match(secret)), None)


def _right(gateway: str, setting: str) -> str:
    found = BEGINNINGS.get(f"{gateway}.{setting}")
    return found[1] if found else f"the {setting.removesuffix('s').replace('_', ' ')} as the gateway shows it"


def _unit_of(text: str) -> str:
    """Returns what a text repeats, if it repeats something from end to end; else the text."""
    at = (text + text).find(text, 1)
    return text[:at] if 0 < at < len(text) else text


def _without_runs(text: str) -> str:
    """Returns the text without keyboard sequences and repetitions: 1234, cba, asdf, aaaa."""
    kept, at = [], 0
    while at < len(text):
        length = _run_at(text, at)
        if length < RUN_CHARS_MIN:
            kept.append(text[at])
            at += 1
        else:
            kept.append(" ")
            at += length
    return "".join(kept)


def _run_at(text: str, at: int) -> int:
    rows = (*_ROWS, *(row[::-1] for row in _ROWS), text[at] * len(text))
    return max(_shared(text, at, row) for row in rows)


def _shared(text: str, at: int, row: str) -> int:
    """Returns how far the text goes along the row from here."""
    begin = row.find(text[at])
    length = 0
    while begin >= 0 and at + length < len(text) and row[begin + length : begin + length + 1] == text[at + length]:
        length += 1
    return length
