"""Masks what tells who paid in a raw delivery, for people who look at it: values by their fields' names, and contacts.

A delivery may be JSON, a form, XML, or one within the other, and may be cut; so names are looked for as they are
written, whatever stands around.  Which names those are was read off what each gateway sends, and documents to send:
a test has every field of every simulator's deliveries, and fails for one that nobody has judged.
"""

import re
from typing import Final
from urllib.parse import unquote

from tillkeeper.domain.decoding import decoded_base64
from tillkeeper.domain.masking import without_any_contacts

MASK: Final = "<masked>"
BASE64_CHARS_MIN: Final = 64  # shorter ones are ids and signatures
# Words of a name stand apart, or are joined by _ or -, or begin with a capital: buyer_id, buyer-id, buyerId.
NAMES: Final = (
    *("buyer id", "buyer logon id", "buyer user id", "buyer open id", "buyer name", "buyer email", "buyer phone"),
    *("openid", "open id", "sub openid", "sub open id", "union id", "unionid", "user open id"),
    *("payer id", "payer name", "payer email", "payer phone", "payer logon id", "payer user id", "payer account"),
    *("shopper name", "shopper email", "shopper reference", "shopper ip", "shopper id", "telephone number"),
    *("customer", "customer id", "customer code", "customer email", "customer name", "customer ip", "customer phone"),
    *("email", "email address", "receipt email", "contact", "phone", "phone number", "phone no", "telephone", "mobile"),
    *("mobile no", "msisdn", "national number", "name", "full name", "first name", "last name", "given name"),
    *("given names", "surname", "family name", "middle name", "holder name", "card holder", "card holder name"),
    *("cardholder name", "card name", "account holder", "account holder name", "account name", "billing name"),
    *(
        "line1",
        "line2",
        "address line1",
        "address line2",
        "address line 1",
        "address line 2",
        "street",
        "street address",
    ),
    *("extended address", "house number", "house number or name", "locality", "city", "town", "admin area 1"),
    *("admin area 2", "province", "postal code", "postcode", "zip", "zip code", "recipient name"),
    *(
        "ip",
        "ip address",
        "client ip",
        "payer client ip",
        "user ip",
        "spbill create ip",
        "last4",
        "last 4",
        "last 4digits",
    ),
    *("card no", "card no back4", "card last4", "card number", "masked number", "bin", "iin", "card bin", "first6"),
    *("first 6", "first 6digits", "card summary", "card fingerprint", "fingerprint", "iban", "bic", "account number"),
    *("account number ending", "bank account", "sort code", "national id", "identification", "identity no", "id card"),
    *("cert no", "tax id", "date of birth", "dob", "birth date", "acc open id", "acc user id", "user name", "username"),
    *("vpa", "upi", "nickname", "attestation"),
)


def _written(name: str) -> str:
    return r"[-_]?".join(map(re.escape, name.split()))


_NAME: Final = "|".join(sorted(map(_written, NAMES), key=len, reverse=True))
_ANY_CASE: Final = re.IGNORECASE | re.DOTALL
# A text in JSON; its quotes are escaped where the JSON stands in a text itself.  A cut one has no end.
_IN_JSON: Final = re.compile(rf'"({_NAME})"(\s*:\s*)("(?:[^"\\]|\\.)*(?:"|\Z|\\\Z)|-?\d[\d.]*)', _ANY_CASE)
_IN_ESCAPED_JSON: Final = re.compile(
    rf'(?P<quote>\\+")(?P<name>{_NAME})(?P=quote)(?P<between>\s*:\s*)'
    r"(?:(?P=quote)(?:(?!(?P=quote)).)*(?:(?P=quote)|\Z)|-?\d[\d.]*)",
    _ANY_CASE,
)
_IN_ENCODED_JSON: Final = re.compile(
    rf"%22({_NAME})%22((?:%20|\+)*%3A(?:%20|\+)*)(?:%22(?:(?!%22).)*(?:%22|\Z)|-?\d[\d.]*)", _ANY_CASE
)
_IN_FORM: Final = re.compile(rf"(?<![^&?\s])((?:[\w.-]+(?:\[|%5B))?(?:{_NAME})(?:\]|%5D)?)=([^&\s]+)", _ANY_CASE)
_IN_XML: Final = re.compile(rf"<({_NAME})(\s[^<>]*)?>(?!\s*<(?!!\[CDATA))(.+?)(</\1>|\Z)", _ANY_CASE)
_CHAR: Final = r"(?:[A-Za-z0-9+/]|%2B|%2F|%0D|%0A|\\n|\\/)"  # also as a form or JSON has it
_BASE64: Final = re.compile(rf"(?<![\w+/%-]){_CHAR}{{{BASE64_CHARS_MIN},}}(?:=|%3D){{0,2}}(?:%0A|\\n)?(?![\w+/-])")


def without_personal_fields(text: str) -> str:
    """Returns the text of a delivery with the values of such fields masked, and without contacts.

    What stands in it as Base64 is shown decoded, where it is a text.
    """
    text = _BASE64.sub(_decoded, text)
    text = _IN_JSON.sub(rf'"\1"\2"{MASK}"', text)
    text = _IN_ESCAPED_JSON.sub(rf"\g<quote>\g<name>\g<quote>\g<between>\g<quote>{MASK}\g<quote>", text)
    text = _IN_ENCODED_JSON.sub(rf"%22\1%22\2%22{MASK}%22", text)
    text = _IN_XML.sub(rf"<\1\2>{MASK}\4", text)
    return without_any_contacts(_IN_FORM.sub(rf"\1={MASK}", text))


def _decoded(found: re.Match[str]) -> str:
    held = unquote(found[0]).replace("\\n", "\n").replace("\\/", "/")
    texts = list(decoded_base64(held))
    is_text = (
        len(texts) == 1 and "\ufffd" not in texts[0] and texts[0].replace("\n", " ").replace("\r", " ").isprintable()
    )
    return texts[0] if is_text else found[0]
