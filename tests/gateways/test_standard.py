"""Payloads that settings map to events."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from specimen import NOW, request_of
from specimen_standard import BODY, MESSAGE
from standard_factories import STAMP, a_gateway, described, events, mac, sent

from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload, BadSignature
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Request
from tillkeeper.sandbox.simulators.standard.simulator import MAPPING


def message(**changes):
    data = {**MESSAGE["data"], **changes.pop("data", {})}
    return json.dumps({**MESSAGE, **changes, "data": data}).encode()


def event_of(body, gateway=None):
    (event,) = events(gateway or a_gateway(), sent(body))
    return event


# --- mappings ---------------------------------------------------------------------------------------------------------


def test_every_field_is_where_the_mapping_says():
    event = event_of(message())
    assert event.event_id == "msg_conform"
    assert (event.order_ref, event.payment_ref, event.refund_ref) == ("ORDER-1", "lan_3conform", None)
    assert event.occurred_at == datetime(2026, 10, 5, 11, 59, tzinfo=UTC)


def test_a_failure_has_the_providers_code_and_our_class():
    event = event_of(message(type="payment.declined", data={"reason": "no_money"}))
    assert (event.failure, event.failure_code) == (FailureClass.INSUFFICIENT_FUNDS, "no_money")
    event = event_of(message(type="payment.declined", data={"reason": "moon"}))
    assert (event.failure, event.failure_code) == (FailureClass.UNKNOWN, "moon")


def test_a_word_that_the_mapping_does_not_have_is_noted_and_one_that_it_ignores_is_not():
    gateway = a_gateway(mapping={"kinds": {**MAPPING["kinds"], "seen": "ignore"}})
    for word, noted in (("seen", []), ("of next year", ["of next year"])):
        with unknown_words() as words:
            assert events(gateway, sent(message(type=word))) == ()
        assert [each.word for each in words] == noted


def test_words_that_are_ignored_or_unknown_make_no_event():
    for word in ("payment.viewed", "payment.exploded"):
        assert events(a_gateway(), sent(message(type=word))) == ()


def test_a_word_that_stands_nowhere_is_noted_and_one_that_is_ignored_is_not():
    with unknown_words() as words:
        events(a_gateway(), sent(message(type="payment.viewed")))
        events(a_gateway(), sent(message(type="payment.exploded")))
    assert [(word.field, word.word) for word in words] == [("mapping.kinds", "payment.exploded")]


def remarks(gateway, body):
    return gateway.remarks(gateway.verify(sent(body), NOW))


@pytest.mark.parametrize(
    ("mapping", "changes", "beginnings"),
    [
        ({}, {"type": "payment.exploded"}, ["'payment.exploded' does not stand in mapping.kinds"]),
        ({"order_ref": "data.ordre"}, {}, ["order_ref: data.ordre leads nowhere"]),
        ({"order_ref": ["data.ordre", "data.no"]}, {}, ["order_ref: data.ordre, data.no leads nowhere"]),
        (
            {"dispute_ref": "data.case", "kinds": {"lost": "dispute.lost"}},
            {"type": "lost"},
            ["dispute_ref: "],
        ),
        (
            {"refund_ref": "data.back", "kinds": {"back": "refund.succeeded"}},
            {"type": "back"},
            ["refund_ref: data.back"],
        ),
        ({"only": {"data.shop": "s-1"}}, {}, ["what only asks for"]),
        ({}, {"data": {"amount": 12900}}, ["amount: 12900 is read as major units"]),
        ({}, {"type": "payment.viewed"}, []),
        ({}, {}, []),
    ],
)
def test_what_looks_like_a_mistake_in_the_mapping_is_named(mapping, changes, beginnings):
    found = remarks(a_gateway(mapping=mapping), message(**changes))
    assert len(found) == len(beginnings)
    assert all(remark.startswith(start) for remark, start in zip(found, beginnings, strict=True))


def test_of_each_event_in_a_delivery_once():
    gateway = a_gateway(mapping={"events": "items"}, without=("event_id",))
    assert len(remarks(gateway, json.dumps({"items": [{**MESSAGE, "type": "what"}] * 3}).encode())) == 1


def test_an_event_that_cannot_do_without_names_the_path_that_leads_nowhere():
    with pytest.raises(BadPayload, match=r"needs payment_ref; payment_ref: data\.payement leads nowhere"):
        event_of(message(), a_gateway(mapping={"payment_ref": "data.payement"}))
    with pytest.raises(BadPayload, match='need unit = "major"'):
        event_of(message(), a_gateway(mapping={"unit": "minor"}))


def test_what_is_not_ours_makes_no_event():
    gateway = a_gateway(mapping={"only": {"data.shop": "s-1"}})
    assert events(gateway, sent(message())) == ()
    assert events(gateway, sent(message(data={"shop": "s-1"})))


def test_fixed_values_first_paths_joined_ids_and_numbers():
    gateway = a_gateway(
        mapping={
            "currency": "=JPY",
            "unit": "minor",
            "event_id": ["data.payment", "data.seq"],
            "kind": ["type", "data.status"],
            "kinds": {"payment/ok": "payment.succeeded"},
            "order_ref": ["data.missing", "data.lines.0.order"],
            "method": "data.method",
        }
    )
    data = {"seq": 7, "status": "ok", "amount": "500", "lines": [{"order": 42}], "method": "wallet"}
    event = event_of(message(type="payment", data=data), gateway)
    assert (event.event_id, event.order_ref, event.amount, event.method) == ("lan_3conform:7", "42", 500, "wallet")
    (event,) = events(gateway, sent(message(type="payment", data={**data, "lines": []})))
    assert event.order_ref is None


def test_units_that_differ_from_iso():
    gateway = a_gateway(mapping={"unit": "minor", "digits": {"JPY": 2}})
    assert event_of(message(data={"currency": "jpy", "amount": 50000}), gateway).amount == 500


def test_a_running_total_of_refunds():
    gateway = a_gateway(
        mapping={"kinds": {"refunded": "refund.succeeded"}, "total": "data.refunded"}, without=("amount",)
    )
    event = event_of(message(type="refunded", data={"refunded": "4.00"}), gateway)
    assert (event.total, event.amount) == (400, None)


@pytest.mark.parametrize(
    ("time", "zone", "value", "hour"),
    [
        ("unix", "+00:00", int(NOW.timestamp()), 12),
        ("unix", "+00:00", str(int(NOW.timestamp())), 12),
        ("unix_ms", "+00:00", int(NOW.timestamp()) * 1000 + 999, 12),
        ("dashed", "+08:00", "2026-10-05 20:00:00", 12),
        ("dashed", "-03:00", "2026-10-05 09:00:00", 12),
        ("compact", "+00:00", "20261005120000", 12),
        ("rfc3339", "+00:00", "2026-10-05T14:00:00+02:00", 12),
    ],
)
def test_times_in_every_form(time, zone, value, hour):
    event = event_of(message(timestamp=value), a_gateway(mapping={"time": time, "zone": zone}))
    assert event.occurred_at == datetime(2026, 10, 5, hour, tzinfo=UTC)


def test_several_events_in_a_delivery():
    gateway = a_gateway(mapping={"events": "items"}, without=("event_id",))
    items = [MESSAGE, {**MESSAGE, "type": "payment.viewed"}, {**MESSAGE, "type": "payment.started"}]
    found = events(gateway, sent(json.dumps({"items": items}).encode()))
    assert [event.event_id for event in found] == ["msg_1:0", "msg_1:2"]


def test_a_form_is_read_as_one():
    gateway = a_gateway(
        mapping={
            "body": "form",
            "event_id": "id",
            "kind": "state",
            "kinds": {"paid": "payment.succeeded"},
            "order_ref": "order",
            "payment_ref": "payment",
            "amount": "sum",
            "currency": "=EUR",
            "occurred_at": "at",
            "time": "unix",
        }
    )
    event = event_of(f"id=1&state=paid&order=O-1&payment=P-1&sum=1.50&at={int(NOW.timestamp())}".encode(), gateway)
    assert (event.order_ref, event.amount) == ("O-1", 150)


def test_a_field_whose_own_name_holds_dots_comes_before_a_path():
    fields = {"body": "form", "event_id": "data.id", "kind": "data.state", "kinds": {"paid": "payment.succeeded"}}
    fields |= {"order_ref": "data.order", "payment_ref": "data.payment", "amount": "sum", "currency": "=EUR"}
    gateway = a_gateway(mapping={**fields, "occurred_at": "at", "time": "unix"})
    body = f"data.id=1&data.state=paid&data.order=O-1&data.payment=P-1&sum=1.50&at={STAMP}"
    event = event_of(body.encode(), gateway)
    assert (event.event_id, event.order_ref, event.payment_ref) == ("1", "O-1", "P-1")


@pytest.mark.parametrize(
    ("mapping", "body"),
    [
        ({}, b"[]"),
        ({}, message(type=None)),
        ({}, message(id=None)),
        ({}, message(timestamp=None)),
        ({}, message(timestamp=5)),
        ({}, message(timestamp="yesterday")),
        ({}, message(data={"currency": None})),
        ({}, message(data={"amount": "1,00"})),
        ({}, message(data={"amount": None})),
        ({}, message(data={"payment": None})),
        ({}, message(data={"payment": {}})),
        ({}, message(data={"payment": 0.5})),
        ({}, message(type=True)),
        ({"time": "unix"}, message(timestamp="soon")),
        ({"time": "unix"}, message(timestamp=True)),
        ({"unit": "minor"}, message(data={"amount": "9" * 30})),
        ({"events": "items"}, message()),
        ({"events": "items"}, json.dumps({"items": [{}] * 501}).encode()),
    ],
)
def test_a_payload_that_does_not_fit_is_refused(mapping, body):
    gateway = a_gateway(mapping=mapping)
    verified = gateway.verify(sent(body), NOW)
    if body == message(type=True):
        assert gateway.parse(verified) == ()
        return
    with pytest.raises(BadPayload):
        gateway.parse(verified)


def test_without_an_id_anywhere_an_event_is_refused():
    gateway = described({"header": "x-sign"}, without=("event_id",))
    with pytest.raises(BadPayload, match="event_id"):
        events(gateway, request_of(({"x-sign": mac(BODY).hex()}, BODY)))


@pytest.mark.parametrize(
    "mapping",
    [
        {"kinds": {}},
        {"kinds": {"a": "payment.exploded"}},
        {"order_ref": ""},
        {"order_ref": "a..b"},
        {"currency": "=RMB"},
        {"zone": "Asia/Shanghai"},
        {"colour": "red"},
        {"failures": {"a": "bad_luck"}},
        {"kind": ["type", "state"]},
        {"kinds": {"a": "dispute.opened"}, "dispute_ref": None},
        {"kinds": {"a": "refund.failed"}, "refund_ref": None},
    ],
)
def test_a_mapping_that_means_nothing_is_refused_at_start(mapping):
    with pytest.raises(ValidationError):
        a_gateway(mapping=mapping)


@pytest.mark.parametrize("missing", ["amount", "currency", "payment_ref"])
def test_a_mapping_without_what_its_kinds_need_is_refused_at_start(missing):
    with pytest.raises(ValidationError, match=missing):
        a_gateway(without=(missing,))


def test_the_answer_is_what_the_account_says():
    gateway = a_gateway(acknowledge_status=202, acknowledge_body="OK")
    assert (gateway.acknowledge().status, gateway.acknowledge().body) == (202, b"OK")
    assert a_gateway().acknowledge().status == 200


def test_nothing_in_the_headers_is_no_crash():
    with pytest.raises(BadSignature):
        a_gateway().verify(Request(headers={}, body=BODY), NOW)
