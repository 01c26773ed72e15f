"""What is live ends with the session, the person or the token that let it in, and not a minute later."""

from datetime import timedelta

import pytest

from tests.browsing import add
from tests.desks import reading
from tests.system.desk.conftest import password_hash
from tests.system.desk.test_sign_in import call
from tillkeeper.desk.pages import now
from tillkeeper.domain.people import Role
from tillkeeper.store.people import people, tokens

STREAM = "/now/stream"


@pytest.fixture
async def mei(desk):
    return await add(desk, role=Role.OPERATOR, password_hash=password_hash())


@pytest.fixture
async def signed_in(browser, mei, desk, monkeypatch):
    """No stream of hers ends by itself, as it would after a minute."""
    monkeypatch.setattr(now, "STREAM_S", None)
    await browser.sign_in()
    async with reading(desk):
        yield browser


async def begun(browser, **headers):
    stream = await browser.get(STREAM, **headers)
    assert stream.status == 200
    assert (await stream.content.readline()).startswith(b"retry")
    return stream


async def test_a_stream_ends_with_its_session(signed_in):
    stream = await begun(signed_in)
    await signed_in.post("/sign-out", on="/me")
    await stream.content.read()  # to its end
    assert (await signed_in.get(STREAM, Accept="text/event-stream")).status == 401


async def test_a_stream_ends_when_its_person_is_disabled(signed_in, desk):
    stream = await begun(signed_in)
    await call(desk, people.disable, "mei", by="root", why="left")
    await stream.content.read()  # to its end


async def test_a_stream_ends_when_its_person_gets_another_role(signed_in, desk):
    stream = await begun(signed_in)
    await call(desk, people.set_role, "mei", Role.VIEWER, by="root", why="")
    await stream.content.read()  # to its end


async def test_a_stream_of_a_program_ends_with_its_token(signed_in, desk):
    made = {"name": "wall", "role": Role.VIEWER, "may_act": False, "by": "root"}
    token = await call(desk, tokens.make_token, "mei", expires_at=desk.now() + timedelta(days=1), **made)
    stream = await begun(signed_in, Authorization=f"Bearer {token}")
    await call(desk, tokens.end_token, "mei", "wall", by="root")
    await stream.content.read()  # to its end
