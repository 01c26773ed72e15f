"""Diagnoses refused requests for ops: why verification failed, and what to do.  Callers are told nothing of this."""
