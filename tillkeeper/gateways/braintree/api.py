"""Builds queries to Braintree's API and reads the responses: where a transaction is found, and what a response holds.

Sources: the package `braintree` (`util/http.py`, `transaction_gateway.py`).
"""

import re
from typing import Final

from tillkeeper.gateways.braintree import objects
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictxml
from tillkeeper.gateways.kit.fields import text
from tillkeeper.gateways.kit.http_status import (
    DENIED_STATUSES,
    NOT_FOUND,
    OK_OR_NOT_FOUND,
    TOO_MANY_REQUESTS,
    check_status,
)
from tillkeeper.gateways.messages import Query, Response

API_VERSION: Final = "6"  # of the package `braintree`, which decides what a transaction looks like
TRANSACTION: Final = "transaction"
RETRY_STATUSES: Final = frozenset({408, TOO_MANY_REQUESTS})
VERSION_DENIED_STATUSES: Final = DENIED_STATUSES | {426}  # this version of the API is no more

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def path_of(query: Query) -> str:
    """Returns the path of a transaction below the merchant's.  Raises CannotQuery."""
    ref = _transaction_ref(query)
    if ref is None or not _ID.fullmatch(ref):
        raise CannotQuery("a transaction's id is missing, or not one of Braintree's")
    return f"/transactions/{ref}"


def _transaction_ref(query: Query) -> str | None:
    """Returns the id of the transaction; a refund is one as well."""
    return query.refund_ref if query.about == "refund" else query.payment_ref


def transaction_in(query: Query, response: Response) -> object | None:
    """Returns the transaction that the query is about; None where Braintree knows of none such."""
    transaction = _transaction_of(response)
    if transaction is None:
        return None
    if text(transaction, "id") != _transaction_ref(query):
        raise BadPayload("the response is about another transaction than the query")
    return transaction


def _transaction_of(response: Response) -> object | None:
    """Returns the transaction in a response; None where there is none such.

    A page of some proxy's is not Braintree's word for that.
    """
    check_status(response, accepted=OK_OR_NOT_FOUND, retry=RETRY_STATUSES, denied=VERSION_DENIED_STATUSES)
    if response.status == NOT_FOUND:
        if response.body.strip() and strictxml.loads(response.body).name in {TRANSACTION, "html"}:
            raise BadPayload("status 404 with something in it that was found")
        return None
    top = strictxml.loads(response.body)
    if top.name != TRANSACTION:
        raise BadPayload("the response is no transaction")
    return objects.content_of(top)
