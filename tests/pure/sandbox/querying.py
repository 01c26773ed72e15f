"""A gateway that asks its played API without a network between."""

from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Answer, Call, Query, Response
from tillkeeper.sandbox.apis.base import Api, ApiRequest


def answer(gateway: Gateway, api: Api, query: Query, *, now: datetime) -> Answer:
    """What the API answers, heard by the gateway; signed in first where that must be."""
    call = gateway.query_request(query, now=now, nonce="0123456789abcdef")
    headers = {name.lower(): value for name, value in call.headers.items()}
    if (signing_in := gateway.token_request(now=now)) is not None:
        token = gateway.read_token(put(api, signing_in, signing_in.headers, now=now), now=now)
        headers |= {"authorization": f"Bearer {token.value}"}
    return gateway.read_response(query, put(api, call, headers, now=now), now=now)


def put(api: Api, call: Call, headers, *, now: datetime) -> Response:
    url = urlsplit(call.url)
    told = api.respond(
        ApiRequest(
            method=call.method,
            path=url.path,
            target=f"{url.path}?{url.query}" if url.query else url.path,
            query=tuple(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in headers.items()},
            body=call.body,
        ),
        now=now,
        as_of=now,
    )
    sealed = api.signed(told, now=now)
    heard = {name.lower(): [value] for name, value in sealed.headers.items()}
    return Response(status=sealed.status, headers=heard, body=sealed.body)
