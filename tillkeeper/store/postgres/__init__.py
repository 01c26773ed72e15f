"""Connections to PostgreSQL, whole transactions, leases on rows, and what its errors mean."""
