"""Converts queries that deliveries cause into the form that travels through lanes and database, and back."""

from tillkeeper.domain.fetching import Fetch, problem_with_fetch
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.messages import Query, Verified


def fetches_of(gateway: Gateway, verified: Verified) -> tuple[Fetch, ...]:
    """Returns the queries that the delivery causes, mostly none.  Raises BadPayload."""
    queries = gateway.queries_for(verified)
    if not queries:
        return ()
    fetches = tuple(_fetch(query, proven=verified.proven) for query in queries)
    for fetch in fetches:
        if problem := problem_with_fetch(fetch):
            raise BadPayload(problem)
    return fetches


def query_of(fetch: Fetch) -> Query:
    """Returns the query that a fetch stands for."""
    return Query(
        about=fetch.about,
        order_ref=fetch.order_ref,
        payment_ref=fetch.payment_ref,
        refund_ref=fetch.refund_ref,
    )


def _fetch(query: Query, *, proven: bool) -> Fetch:
    return Fetch(
        about=query.about,
        payment_ref=query.payment_ref,
        refund_ref=query.refund_ref,
        order_ref=query.order_ref,
        proven=proven,
    )
