"""Payers told by mail through a real SMTP server: at most once, whatever the server does."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.database.factories import NOON
from tests.notice_factories import an_order, row_of, some_settings, to_payer, told
from tests.notice_servers import smtp_server
from tillkeeper.domain.order.notice_outcomes import Failed, Sent
from tillkeeper.domain.order.notices import Audience
from tillkeeper.notices.settings import SmtpSettings
from tillkeeper.notices.smtp import SmtpChannel
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.notify import LEASE, NotifyLoop


async def outcome(pool, key="k"):
    row = await row_of(pool, key)
    return row["state"], row["channels"].get("mail", {}).get("why")


async def test_a_notice_becomes_one_mail(pool, looping, mailbox):
    await told(pool, to_payer(await an_order(pool), key="k"))
    async with looping(some_settings(mailbox)) as loop:
        assert await loop.run_once() == 1
        assert await loop.run_once() == 0
    [mail] = mailbox.mails()
    assert mailbox.to == ["payer@example.com"]
    assert mail["To"] == "payer@example.com"
    assert mail["From"] == "Lantern & Tea <pay@lantern.example>"
    assert mail["Reply-To"] == "help@lantern.example"
    assert mail["Subject"] == "Order A1: payment in progress, please do not pay again"
    assert (mail["Auto-Submitted"], mail["Content-Language"]) == ("auto-generated", "en")
    assert mail["Date"].datetime == NOON
    assert "Please do not pay again" in mail.get_body(("plain",)).get_content()
    assert "Please do not pay again" in mail.get_body(("html",)).get_content()
    row = await row_of(pool, "k")
    assert (row["state"], row["due_at"], row["finished_at"]) == ("sent", None, NOON)
    assert row["channels"] == {"mail": {"outcome": "sent", "at": "2026-11-22T12:00:00Z"}}


async def test_the_message_id_is_of_the_key_alone(pool, looping, mailbox):
    first, second = await an_order(pool), await an_order(pool, "A2")
    await told(pool, to_payer(first, key="one"), to_payer(second, key="two"))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
        await pool.execute(
            "UPDATE outbox SET due_at = created_at, state = 'pending', finished_at = NULL, channels = '{}'"
            " WHERE key = 'one'"
        )
        await loop.run_once()
    ids = [mail["Message-ID"] for mail in mailbox.mails()]
    assert (len(ids), len(set(ids))) == (3, 2)
    assert all(id_.endswith("@lantern.example>") for id_ in ids)


@pytest.mark.parametrize(
    ("locale", "subject"), [("zh-TW", "订单 A1 支付处理中"), ("de", "Order A1"), (None, "订单 A1")]
)
async def test_the_payers_locale_chooses_the_language(pool, looping, mailbox, locale, subject):
    await told(pool, to_payer(await an_order(pool, locale=locale)))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert mailbox.mails()[0]["Subject"].startswith(subject)


@pytest.mark.parametrize("where", ["on_mail", "on_rcpt", "on_data"])
async def test_a_refusal_for_now_is_tried_again_and_told_once(pool, looping, mailbox, clock, where):
    await told(pool, to_payer(await an_order(pool), key="k"))
    setattr(mailbox, where, "451 come back later, payer@example.com")
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
        row = await row_of(pool, "k")
        assert (row["state"], row["due_at"]) == ("pending", NOON + timedelta(seconds=30))
        assert row["last_error"] == "the mail server said 451 come back later, <address>"
        assert await loop.run_once() == 0
        setattr(mailbox, where, "250 OK")
        clock.move(seconds=30)
        assert await loop.run_once() == 1
    assert len(mailbox.raw) == 1
    assert (await row_of(pool, "k"))["state"] == "sent"


@pytest.mark.parametrize("where", ["on_rcpt", "on_data"])
async def test_a_refusal_for_good_ends_it_with_a_case(pool, looping, mailbox, where):
    order_id = await an_order(pool)
    await told(pool, to_payer(order_id, key="k"))
    setattr(mailbox, where, "550 5.1.1 <payer@example.com>: no such mailbox")
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
        assert await loop.run_once() <= 1  # the case's own notice to ops
    assert await outcome(pool) == ("dead", "the mail server said 550 5.1.1 <<address>>: no such mailbox")
    case = await pool.fetchrow("SELECT kind, order_id, details FROM cases")
    assert (case["kind"], case["order_id"]) == ("notice_undeliverable", order_id)
    assert "payer@example.com" not in case["details"]
    assert mailbox.raw == []


async def test_a_wrong_password_of_ours_is_no_payers_fault(pool, looping, mailbox):
    mailbox.on_mail = "535 authentication required"
    await told(pool, to_payer(await an_order(pool), key="k"))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert (await row_of(pool, "k"))["state"] == "pending"


async def test_silence_after_data_is_uncertain_and_never_sent_again(pool, looping, mailbox, clock):
    await told(pool, to_payer(await an_order(pool), key="k"))
    mailbox.on_data = "drop"
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
        assert (await row_of(pool, "k"))["state"] == "uncertain"
        clock.move(days=9)
        assert await loop.run_once() == 0


async def test_a_server_that_never_answers_data_is_uncertain_in_bounded_time(pool, looping, mailbox):
    async def hang():
        await asyncio.sleep(30)

    mailbox.in_data = hang
    await told(pool, to_payer(await an_order(pool), key="k"))
    settings = some_settings(
        mailbox, smtp={"host": "127.0.0.1", "port": mailbox.port, "security": "none", "timeout_s": 0.2}
    )
    async with asyncio.timeout(100), looping(settings) as loop:
        await loop.run_once()
    state, why = await outcome(pool)
    assert (state, why.startswith("after DATA")) == ("uncertain", True)


async def test_nobody_listening_is_tried_again_until_its_hours_are_over_and_then_a_case(pool, looping, mailbox, clock):
    settings = some_settings(smtp={"host": "127.0.0.1", "port": 1, "security": "none"}, mail_hours=24)
    await told(pool, to_payer(await an_order(pool), key="k"))
    waits = []
    async with looping(settings, audiences=(Audience.PAYER,)) as loop:
        for _ in range(100):
            await loop.run_once()
            row = await row_of(pool, "k")
            if row["state"] != "pending":
                break
            waits.append(row["due_at"] - clock.at)
            clock.at = row["due_at"]
    assert row["state"] == "dead"
    assert clock.at == NOON + timedelta(hours=24)
    assert waits[:7] == [timedelta(seconds=each) for each in (30, 60, 120, 300, 900, 1800, 3600)]
    assert "given up" in row["last_error"]
    assert await pool.fetchval("SELECT kind FROM cases") == "notice_undeliverable"


async def test_a_sender_that_died_after_its_mark_is_not_followed_by_a_second_mail(pool, looping, mailbox, clock):
    await told(pool, to_payer(await an_order(pool), key="k"))
    await pool.execute(
        "UPDATE outbox SET attempts = 1, leased_until = $1,"
        """ channels = '{"mail": {"outcome": "uncertain", "at": "2026-11-22T12:00:00Z", "why": "handed over"}}'""",
        NOON + LEASE,
    )
    async with looping(some_settings(mailbox)) as loop:
        assert await loop.run_once() == 0  # still its lease
        clock.at = NOON + LEASE
        assert await loop.run_once() == 1
    assert await outcome(pool) == ("uncertain", "handed over")
    assert mailbox.rcpt == []


async def test_a_sender_too_slow_for_its_lease_sends_nothing_any_more(pool, looping, mailbox, clock):
    """While the first waits at RCPT, its lease runs out and the second sends."""
    await told(pool, to_payer(await an_order(pool), key="k"))
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def wait_once():
        mailbox.before_rcpt = None
        waiting.set()
        await go_on.wait()

    mailbox.before_rcpt = wait_once
    async with looping(some_settings(mailbox)) as slow, looping(some_settings(mailbox)) as quick:
        first = asyncio.ensure_future(slow.run_once())
        await waiting.wait()
        clock.at = NOON + LEASE
        await quick.run_once()
        go_on.set()
        await first
    assert len(mailbox.raw) == 1
    assert (await row_of(pool, "k"))["state"] == "sent"


@pytest.mark.parametrize("topic", ["payer.processing", "payer.paid"])
async def test_what_the_order_has_overtaken_is_dropped(pool, looping, mailbox, topic):
    await told(pool, to_payer(await an_order(pool, status="refunded"), topic, key="k", status=topic[6:]))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert await outcome(pool) == ("dropped", "overtaken: the order is refunded by now")
    assert mailbox.rcpt == []


async def test_of_an_instalment_that_is_paid_overnight_its_payer_reads_once_and_is_not_asked_for_it_again(
    pool, looping, mailbox, clock
):
    clock.at = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai
    order_id = await an_order(pool, status="partially_paid", paid=3000)
    first = {"status": "partially_paid", "paid": 3000}
    await told(pool, to_payer(order_id, "payer.partially_paid", key="first", **first))
    await told(pool, to_payer(order_id, "payer.instalment_due", key="due", due_amount=3000, **first))
    async with looping(some_settings(mailbox, quiet_hours="22:00-08:00")) as loop:
        await loop.run_once()
        await pool.execute("UPDATE orders SET captured_minor = 6000")
        await told(pool, to_payer(order_id, "payer.partially_paid", key="second", status="partially_paid", paid=6000))
        clock.at = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
        await loop.run_once()
    overtaken = ("dropped", "overtaken: more of the order's money has moved")
    assert [await outcome(pool, each) for each in ("first", "due", "second")] == [overtaken, overtaken, ("sent", None)]
    assert len(mailbox.raw) == 1


async def pending(pool, order_id):
    await pool.execute(
        "INSERT INTO payments (account, payment_ref, order_id, status, facts, captured_minor)"
        " VALUES ('stripe-main', 'pi_2', $1, 'pending', '{}', 0)",
        order_id,
    )


async def test_while_the_next_instalment_is_under_way_nobody_is_asked_to_pay_it(pool, looping, mailbox, clock):
    order_id = await an_order(pool, status="partially_paid", paid=3000)
    link = {"status": "partially_paid", "paid": 3000, "pay_url": "https://pay.example/A1"}
    await told(pool, to_payer(order_id, "payer.partially_paid", key="before", **link))
    mailbox.before_rcpt = lambda: pending(pool, order_id)
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
        assert (mailbox.raw, (await row_of(pool, "before"))["state"]) == ([], "pending")
        mailbox.before_rcpt = None
        clock.move(seconds=5)
        await loop.run_once()
    (raw,) = mailbox.raw
    assert b"pay.example" not in raw
    assert b"Please do not pay again" in raw


async def test_what_is_overtaken_while_the_server_is_asked_is_dropped_before_data(pool, looping, mailbox):
    order_id = await an_order(pool)
    await told(pool, to_payer(order_id, key="k"))

    async def pay():
        await pool.execute("UPDATE orders SET status = 'paid', captured_minor = amount_minor WHERE id = $1", order_id)

    mailbox.before_rcpt = pay
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert await outcome(pool) == ("dropped", "overtaken: the order is paid by now")
    assert (len(mailbox.rcpt), mailbox.raw) == (1, [])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("closed_at = now()", "the order is closed"),
        ("held_until = '2027-01-01'", "the order is on hold"),
        ("held_until = '2026-01-01'", None),
    ],
)
async def test_a_closed_or_held_order_is_not_warned_about(pool, looping, mailbox, change, why):
    await told(pool, to_payer(await an_order(pool), key="k"))
    await pool.execute(f"UPDATE orders SET {change}")
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert await outcome(pool) == (("dropped", why) if why else ("sent", None))


async def test_a_closed_order_is_told_that_it_expired_and_that_money_went_back(pool, looping, mailbox):
    unpaid = await an_order(pool, status="unpaid")
    refunded = await an_order(pool, "A2", status="refunded", paid=12900, refunded=12900)
    await pool.execute(
        "UPDATE orders SET closed_at = now(),"
        " held_until = CASE WHEN status = 'refunded' THEN '2027-01-01'::timestamptz END"
    )
    await told(pool, to_payer(unpaid, "payer.expired", status="unpaid"))
    await told(pool, to_payer(refunded, "payer.refunded", status="refunded", paid=12900, refunded=12900))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert len(mailbox.raw) == 2


async def test_of_many_notices_at_once_the_cap_lets_no_more_through_but_money_is_told(pool, looping, mailbox):
    order_id = await an_order(pool)
    await told(pool, *(to_payer(order_id, key=f"k{number}") for number in range(9)))
    async with looping(some_settings(mailbox, per_order_max=3)) as one, looping(some_settings(mailbox)) as another:
        another._settings = one._settings
        await asyncio.gather(one.run_once(), another.run_once())
        assert len(mailbox.raw) == 3
        await pool.execute("UPDATE orders SET status = 'paid', captured_minor = amount_minor")
        await told(pool, to_payer(order_id, "payer.paid", status="paid", paid=12900))
        await one.run_once()
    assert len(mailbox.raw) == 4
    assert (
        await pool.fetchval("SELECT count(*) FROM outbox WHERE last_error = 'its payer had 3 mails about this order'")
        == 6
    )


async def test_quiet_hours_put_it_off_until_morning(pool, looping, mailbox, clock):
    clock.at = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai
    await told(pool, to_payer(await an_order(pool), key="k"))
    async with looping(some_settings(mailbox, quiet_hours="22:00-08:00")) as loop:
        assert await loop.run_once() == 1
        row = await row_of(pool, "k")
        assert (row["state"], row["due_at"]) == ("pending", datetime(2026, 11, 23, 0, 0, tzinfo=UTC))
        assert row["channels"] == {}
        clock.at = row["due_at"]
        await loop.run_once()
    assert len(mailbox.raw) == 1


async def test_a_reminder_after_the_deadline_is_dropped(pool, looping, mailbox):
    notice = to_payer(
        await an_order(pool, status="unpaid"), "payer.reminder", key="k", status="unpaid", expires_at=NOON.isoformat()
    )
    await told(pool, notice)
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert await outcome(pool) == ("dropped", "the order's time to pay is over")


@pytest.mark.parametrize(
    "address", ["a@b.c\r\nBcc: x@y.z", "a b@c.d", "用户@例子.cn", "@", "a@b@c", "x" * 300 + "@y.z"]
)
async def test_an_address_that_is_none_is_dead_with_a_case_and_injects_nothing(pool, looping, mailbox, address):
    order_id = await an_order(pool)
    await pool.execute(
        "UPDATE orders SET terms = jsonb_set(terms, '{payer,email}', to_jsonb($1::text))",
        address.encode("utf-8", "replace").decode(),
    )
    await told(pool, to_payer(order_id, key="k"))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert await outcome(pool) == ("dead", "the order's payer.email is no mail address")
    assert mailbox.rcpt == []


async def test_without_an_address_or_a_mail_server_there_is_no_channel(pool, looping, mailbox):
    await told(pool, to_payer(await an_order(pool, email=None), key="one"))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    await told(pool, to_payer(await an_order(pool, "A2"), key="two"))
    async with looping(some_settings()) as loop:
        await loop.run_once()
    for key in ("one", "two"):
        row = await row_of(pool, key)
        assert (row["state"], row["last_error"], row["finished_at"]) == ("dropped", "no channel", NOON)


@pytest.mark.parametrize("payload", [{}, {"currency": "XXX"}, {"amount": -1}, {"amount": 10**20}, {"status": "lost"}])
async def test_a_payload_that_cannot_be_written_is_dead_with_a_case(pool, looping, mailbox, payload):
    notice = to_payer(await an_order(pool), key="k")
    notice.payload.update(payload)
    if not payload:
        notice.payload.clear()
    await told(pool, notice)
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert (await outcome(pool))[0] == "dead"
    assert await pool.fetchval("SELECT count(*) FROM cases") == 1


async def test_an_unknown_topic_is_dead_with_a_case(pool, looping, mailbox):
    await told(pool, to_payer(await an_order(pool), "payer.horoscope", key="k"))
    async with looping(some_settings(mailbox)) as loop:
        await loop.run_once()
    assert (await outcome(pool))[0] == "dead"


async def test_a_database_that_is_away_at_the_mark_means_that_nothing_was_sent(
    pool, looping, mailbox, postgres_server, clock
):
    await told(pool, to_payer(await an_order(pool), key="k"))

    reached, crashed = asyncio.Event(), asyncio.Event()

    async def wait_for_the_crash():
        mailbox.before_rcpt = None
        reached.set()
        await crashed.wait()  # cancelled if the sender loses its patience first

    mailbox.before_rcpt = wait_for_the_crash
    async with looping(some_settings(mailbox)) as loop:
        running = asyncio.ensure_future(loop.run_once())
        await reached.wait()
        await postgres_server.stop()
        crashed.set()
        await postgres_server.start()
        await running
        assert mailbox.raw == []
        assert (await row_of(pool, "k"))["channels"]["mail"]["outcome"] == "failing"
        clock.move(minutes=1)
        await loop.run_once()
    assert len(mailbox.raw) == 1


async def test_a_hundred_payers_and_four_senders_at_once_make_a_hundred_mails(pool, looping, mailbox):
    for each in range(100):
        await told(pool, to_payer(await an_order(pool, f"O{each}", email=f"p{each}@example.com")))
    async with looping(some_settings(mailbox)) as loop:
        senders = [
            NotifyLoop(
                pool=pool,
                channels=loop._channels,
                settings=loop._settings,
                retry=DatabaseRetry(asyncio.Event()),
                now=lambda: NOON,
            )
            for _ in range(4)
        ]

        async def until_empty(sender):
            while await sender.run_once():
                pass

        await asyncio.gather(*map(until_empty, senders))
    assert sorted(mailbox.to) == sorted(f"p{number}@example.com" for number in range(100))
    assert await pool.fetch("SELECT state, count(*) FROM outbox GROUP BY 1") == [("sent", 100)]


def self_signed(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2126, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=pem)


async def nothing():
    pass


async def test_starttls_and_a_login_and_a_certificate_that_nobody_vouches_for(tmp_path):
    server_tls, trusting = self_signed(tmp_path)
    logins = []

    def login(server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    async with smtp_server(
        tls_context=server_tls, require_starttls=True, authenticator=login, auth_required=True
    ) as box:
        settings = {"host": "localhost", "port": box.port, "username": "till", "timeout_s": 5}
        right = SmtpSettings(**settings, password="right")

        async def send(with_settings, context=trusting):
            channel = SmtpChannel(with_settings, tls_context=context)
            return await channel.send(b"Subject: x\r\n\r\nhi\r\n", sender="a@b.c", to="d@e.f", before_data=nothing)

        assert await send(right) == Sent()
        assert logins == [(b"till", b"right")]
        assert isinstance(await send(SmtpSettings(**settings, password="wrong")), Failed)
        assert isinstance(await send(right, ssl.create_default_context()), Failed)
        assert len(box.raw) == 1


async def test_a_server_without_starttls_gets_no_mail_in_the_clear(mailbox):
    channel = SmtpChannel(SmtpSettings(host="127.0.0.1", port=mailbox.port, timeout_s=5))
    outcome = await channel.send(b"Subject: x\r\n\r\nhi\r\n", sender="a@b.c", to="d@e.f", before_data=nothing)
    assert isinstance(outcome, Failed)
    assert mailbox.rcpt == []
