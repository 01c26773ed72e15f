"""Finds the rights that the database's user lacks, by what deploy/roles.sql grants."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from tillkeeper.store.postgres.pool import Conn

Grants = Mapping[str, frozenset[tuple[str, str]]]  # by group: each verb with its table

_GRANT: Final = re.compile(r"^GRANT ([A-Z, ]+) ON ([\w,\s]+) TO (tillkeeper_\w+);", re.MULTILINE)
_COMMENT: Final = re.compile(r"--[^\n]*")
PROCESSES: Final = ("tillkeeper_ingest", "tillkeeper_work", "tillkeeper_sweep", "tillkeeper_notify")


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Who the user is, and what it lacks."""

    user: str
    is_superuser: bool
    is_owner: bool
    groups: tuple[str, ...]  # those of roles.sql that it is in
    lacking: tuple[str, ...] = ()  # as "INSERT ON spool"


def read_grants(roles_sql: str) -> Grants:
    """Returns what each group is granted on whole tables."""
    grants: dict[str, frozenset[tuple[str, str]]] = {}
    for verbs, tables, group in _GRANT.findall(_COMMENT.sub("", roles_sql)):
        if " IN SCHEMA " not in tables:
            names = tables.removeprefix("SEQUENCE ").split(",")  # a sequence is asked about as a table is
            pairs = {(verb.strip(), name.strip()) for verb in verbs.split(",") for name in names}
            grants[group] = grants.get(group, frozenset()) | pairs
    return grants


USER = """
SELECT current_user AS name, rolsuper AS is_superuser,
       pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'orders'::regclass), 'USAGE') AS is_owner,
       ARRAY(SELECT rolname::text FROM pg_roles
             WHERE rolname LIKE 'tillkeeper\\_%' AND pg_has_role(current_user, oid, 'USAGE') ORDER BY rolname) AS groups
FROM pg_roles WHERE rolname = current_user
"""
LACKING = """
SELECT verb || ' ON ' || tablename AS lacking
FROM unnest($1::text[], $2::text[]) AS needed (verb, tablename)
WHERE NOT has_table_privilege(current_user, tablename, verb)
ORDER BY tablename, verb
"""


async def rights(conn: Conn, grants: Grants) -> Rights:
    """Returns the rights of the connection's user; one in no group needs what every process does."""
    row = await conn.fetchrow(USER)
    assert row is not None
    groups = tuple(group for group in row["groups"] if group in grants)
    whole = row["is_superuser"] or row["is_owner"]
    needed = sorted(frozenset().union(*(grants[group] for group in groups or PROCESSES)))
    lacking = await conn.fetch(LACKING, [verb for verb, _ in needed], [table for _, table in needed])
    return Rights(
        user=row["name"],
        is_superuser=row["is_superuser"],
        is_owner=row["is_owner"],
        groups=() if whole else groups,
        lacking=tuple(each["lacking"] for each in lacking),
    )
