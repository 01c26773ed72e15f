"""Defines the settings of an account at WeChat Pay by the older API, and describes the gateway for docs/gateways.md."""

from typing import Annotated, Final, Literal

from pydantic import Field

from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret
from tillkeeper.gateways.wechatpay.settings import MCH_ID, SUB_MCH_IDS, SubMerchants
from tillkeeper.gateways.wechatpay_v2.fields import SignType


class WeChatPayV2Settings(AccountModel):
    """`[accounts.NAME]` with `gateway = "wechatpay_v2"`."""

    gateway: Literal["wechatpay_v2"]
    mch_id: Annotated[str, Field(min_length=1)] = Field(description=MCH_ID)
    sub_mch_ids: SubMerchants = Field(default=(), description=SUB_MCH_IDS)
    app_id: Annotated[str, Field(min_length=1)] = Field(
        description="The app's id (appid), which queries name.  Notices for another count for nothing."
    )
    api_key: OneSecret = Field(
        description="The API key (API密钥, not the APIv3 key), which signs notices, answers and queries, and opens "
        "refund notices."
    )
    sign_type: SignType = Field(
        default="MD5",
        description="The algorithm that your orders are made with: MD5 or HMAC-SHA256.  It is never taken from what "
        "arrives.",
    )
    api_base: ApiBase = "https://api.mch.weixin.qq.com"


ABOUT: Final = About(
    title="WeChat Pay v2",
    title_zh="微信支付 v2",
    verifies="MD5 or HMAC-SHA256, as the account says, over the fields and the API key; a refund notice must decrypt "
    "with AES-256-ECB under that key",
    uncovered="the signature is over the fields, not over the layout of the XML around them; a refund notice is not "
    "signed at all, and what is encrypted with ECB can be put together anew out of two genuine notices, so that it "
    "changes nothing by itself: WeChat Pay is asked about the refund it names",
    dedupes_by="`transaction_id`; for a payment that failed together with its error code and time",
    acknowledges="200 with `return_code` SUCCESS as XML",
    queries="transactions by WeChat Pay's number or the order reference; refunds by `out_refund_no`, and all of a "
    "transaction in state REFUND; answers' signatures are verified.  A service provider asks in the name of "
    "one sub-merchant after the other",
    refunds_seen="that something went back, and each refund",
    checked="the package `wechatpy` signs payment notices and answers, and opens the sandbox's refund notices",
    sources=(
        "the package `wechatpy`",
        "the fixtures in the tests of wechatpay-php",
        "WeChat Pay's pages 支付结果通知, 退款结果通知, 扣款结果通知 and 合单支付结果通知",
    ),
)
