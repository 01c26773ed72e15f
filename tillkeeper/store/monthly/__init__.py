"""The tables of the monthly reports: making each day's figures of its events, and reading a month."""
