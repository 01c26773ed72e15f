"""Scenarios: days of payments with faults, replayed in simulated time, after which every order must be right."""
