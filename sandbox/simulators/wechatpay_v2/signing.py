"""Signs as WeChat Pay's API v2 does."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from tillkeeper.sandbox.formats import SHANGHAI, Signed, shanghai_digits
from tillkeeper.sandbox.simulators.wechatpay_v2.templates import ACCEPTED_DEDUCTION, DECLINED, FAILED_DEDUCTION, PAID
from tillkeeper.sandbox.story import Story, StoryEvent

AES_BLOCK_BYTES: Final = 16

DECLINED_CODE: Final = "NOTENOUGH"

REFUND: Final = "REFUND."

Fields = dict[str, str]


class WeChatPayV2Signer(msgspec.Struct, frozen=True, kw_only=True):
    """WeChat Pay's, with the key that it shares with the merchant."""

    gateway: ClassVar[str] = "wechatpay_v2"
    pays: ClassVar[str] = PAID
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b"<total_fee>"

    account: str
    mch_id: str
    app_id: str
    api_key: str
    sign_type: str = "MD5"
    sub_mch_id: str | None = None  # of a service provider: the one sub-merchant that it serves

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:  # noqa: ARG002
        """Returns the same notice each time: nothing in it tells when it was sent."""
        if event.event_type.startswith(REFUND):
            return self.sent(self.refund_notice(self.refund(story, event)), signed=False)
        return self.sent(self.payment(story, event))

    def sent(self, fields: Fields, *, signed: bool = True) -> Signed:
        """Returns a POST of these fields."""
        return {"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"}, xml(self.signed(fields) if signed else fields)

    def signed(self, fields: Fields) -> Fields:
        """Returns the fields with their signature."""
        return fields | {"sign": sign(fields, self.api_key, self.sign_type)}

    def payment(self, story: Story, event: StoryEvent) -> Fields:
        """Returns a payment that succeeded, or that was declined."""
        content = self._common() | {
            "result_code": DECLINED if event.event_type == DECLINED else PAID,
            "openid": f"oUpF8u{story.order_ref}",
            "is_subscribe": "N",
            "trade_type": "JSAPI",
            "bank_type": "CMB_DEBIT",
            "fee_type": "CNY",
            "attach": "",
            "total_fee": str(event.amount),
            "cash_fee": str(event.amount),
            "transaction_id": story.payment_ref,
            "out_trade_no": story.order_ref,
            "time_end": shanghai_digits(event.at),
        }
        if event.event_type == DECLINED:
            content |= {"err_code": DECLINED_CODE, "err_code_des": "余额不足"}
        if event.event_type in {ACCEPTED_DEDUCTION, FAILED_DEDUCTION}:
            content |= {"trade_state": event.event_type, "contract_id": "100005698"}
        return content

    def refund(self, story: Story, event: StoryEvent) -> Fields:
        """Returns what is encrypted in a refund's notice."""
        return {
            "out_refund_no": event.refund_ref,
            "out_trade_no": story.order_ref,
            "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
            "refund_fee": str(event.amount),
            "refund_id": refund_id_of(event.refund_ref),
            "refund_recv_accout": "支付用户零钱",
            "refund_request_source": "API",
            "refund_status": event.event_type.removeprefix(REFUND),
            "settlement_refund_fee": str(event.amount),
            "settlement_total_fee": str(story.amount),
            "success_time": f"{event.at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}",
            "total_fee": str(story.amount),
            "transaction_id": story.payment_ref,
        }

    def refund_notice(self, refund: Fields) -> Fields:
        """Returns the notice around a refund, which nobody signs."""
        return self._common() | {"req_info": sealed_info(self.api_key, xml(refund, "root"))}

    def _common(self) -> Fields:
        nonce = hashlib.sha256(self.account.encode()).hexdigest()[:32]
        return {"return_code": "SUCCESS", **self.named(), "nonce_str": nonce}

    def named(self) -> Fields:
        """Whose it is."""
        sub = {} if self.sub_mch_id is None else {"sub_mch_id": self.sub_mch_id}
        return {"appid": self.app_id, "mch_id": self.mch_id, **sub}


def sign(fields: Mapping[str, str], api_key: str, sign_type: str) -> str:
    """Sorted by name; what is blank does not take part."""
    pairs = [f"{name}={fields[name]}" for name in sorted(fields) if fields[name] and name != "sign"]
    text = "&".join([*pairs, f"key={api_key}"]).encode()
    if sign_type == "HMAC-SHA256":
        return hmac.new(api_key.encode(), text, "sha256").hexdigest().upper()
    return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()


def xml(fields: Mapping[str, str], top: str = "xml") -> bytes:
    """As WeChat Pay lays it out: texts in CDATA, numbers bare, a line each."""
    lines = [f"<{name}>{value if value.isdigit() else _cdata(value)}</{name}>" for name, value in fields.items()]
    return "\n".join([f"<{top}>", *lines, f"</{top}>"]).encode()


def _cdata(value: str) -> str:
    return f"<![CDATA[{value}]]>"


def sealed_info(api_key: str, plain: bytes) -> str:
    """AES-256 block by block, padded as PKCS #7 says, under the key's MD5 written in small letters."""
    key = hashlib.md5(api_key.encode(), usedforsecurity=False).hexdigest().encode()
    pad = AES_BLOCK_BYTES - len(plain) % AES_BLOCK_BYTES
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - WeChat Pay's own
    return b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode()


def refund_id_of(refund_ref: str) -> str:
    """WeChat Pay's own number for a refund."""
    return f"5030{int(hashlib.sha256(refund_ref.encode()).hexdigest(), 16) % 10**24:024d}"
