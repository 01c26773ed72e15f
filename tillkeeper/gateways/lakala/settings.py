"""Defines the settings of a Lakala account, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalPrivateKey
from tillkeeper.gateways.lakala.keys import trusted_certificates


def _check_certificates(pems: str) -> str:
    trusted_certificates(pems)
    return pems


_Certificates = Annotated[str, Field(repr=False), AfterValidator(_check_certificates)]
_Number = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]


class LakalaSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "lakala"`."""

    gateway: Literal["lakala"]
    merchant_no: _Number = Field(description="The merchant number (商户号).  Notices for another count for nothing.")
    platform_cert: _Certificates = Field(
        description="Lakala's platform certificate (拉卡拉平台证书), as PEM; old and new one after the other while it "
        "is renewed.  Test and production have one each."
    )
    cashier: bool = Field(
        default=False,
        description="True where orders are made at the cashier (收银台, ccss).  It decides where queries go.",
    )
    term_no: _Number | None = Field(
        default=None, description="The terminal number (终端号), which queries need unless orders are the cashier's."
    )
    app_id: _Number | None = Field(default=None, description="The app id (appid, OP...), which queries name.")
    merchant_serial: _Number | None = Field(
        default=None, description="The serial number of the merchant's certificate (serial_no), which queries name."
    )
    merchant_private_key: OptionalPrivateKey = Field(
        default=None, description="That certificate's private key, as PEM, which signs queries."
    )
    api_base: ApiBase = "https://s2.lakala.com"


ABOUT: Final = About(
    title="Lakala open platform",
    title_zh="拉卡拉",
    verifies="RSA-SHA256 over time, nonce and body, with a platform certificate that is valid now.  No tolerance of "
    "the signed time is documented, nor whether a repetition is signed anew, so that any time is taken",
    dedupes_by="`trade_no` and its status, which every repetition shares",
    acknowledges='200 with `{"code":"SUCCESS","message":"执行成功"}`',
    queries="payments and refunds by Lakala's number, payments by the order reference; at the cashier always by the "
    "order.  Answers' signatures are verified.  Needs `app_id`, `merchant_serial`, `merchant_private_key`",
    refunds_seen="that all went back, or that a part did: then refunds that are known are asked about, or a case "
    "tells it",
    set_up_with=("term_no", "app_id", "merchant_serial", "merchant_private_key"),
    checked="documents only, for no registry has an official package; the shape of the official sample is a test.  "
    "Unsure: codes of errors (only words are used), whether the time is signed anew, what a refund's notice of the "
    "aggregated payments carries (its own amount is taken from `refund_amount` alone), the meaning of REVOKED",
    sources=("o.lakala.com documents 1004, 1009, 1111, 1112", "its pages 收银台订单通知 and 收银台订单查询"),
)
