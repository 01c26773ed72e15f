"""Questions that deliveries cause, on their way through the lanes and the database and back."""

from tillkeeper.domain.fetching import Fetch, problem_with_fetch
from tillkeeper.gateways.base import BadPayload, Gateway, Question, Verified


def fetches_of(gateway: Gateway, verified: Verified) -> tuple[Fetch, ...]:
    """What the gateway must be asked because of the delivery, mostly nothing.  Raises BadPayload."""
    questions = gateway.to_fetch(verified)
    if not questions:
        return ()
    fetches = tuple(_fetch(it, proven=verified.proven) for it in questions)
    for fetch in fetches:
        if problem := problem_with_fetch(fetch):
            raise BadPayload(problem)
    return fetches


def question_of(fetch: Fetch) -> Question:
    """What to ask."""
    return Question(
        about=fetch.about,
        order_ref=fetch.order_ref,
        payment_ref=fetch.payment_ref,
        refund_ref=fetch.refund_ref,
    )


def _fetch(question: Question, *, proven: bool) -> Fetch:
    return Fetch(
        about=question.about,
        payment_ref=question.payment_ref,
        refund_ref=question.refund_ref,
        order_ref=question.order_ref,
        proven=proven,
    )
