"""Values of fields that tell who paid are masked however a delivery is written."""

from base64 import b64encode
from urllib.parse import quote

import pytest

from tillkeeper.domain.personal_fields import NAMES, without_personal_fields

JSON = '{"buyer_id": "2088123", "amount": 129, "payer": {"name": "Ada", "phone_number": {"national_number": "1"}}}'
MASKED = (
    '{"buyer_id": "<masked>", "amount": 129, '
    '"payer": {"name": "<masked>", "phone_number": {"national_number": "<masked>"}}}'
)
XML = (
    "<xml><openid><![CDATA[oUpF8u]]></openid><total_fee>129</total_fee>"
    "<customer><first-name>Ada</first-name></customer></xml>"
)
MASKED_XML = (
    "<xml><openid><masked></openid><total_fee>129</total_fee>"
    "<customer><first-name><masked></first-name></customer></xml>"
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (JSON, MASKED),
        (JSON.replace('"', '\\"'), MASKED.replace('"', '\\"')),
        (XML, MASKED_XML),
        ("buyer_id=2088123&total=129&payer[name]=Ada", "buyer_id=<masked>&total=129&payer[name]=<masked>"),
        ("payer%5Bname%5D=Ada", "payer%5Bname%5D=<masked>"),
        ('{"buyerId": 2088123, "last4": 4242}', '{"buyerId": "<masked>", "last4": "<masked>"}'),
        ('{"name": "say \\"Ada\\" King", "id": "x"}', '{"name": "<masked>", "id": "x"}'),
        ('{"name": null, "customer": {"id": "c"}}', '{"name": null, "customer": {"id": "c"}}'),
        ('{"id": "x", "name": "Ada Ki', '{"id": "x", "name": "<masked>"'),
        ("<name>Ada Ki", "<name><masked>"),
        ('{"username_hint": "x", "filename": "y"}', '{"username_hint": "x", "filename": "y"}'),
        ('{"note": "ada@example.com called from 13812345678"}', '{"note": "<email> called from <phone>"}'),
    ],
)
def test_it_is_masked_and_all_else_stays(raw, shown):
    assert without_personal_fields(raw) == shown


def test_json_in_a_form_is_masked_as_it_is_encoded():
    shown = without_personal_fields(f"biz_content={quote(JSON)}&total=129")
    assert "2088123" not in shown
    assert "Ada" not in shown
    assert shown.endswith("&total=129")
    assert "%22amount%22%3A%20129" in shown


def test_what_is_packed_into_base64_is_shown_decoded_and_masked():
    packed = b64encode(XML.encode()).decode()
    assert without_personal_fields(f"bt_payload={quote(packed)}&x=1") == f"bt_payload={MASKED_XML}&x=1"
    signature = b64encode(bytes(range(256))).decode()
    assert without_personal_fields(f'{{"sign": "{signature}"}}') == f'{{"sign": "{signature}"}}'


def test_a_long_text_without_ends_is_masked_in_no_time():
    for text in ('"name":"' + "\\" * 60_000, "<name>" * 5_000, '"name" : ' * 5_000, "name=" * 10_000, "A" * 65_536):
        assert without_personal_fields(text)


def test_names_are_written_apart_in_small_letters():
    assert len(set(NAMES)) == len(NAMES)
    assert all(name == name.lower() and "_" not in name for name in NAMES)
