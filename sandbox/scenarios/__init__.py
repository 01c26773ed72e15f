"""Whole days at the till, replayed in simulated time: what goes wrong, and that the truth is found all the same."""
