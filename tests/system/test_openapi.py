"""The receiver does what its own OpenAPI document says: schemathesis makes requests of it, and judges the responses."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

import jsonschema_rs
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.receiving import AUTHORIZED, TOKEN
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.policy import Policy
from tillkeeper.ingest import openapi
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.orders import acts

EXAMPLES = 15
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# What the document cannot say of a request: that instalments add up, and that the database has none that contradicts.
SAID_IN_WORDS = "positive_data_acceptance"


def narrowed(document: dict) -> dict:
    """The document with the names of the accounts that are configured, which it keeps to itself."""
    known = json.loads(json.dumps(document))
    schemas = known["components"]["schemas"]
    for schema in ("ClaimedPaymentBody", "RefundBody"):
        schemas[schema]["properties"]["account"]["enum"] = ["stripe-main"]
    schemas["OrderBody"]["properties"]["accounts"]["items"]["enum"] = ["stripe-main"]
    for operation in known["paths"]["/orders/{order_ref}"], known["paths"]["/orders/{order_ref}/refunds/{refund_ref}"]:
        example = operation["put"]["requestBody"]["content"]["application/json"]["example"]
        example |= {"account": "stripe-main"} if "account" in example else {"accounts": ["stripe-main"]}
    return known


async def conformance(port: int, directory: Path, *arguments: str) -> tuple[int, str]:
    """Schemathesis' exit code and what it printed."""
    (directory / "openapi.json").write_text(json.dumps(narrowed(openapi.document())))
    command = [
        *(str(SCHEMATHESIS), "run", "openapi.json", "--url", f"http://127.0.0.1:{port}"),
        *("--header", f"Authorization: Bearer {TOKEN}"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none"),
        *("--exclude-checks", SAID_IN_WORDS, "--suppress-health-check", "all", "--no-color", "--warnings", "off"),
        *arguments,
    ]
    child = await asyncio.create_subprocess_exec(
        *command, cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await child.communicate()
    return child.returncode, out.decode()


@pytest.mark.long
@pytest.mark.slow
async def test_a_running_receiver_does_what_its_document_says(port, connection, tmp_path):
    code, said = await conformance(port, tmp_path)
    assert code == 0, said
    registered = await connection.fetchrow("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM refunds)")
    assert min(registered) >= 3, "hardly anything that it sent was good enough to be registered"


async def test_the_document_is_served_to_anybody_and_names_no_account(client):
    async with client.get("/openapi.json") as response:
        served = await response.json()
    assert served == json.loads(json.dumps(openapi.document()))
    assert "stripe-main" not in json.dumps(served["components"]["schemas"])


# One of each: what an order can have beside its status, and what its history can hold.
EVENTS = [
    an_event(Kind.PAYMENT_PENDING, payment_ref="pi_0"),
    an_event(Kind.PAYMENT_FAILED, 1, payment_ref="pi_0", failure=FailureClass.INSUFFICIENT_FUNDS, failure_code="51"),
    an_event(payment_ref="pi_1", second=2, amount=150, method="card"),
    an_event(payment_ref="pi_2", second=3, currency="USD"),
    an_event(Kind.REFUND_SUCCEEDED, 4, refund_ref="re_1", amount=20),
    an_event(Kind.REFUND_SUCCEEDED, 5, payment_ref="pi_1", total=20),
    an_event(Kind.DISPUTE_OPENED, 6, dispute_ref="dp_1", amount=50),
    an_event(Kind.DISPUTE_LOST, 7, dispute_ref="dp_1", amount=50),
]


STEP = """
INSERT INTO steps (order_id, phase, action, at, taken_at, tries) SELECT id, 1, 'query', $1, $1, 2 FROM orders
"""


async def test_an_order_in_which_everything_happened_is_shown_as_the_document_says(client, pool, connection):
    await register(pool, a_registration("A1", accounts=("stripe-main",)), policy=Policy(), now=NOON)
    async with connection.transaction():
        await apply_deliveries(connection, [a_delivery(event) for event in EVENTS], policy=Policy(), now=NOON)
        await acts.hold(connection, "A1", until=NOON + timedelta(days=1), by="mei", note="asked", now=NOON)
        await connection.execute(STEP, NOON)
    async with client.get("/orders/A1", headers=AUTHORIZED) as response:
        order = await response.json()
    async with client.get("/orders/A1/history", headers=AUTHORIZED) as response:
        history = await response.json()
    assert all(order[part] for part in ("payments", "refunds", "disputes", "cases", "held_until", "charged_back"))
    assert {entry["what"] for entry in history} == {"event", "act", "step"}
    for name, shown in (("Order", order), ("History", history)):
        validator(name).validate(shown)
    with pytest.raises(jsonschema_rs.ValidationError):
        validator("Order").validate({**order, "paid": -1})


def validator(name: str) -> jsonschema_rs.Validator:
    """Judges by one schema of the document, where no field may be missing and none be more than it says."""
    document = json.loads(json.dumps(openapi.document()))
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def properties_of(schema, *, where=""):
    for name, each in schema.get("properties", {}).items():
        yield f"{where}.{name}", each


def test_every_field_and_every_answer_is_described():
    document = openapi.document()
    fields = [
        field
        for name, schema in document["components"]["schemas"].items()
        for field in properties_of(schema, where=name)
    ]
    assert len(fields) > 60
    assert [name for name, field in fields if not field.get("description")] == []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                assert operation["summary"], path
                assert operation["description"], path
                assert all(answer["description"] for answer in operation["responses"].values()), path
