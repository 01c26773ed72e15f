"""Traces of what a delivery, a step or a notice passes, for whoever configures a collector (docs/tracing.md)."""
