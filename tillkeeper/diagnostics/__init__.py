"""Diagnoses refused requests for ops: why verification failed, and what to do.  Callers never see a diagnosis."""
