"""Reads and writes PostgreSQL through asyncpg: the only place with SQL besides schema.sql and migrations/."""
