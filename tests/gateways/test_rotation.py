"""While a key is replaced two signatures come along: in two header lines, or in one that a proxy joined by a comma."""

import importlib

import pytest
from specimen import NOW, rsa_keys, with_header

from tillkeeper.gateways.errors import BadSignature

HEADERS = {
    "checkout": "cko-signature",
    "flutterwave": "flutterwave-signature",
    "gocardless": "webhook-signature",
    "mollie": "x-mollie-signature",
    "paystack": "x-paystack-signature",
    "razorpay": "x-razorpay-signature",
    "square": "x-square-hmacsha256-signature",
    "standard": "webhook-signature",
}


@pytest.mark.parametrize("name", HEADERS)
def test_one_of_two_signatures_is_enough_whichever_way_they_are_listed(name):
    specimen, header = importlib.import_module(f"specimen_{name}").specimen(rsa_keys()), HEADERS[name]
    ours, (theirs,) = specimen.valid.header(header), specimen.foreign.headers[header]
    for lines in ([theirs, ours], [ours, theirs], [f"{theirs}, {ours}"], [f"{theirs},{ours}"], [f"{ours},{theirs}"]):
        assert specimen.gateway.verify(with_header(specimen.valid, header, lines), NOW)
    for lines in ([theirs, theirs], [f"{theirs}, {theirs}"], [",".join([*[theirs] * 10, ours])], [","]):
        with pytest.raises(BadSignature):
            specimen.gateway.verify(with_header(specimen.valid, header, lines), NOW)
