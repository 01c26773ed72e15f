"""Stores deliveries and their events: in the inbox, parked or refused."""
