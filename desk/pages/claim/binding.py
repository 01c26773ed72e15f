"""Proposes to bind money that waits to an order, for another operator to confirm."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.acting import Deed, act, actor
from tillkeeper.desk.context import desk_of
from tillkeeper.store.apply.bind_waiting import check_waits
from tillkeeper.store.orders.acts import id_of
from tillkeeper.store.people.approvals import propose
from tillkeeper.store.postgres.pool import Conn

BINDING: Final = "bind waiting money"  # the act that a second person confirms


def subject_of(account: str, payment_ref: str) -> str:
    """Names a payment in approvals and in the log of what people did."""
    return f"payment {account}/{payment_ref}"


async def propose_to_bind(request: web.Request, *, account: str, payment_ref: str, order_ref: str, why: str) -> None:
    """Proposes it in the person's name.  Raises NoSuchOrder, BindingRefused or
    AlreadyProposed."""
    content = {"account": account, "payment_ref": payment_ref, "order_ref": order_ref}
    subject = subject_of(account, payment_ref)

    async def work(conn: Conn) -> None:
        by, now = actor(request).name, desk_of(request).now()
        await id_of(conn, order_ref)
        await check_waits(conn, account, payment_ref)
        await propose(conn, act=BINDING, subject=subject, content=content, reason=why, by=by, now=now)

    await act(request, Deed(what="propose to bind", subject=subject, why=why), work)
