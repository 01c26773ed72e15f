"""One reading of HTTP statuses for all gateways."""

import pytest

from tillkeeper.gateways.errors import AccessDenied, BadPayload, Unavailable
from tillkeeper.gateways.kit.http_status import check_status, status_error
from tillkeeper.gateways.messages import Response


def a_response(status):
    return Response(status=status, headers={}, body=b"")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (599, Unavailable),
        (401, AccessDenied),
        (403, AccessDenied),
        (201, BadPayload),
        (302, BadPayload),
        (400, BadPayload),
        (404, BadPayload),
        (499, BadPayload),
    ],
)
def test_every_status_but_200_is_an_error_of_one_of_three_sorts(status, error):
    with pytest.raises(error, match=f"status {status}"):
        check_status(a_response(status))


def test_what_an_api_accepts_asks_again_for_or_denies_besides_is_its_own():
    check_status(a_response(404), accepted={200, 404})
    with pytest.raises(Unavailable):
        check_status(a_response(409), retry={409})
    with pytest.raises(AccessDenied):
        check_status(a_response(426), denied={426})


def test_an_error_code_counts_as_a_status_does_and_trying_again_comes_first():
    assert type(status_error(a_response(400), is_denied=True)) is AccessDenied
    assert type(status_error(a_response(403), is_retry=True)) is Unavailable
    assert type(status_error(a_response(503), is_denied=True)) is Unavailable
    assert str(status_error(a_response(400), ", code no_such")) == "status 400, code no_such"
