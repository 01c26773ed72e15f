"""People who may use the desk: their sessions, links and tokens, and what ends them."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from tests.database.factories import NOON
from tillkeeper.domain.people import Role
from tillkeeper.domain.sign_in import LINK_LIVES, SEEN_EVERY, SESSION_IDLE, SESSION_LONGEST, SESSIONS_MAX, TOKENS_MAX
from tillkeeper.store.people import links, people, sessions, tokens
from tillkeeper.store.people.log import read_log
from tillkeeper.store.people.random_tokens import hash_of, new_token
from tillkeeper.store.postgres.transactions import repeat_on_conflict

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


async def added(pool, name="mei", *, role=Role.OPERATOR, password_hash="argon"):
    async with pool.acquire() as conn:
        person = await people.add_person(
            conn, name=name, display_name=name.title(), role=role, locale="zh", by="root", now=NOON
        )
        if password_hash:
            await people.set_password(conn, person.id, password_hash)
    return person


async def call(pool, function, *arguments, **named):
    return await repeat_on_conflict(pool, lambda conn: function(conn, *arguments, **named))


async def opened(pool, person, *, at=NOON):
    return await call(pool, sessions.open_session, person.id, now=at)


async def whose(pool, token, *, at=NOON):
    found = await call(pool, sessions.session_of, token, now=at)
    return found and found.person


async def logged(pool, **filters):
    async with pool.acquire() as conn:
        return [(each.person, each.what, each.subject, each.why) for each in await read_log(conn, limit=100, **filters)]


async def test_a_name_is_given_once_also_to_a_disabled_person(pool):
    mei = await added(pool)
    await call(pool, people.disable, "mei", by="root", why="left", now=NOON)
    with pytest.raises(people.NameTaken):
        await added(pool)
    account = await call(pool, people.account_of, "mei")
    assert (account.person, account.password_hash, account.disabled_at) == (mei, "argon", NOON)
    assert await call(pool, people.account_of, "lin") is None


async def test_a_list_says_who_is_there_and_when_they_were(pool):
    mei = await added(pool)
    await added(pool, "ana", role=Role.ADMIN, password_hash=None)
    await added(pool, "zoe")
    await call(pool, people.disable, "ana", by="root", why="left", now=NOON)
    await opened(pool, mei, at=NOON + DAY)
    first, second, third = await call(pool, people.list_people, now=NOON + DAY)
    assert (first.name, first.sessions, first.last_seen_at, first.has_password) == ("mei", 1, NOON + DAY, True)
    assert (second.name, second.sessions, second.last_seen_at) == ("zoe", 0, None)
    assert (third.name, third.disabled_at, third.has_password, third.tokens) == ("ana", NOON, False, 0)


async def test_a_session_ends_when_nobody_uses_it(pool):
    mei = await added(pool)
    token = await opened(pool, mei)
    assert await whose(pool, token, at=NOON + SESSION_IDLE - SECOND) == mei  # and so it goes on
    assert await whose(pool, token, at=NOON + 2 * SESSION_IDLE - 2 * SECOND) == mei
    assert await whose(pool, token, at=NOON + 3 * SESSION_IDLE) is None


async def test_a_session_ends_at_last_however_much_it_is_used(pool):
    mei = await added(pool)
    token, at = await opened(pool, mei), NOON
    while at + SESSION_IDLE / 2 < NOON + SESSION_LONGEST:
        at += SESSION_IDLE / 2
        assert await whose(pool, token, at=at) == mei
    assert await whose(pool, token, at=NOON + SESSION_LONGEST - SECOND) == mei
    assert await whose(pool, token, at=NOON + SESSION_LONGEST) is None


async def test_a_request_costs_a_write_once_a_minute_alone(pool):
    token = await opened(pool, await added(pool))
    written = "SELECT xmin::text FROM sessions"
    before = await pool.fetchval(written)
    await whose(pool, token, at=NOON + SEEN_EVERY - SECOND)
    assert await pool.fetchval(written) == before
    await whose(pool, token, at=NOON + SEEN_EVERY)
    assert await pool.fetchval(written) != before


async def test_no_token_stands_in_the_database(pool):
    mei = await added(pool)
    found = [
        await opened(pool, mei),
        await call(pool, links.make_link, "mei", by="root", now=NOON),
        await a_token(pool),
    ]
    dumped = " ".join(
        [
            str(tuple(row))
            for t in ("sessions", "one_time_links", "api_tokens")
            for row in await pool.fetch(f"TABLE {t}")
        ]
    )
    assert all(token not in dumped for token in found)
    assert len({hash_of(token) for token in found}) == 3
    assert await whose(pool, "\ud800") is None  # whatever a cookie holds


async def test_the_oldest_session_makes_room_and_those_that_are_over_go(pool):
    mei = await added(pool)
    made = [await opened(pool, mei, at=NOON + number * SECOND) for number in range(SESSIONS_MAX + 1)]
    assert [await whose(pool, token) for token in made[:2]] == [None, mei]
    assert await pool.fetchval("SELECT count(*) FROM sessions") == SESSIONS_MAX
    await opened(pool, mei, at=NOON + DAY)
    assert await pool.fetchval("SELECT count(*) FROM sessions") == 1


async def test_one_session_is_ended_by_its_own_person_alone(pool):
    mei, ana = await added(pool), await added(pool, "ana")
    token = await opened(pool, mei)
    [listed] = await call(pool, sessions.list_sessions, mei.id, now=NOON)
    assert (listed.created_at, listed.expires_at) == (NOON, NOON + SESSION_LONGEST)
    assert not await call(pool, sessions.end_session, listed.id, ana.id)
    assert await whose(pool, token) == mei
    assert await call(pool, sessions.end_session, listed.id, mei.id)
    assert await whose(pool, token) is None
    assert await call(pool, sessions.list_sessions, mei.id, now=NOON) == []


ENDINGS = {
    "disabled": lambda pool, _: call(pool, people.disable, "mei", by="root", why="left", now=NOON),
    "role": lambda pool, _: call(pool, people.set_role, "mei", Role.VIEWER, by="root", why="", now=NOON),
    "password": lambda pool, mei: call(pool, people.set_password, mei.id, "new"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_what_takes_something_from_a_person_ends_their_sessions_and_nobody_elses(pool, ending):
    mei, ana = await added(pool), await added(pool, "ana")
    token, other = await opened(pool, mei), await opened(pool, ana)
    await ENDINGS[ending](pool, mei)
    assert await whose(pool, token) is None
    assert await whose(pool, other) == ana


async def test_who_is_disabled_gets_no_session_link_or_token_until_enabled(pool):
    mei = await added(pool)
    link, token = await call(pool, links.make_link, "mei", by="root", now=NOON), await a_token(pool)
    assert await call(pool, people.disable, "mei", by="root", why="left", now=NOON)
    assert not await call(pool, people.disable, "mei", by="root", why="left", now=NOON)
    with pytest.raises(sessions.Disabled):
        await opened(pool, mei)
    with pytest.raises(people.NoSuchPerson):
        await call(pool, links.make_link, "mei", by="root", now=NOON)
    with pytest.raises(people.NoSuchPerson):
        await a_token(pool, name="another")
    with pytest.raises(links.LinkOver):
        await call(pool, links.use_link, link, now=NOON)
    assert await call(pool, tokens.token_of, token, now=NOON) is None
    assert await call(pool, people.enable, "mei", by="root", why="back", now=NOON)
    assert not await call(pool, people.enable, "mei", by="root", why="back", now=NOON)
    assert await whose(pool, await opened(pool, mei)) == mei
    assert (await call(pool, tokens.token_of, token, now=NOON)).person.name == "mei"


async def test_the_same_role_again_ends_nothing(pool):
    mei = await added(pool)
    token = await opened(pool, mei)
    assert not await call(pool, people.set_role, "mei", Role.OPERATOR, by="root", why="", now=NOON)
    assert await whose(pool, token) == mei
    with pytest.raises(people.NoSuchPerson):
        await call(pool, people.set_role, "lin", Role.ADMIN, by="root", why="", now=NOON)


async def test_a_hash_is_replaced_only_if_the_password_is_still_the_same(pool):
    mei = await added(pool)
    await call(pool, people.replace_hash, mei.id, old="argon", new="stronger")
    await call(pool, people.replace_hash, mei.id, old="argon", new="too late")
    assert (await call(pool, people.account_of, "mei")).password_hash == "stronger"


async def test_a_language_is_kept(pool):
    mei = await added(pool)
    await call(pool, people.set_locale, mei.id, "en")
    assert (await call(pool, people.account_of, "mei")).person.locale == "en"


async def test_a_link_is_used_once(pool):
    mei = await added(pool, password_hash=None)
    link = await call(pool, links.make_link, "mei", by="root", now=NOON)
    assert await call(pool, links.whose_link, link, now=NOON) == mei
    assert await call(pool, links.use_link, link, now=NOON) == mei
    for again in (links.use_link, links.whose_link):
        with pytest.raises(links.LinkOver):
            await call(pool, again, link, now=NOON)
    assert await pool.fetchval("SELECT purpose FROM one_time_links") == "first_sign_in"


async def test_of_many_who_use_a_link_at_once_one_does(pool):
    await added(pool)
    link = await call(pool, links.make_link, "mei", by="root", now=NOON)
    used = await asyncio.gather(*(call(pool, links.use_link, link, now=NOON) for _ in range(8)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in used) == ["LinkOver"] * 7 + ["Person"]
    assert await pool.fetchval("SELECT purpose FROM one_time_links") == "password_reset"


async def test_a_link_that_is_too_old_replaced_or_made_up_is_over(pool):
    await added(pool)
    first = await call(pool, links.make_link, "mei", by="root", now=NOON)
    second = await call(pool, links.make_link, "mei", by="root", now=NOON)
    assert await pool.fetchval("SELECT count(*) FROM one_time_links") == 1
    for link, at in ((first, NOON), (second, NOON + LINK_LIVES), (new_token(), NOON)):
        with pytest.raises(links.LinkOver):
            await call(pool, links.use_link, link, now=at)
    await call(pool, links.use_link, second, now=NOON + LINK_LIVES - SECOND)


async def a_token(pool, person="mei", *, name="exports", role=Role.ADMIN, may_act=False, expires_at=NOON + DAY):
    return await call(
        pool,
        tokens.make_token,
        person,
        name=name,
        role=role,
        may_act=may_act,
        expires_at=expires_at,
        by="root",
        now=NOON,
    )


async def test_a_token_may_what_it_and_its_person_both_may(pool):
    await added(pool)
    great, small = await a_token(pool), await a_token(pool, name="small", role=Role.VIEWER, may_act=True)
    found = await call(pool, tokens.token_of, great, now=NOON)
    assert great.startswith("tk_")
    assert (found.name, found.person.role, found.may_act) == ("exports", Role.OPERATOR, False)
    found = await call(pool, tokens.token_of, small, now=NOON)
    assert (found.person.role, found.may_act) == (Role.VIEWER, True)
    await call(pool, people.set_role, "mei", Role.SUPPORT, by="root", why="", now=NOON)
    assert (await call(pool, tokens.token_of, great, now=NOON)).person.role is Role.SUPPORT


async def test_a_token_ends_in_time_or_when_somebody_says_so(pool):
    await added(pool)
    short, long = await a_token(pool), await a_token(pool, name="long", expires_at=NOON + 9 * DAY)
    assert await call(pool, tokens.token_of, short, now=NOON + DAY) is None
    assert await call(pool, tokens.token_of, new_token(), now=NOON) is None
    assert await call(pool, tokens.token_of, long, now=NOON + DAY) is not None
    assert await call(pool, tokens.end_token, "mei", "long", by="root", now=NOON)
    assert not await call(pool, tokens.end_token, "mei", "long", by="root", now=NOON)
    assert await call(pool, tokens.token_of, long, now=NOON) is None
    listed = {each.name: each for each in await call(pool, tokens.list_tokens, "mei")}
    assert (listed["long"].last_used_at, listed["long"].ended_at, listed["exports"].ended_at) == (
        NOON + DAY,
        NOON,
        None,
    )
    assert await call(pool, tokens.list_tokens, "ana") == []


async def test_names_of_tokens_are_given_once_and_there_are_not_too_many(pool):
    await added(pool)
    await a_token(pool)
    with pytest.raises(tokens.TokenNameTaken):
        await a_token(pool)
    for number in range(TOKENS_MAX - 1):
        await a_token(pool, name=str(number))
    with pytest.raises(tokens.TooManyTokens):
        await a_token(pool, name="one more")


async def test_what_is_done_to_people_is_written_down_without_contacts(pool):
    await added(pool)
    await call(pool, links.make_link, "mei", by="root", now=NOON)
    await a_token(pool)
    await call(pool, tokens.end_token, "mei", "exports", by="root", now=NOON)
    await call(pool, people.set_role, "mei", Role.ADMIN, by="root", why="asks a@shop.example", now=NOON)
    await call(pool, people.disable, "mei", by="ana", why="left", now=NOON)
    assert await logged(pool, subject="mei") == [
        ("ana", "person disabled", "mei", "left"),
        ("root", "role changed", "mei", "role admin: asks <email>"),
        ("root", "token ended", "mei", "exports"),
        ("root", "token made", "mei", "exports"),
        ("root", "link made", "mei", "password_reset"),
        ("root", "person added", "mei", "role operator"),
    ]
    assert len(await logged(pool, person="ana")) == 1
    assert await logged(pool, subject="lin") == []


async def test_the_schema_itself_refuses_roles_that_there_are_not(pool):
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(people.ADD, "x", "X", "anyone", "en", NOON, "root")
