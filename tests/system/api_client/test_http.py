"""One call over the real network, to a server that behaves and one that does not."""

import asyncio
import gzip

import pytest
from aiohttp import web

from tests.system.api_client.api_server import Server, says
from tillkeeper.api_client import http
from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.messages import Call
from tillkeeper.sandbox.servers.child import free_ports


async def sent(call, **settings):
    async with open_http(ApiClientSettings.model_validate({"call_s": 0.3} | settings)) as send:
        return await send(call)


def get(url, **headers):
    return Call(method="GET", url=url, headers=headers)


async def test_the_response_comes_as_it_is(server):
    async def answer(request):
        response = web.Response(status=404, body=b'{"a": 1.10}\n')
        response.headers.add("X-Twice", "one")
        response.headers.add("X-Twice", "two")
        return response

    server.answers = [answer]
    response = await sent(get(f"{server.url}/v1/x"))
    assert (response.status, response.body) == (404, b'{"a": 1.10}\n')
    assert response.headers["x-twice"] == ["one", "two"]


@pytest.mark.parametrize("path", ["/a%7Cb%2A?expand%5B%5D=x&y=%20", "/a%2F%2E%2E?b=c+d", "/%E8%AE%A2?q=%22"])
async def test_the_address_goes_out_as_it_was_signed(server, path):
    await sent(get(server.url + path))
    assert server.requests[0].raw_path == path


async def test_a_post_carries_its_body_and_headers(server):
    call = Call(method="POST", url=f"{server.url}/gateway.do?a=b", headers={"Content-Type": "text/x"}, body=b"biz=1")
    bodies = []

    async def answer(request):
        bodies.append(await request.read())
        return web.Response()

    server.answers = [answer]
    await sent(call)
    (request,) = server.requests
    assert (request.method, request.headers["Content-Type"], bodies) == ("POST", "text/x", [b"biz=1"])
    assert request.headers["User-Agent"].startswith("tillkeeper/")
    assert request.headers["Accept-Encoding"] == "identity"


async def test_a_redirect_is_not_followed(server):
    async with Server().listening() as elsewhere:
        server.answers = [says(b"", 302, Location=f"{elsewhere.url}/v1/x")]
        response = await sent(get(f"{server.url}/v1/x", Authorization="Bearer secret"))
        assert response.status == 302
        assert elsewhere.requests == []


async def test_a_cookie_is_not_sent_back(server):
    server.answers = [says(b"", **{"Set-Cookie": "session=1; Path=/"})]
    async with open_http(ApiClientSettings()) as send:
        await send(get(f"{server.url}/"))
        await send(get(f"{server.url}/"))
    assert all("Cookie" not in request.headers for request in server.requests)


async def test_a_proxy_named_by_the_environment_is_not_used(server, monkeypatch):
    [port] = free_ports(1)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    assert (await sent(get(f"{server.url}/"))).status == 200


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_huge_answer_is_refused_before_it_is_read(server, is_told):
    piece, written = b"x" * (1024 * 1024), []

    async def answer(request):
        response = web.StreamResponse()
        if is_told:
            response.content_length = 1024 * len(piece)
        await response.prepare(request)
        for _ in range(1024):
            await response.write(piece)
            written.append(len(piece))
        return response

    server.answers = [answer]
    with pytest.raises(BadPayload, match="greater"):
        await sent(get(f"{server.url}/"), call_s=20)
    assert sum(written) < 4 * http.ANSWER_BYTES_MAX


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-unknown"])
async def test_a_compressed_answer_is_refused(server, encoding):
    server.answers = [says(gzip.compress(b"x" * 1_000_000), **{"Content-Encoding": encoding})]
    with pytest.raises(BadPayload, match="compressed"):
        await sent(get(f"{server.url}/"))


async def test_a_file_comes_as_it_is_packed_and_may_be_greater_than_an_answer(server, monkeypatch):
    packed = gzip.compress(b"x" * 1_000_000)
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", len(packed) - 1)
    monkeypatch.setattr(http, "FILE_BYTES_MAX", len(packed))
    call = Call(method="GET", url=f"{server.url}/", headers={}, is_for_file=True)
    server.answers = [says(packed, **{"Content-Encoding": "gzip"})]
    assert (await sent(call)).body == packed
    monkeypatch.setattr(http, "FILE_BYTES_MAX", len(packed) - 1)
    with pytest.raises(BadPayload, match="greater than"):
        await sent(call)


async def hang(request):
    await asyncio.sleep(60)
    return web.Response()


async def drip(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def break_off(request):
    response = web.StreamResponse()
    response.content_length = 100
    await response.prepare(request)
    await response.write(b"{")
    request.transport.abort()
    return response


async def hang_up(request):
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("answer", [hang, drip, break_off, hang_up])
async def test_an_answer_that_does_not_come_whole_and_in_time_is_none(server, answer):
    server.answers = [answer]
    with pytest.raises(http.Unreachable):
        await sent(get(f"{server.url}/"))


async def test_nobody_there_is_unreachable():
    [port] = free_ports(1)
    with pytest.raises(http.Unreachable, match="ClientConnectorError"):
        await sent(get(f"http://127.0.0.1:{port}/"))


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nA" + b"a" * 100_000, b"\x00" * 100]
)
async def test_something_that_does_not_speak_http_is_unreachable(said):
    async def talk(reader, writer):
        await reader.read(10)
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(http.Unreachable):
            await sent(get(f"http://127.0.0.1:{port}/"))


async def test_a_certificate_that_nobody_vouches_for_is_unreachable(server):
    with pytest.raises(http.Unreachable):
        await sent(get(server.url.replace("http://", "https://")))
