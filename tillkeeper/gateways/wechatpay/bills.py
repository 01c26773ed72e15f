"""Asks WeChat Pay v3 for the trade bill of a day (申请交易账单), and checks the file that it names (下载账单).

    GET /v3/bill/tradebill ── signed: an address, good for some minutes, and the SHA-1 of the unpacked bill
    GET that address       ── signed as every call; the file comes without a signature, so its hash vouches for it

A bill is made from 9:00 on the next day in Beijing, and should be asked for from 10:00 on; it is given out for three
months.  NO_STATEMENT_EXIST says that nothing was traded on the day.

Sources: WeChat Pay's pages 申请交易账单, 下载账单 and the 常见问题 of both.
"""

import hashlib
import hmac
import re
from datetime import date, time
from io import BytesIO
from typing import Final
from urllib.parse import urlencode, urlsplit

from tillkeeper.domain.books.calendar import StatementCalendar
from tillkeeper.domain.books.statement import LineKind, StatementRefused
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fields import text
from tillkeeper.gateways.kit.http_status import OK
from tillkeeper.gateways.kit.statements.unpacking import unpacked
from tillkeeper.gateways.messages import Response
from tillkeeper.gateways.statement_offer import EmptyDay, NotReady, OfferedFile, StatementOffer
from tillkeeper.gateways.wechatpay import api
from tillkeeper.gateways.wechatpay.bill_cells import ZONE
from tillkeeper.gateways.wechatpay.statements import TradeBill

CALENDAR: Final = StatementCalendar(zone=ZONE, ready_at=time(10), kept_days=90)
PATH: Final = "/v3/bill/tradebill"
NONE_THAT_DAY: Final = "NO_STATEMENT_EXIST"
BEING_MADE: Final = "STATEMENT_CREATING"
HOSTS: Final = ".mch.weixin.qq.com"  # the second domain may serve the file
CHUNK_BYTES: Final = 1024 * 1024
_SHA1: Final = re.compile("[0-9a-f]{40}", re.ASCII)


def bill_url(api_base: str, day: date, sub_mch_ids: tuple[str, ...]) -> str:
    """Returns what asks for a day's bill.  Raises CannotQuery."""
    if api.is_abroad(api_base):
        raise CannotQuery("the API abroad gives bills of another form, which is not read")
    if len(sub_mch_ids) > 1:
        raise CannotQuery("a bill is of one sub-merchant: make an account for each of sub_mch_ids")
    asked = {"bill_date": day.isoformat(), "bill_type": "ALL", "tar_type": "GZIP"}
    if sub_mch_ids:
        asked["sub_mchid"] = sub_mch_ids[0]
    return f"{api_base}{PATH}?{urlencode(asked)}"


def is_about_no_bill(response: Response) -> bool:
    """Says whether the answer is that there is no bill, or none yet."""
    return response.status != OK and api.code_in(response.body) in {NONE_THAT_DAY, BEING_MADE}


def offer_in(response: Response, api_base: str) -> StatementOffer:
    """Returns what an answer offers, once its signature is checked.  Raises BadPayload."""
    if is_about_no_bill(response):
        if api.code_in(response.body) == BEING_MADE:
            return NotReady()
        return EmptyDay(form=TradeBill.name, covers=frozenset({LineKind.PAYMENT, LineKind.REFUND}))
    content = strictjson.loads(response.body)
    digest, url = text(content, "hash_value"), text(content, "download_url")
    if text(content, "hash_type") != "SHA1" or not _SHA1.fullmatch(digest.lower()):
        raise BadPayload("hash_type and hash_value of the bill are no SHA-1")
    if not _is_at_home(url, api_base):
        raise BadPayload("download_url of the bill is not at WeChat Pay")
    return OfferedFile(url=url, digest=bytes.fromhex(digest))


def check_digest(offer: OfferedFile, body: bytes) -> None:
    """Raises BadPayload where the unpacked file is another than the one that was offered."""
    digest = hashlib.sha1(usedforsecurity=False)  # WeChat Pay's choice; the answer that names it is signed
    try:
        content = unpacked(BytesIO(body))
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    except StatementRefused as refused:
        raise BadPayload(str(refused)) from None
    if offer.digest is None or not hmac.compare_digest(digest.digest(), offer.digest):
        raise BadPayload("the SHA-1 of the bill is another than WeChat Pay said: it was cut or altered on its way")


def _is_at_home(url: str, api_base: str) -> bool:
    """Our signature goes along: to WeChat Pay's own hosts alone, or where the API itself is."""
    home = urlsplit(api_base)
    try:
        asked = urlsplit(url)
        is_plain = asked.username is None and asked.port in {None, home.port}
    except ValueError:
        return False
    if (asked.scheme, asked.netloc) == (home.scheme, home.netloc):
        return True
    return asked.scheme == "https" and is_plain and (asked.hostname or "").endswith(HOSTS)
