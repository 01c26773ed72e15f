"""Braintree for the conformance suite."""

from base64 import encodebytes
from datetime import timedelta
from urllib.parse import quote, unquote_to_bytes

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of

from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.braintree.gateway import Braintree
from tillkeeper.gateways.braintree.settings import BraintreeSettings
from tillkeeper.gateways.messages import Query, Request
from tillkeeper.sandbox.simulators.braintree.objects import credit, document, notification, sale
from tillkeeper.sandbox.simulators.braintree.signing import BraintreeSigner, digest_of
from tillkeeper.sandbox.story import ExpectedOrder, Story

VOICE = BraintreeSigner(
    account="braintree-main",
    merchant_id="integration_merchant",
    public_key="integration_public_key",
    private_key="integration_private_key",
)
SETTINGS = {
    "gateway": "braintree",
    "merchant_id": VOICE.merchant_id,
    "public_key": VOICE.public_key,
    "private_key": VOICE.private_key,
}
STORY = Story(
    name="conformance",
    account=VOICE.account,
    order_ref="ORDER-1",
    payment_ref="e5z9qk2n",
    amount=12900,
    currency="USD",
    due_currency="USD",
    due_at=VOICE.account,
    started_at=NOW - timedelta(hours=1),
    events=(),
    expected=ExpectedOrder(status=Status.PAID, paid=12900, refunded=0),
)
PAID_AT = NOW - timedelta(minutes=1)
SALE = sale(STORY, 12900, "settled", PAID_AT)
CREDIT = credit(STORY, "r3fundq8", 400, "settled", PAID_AT)
BODY = notification("transaction_settled", PAID_AT, {"transaction": SALE})
CONTENT_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def form_of(body: bytes, private_key: str = VOICE.private_key) -> Request:
    """Escapes no more than it must; the order of the fields is ours."""
    payload = encodebytes(body).decode()
    form = f"bt_payload={quote(payload)}"
    return seal_form(form.encode(), private_key)


def seal_form(form: bytes, private_key: str = VOICE.private_key) -> Request:
    """Signs what a lenient reader takes for the payload."""
    fields = [field.partition(b"=") for field in form.split(b"&")]
    payload = next(
        (unquote_to_bytes(value.replace(b"+", b" ")) for name, _, value in fields if name == b"bt_payload"), b""
    )
    pair = f"{VOICE.public_key}|{digest_of(private_key, payload.decode(errors='replace'))}"
    return request_of((CONTENT_TYPE, (form + b"&" if form else b"") + f"bt_signature={quote(pair)}".encode()))


def asked(query, name, content):
    def seal(body):
        return response_of(({"Content-Type": "application/xml", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    return Asked(query=query, plain=document(name, content).strip(), seal=seal, foreign=None, form="xml")


def with_signature(request: Request, signatures: list[str]) -> Request:
    payload = request.body.partition(b"&")[0]
    signs = [
        b"bt_signature=" + quote(signature, safe="", errors="surrogateescape").encode() for signature in signatures
    ]
    return Request(headers=request.headers, body=b"&".join([payload, *signs]))


def specimen(keys: Keys) -> Specimen:
    valid = form_of(BODY)
    return Specimen(
        settings=SETTINGS,
        gateway=Braintree("braintree-main", BraintreeSettings.model_validate(SETTINGS)),
        valid=valid,
        foreign=form_of(BODY, "of_somebody_else"),
        with_signature=with_signature,
        layers={
            "form": Layer(plain=valid.body.partition(b"&")[0], seal=seal_form, form="form"),
            "payload": Layer(plain=BODY, seal=form_of, form="xml"),
        },
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="e5z9qk2n"), "transaction", SALE),
            "refund": asked(Query(about="refund", order_ref="ORDER-1", refund_ref="r3fundq8"), "transaction", CREDIT),
        },
    )
