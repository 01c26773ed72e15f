"""Simulated gateway APIs: they answer from the ledger, in each gateway's exact form, and fail as configured."""
