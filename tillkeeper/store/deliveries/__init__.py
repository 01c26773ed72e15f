"""Stores deliveries and their events: in the inbox, parked or refused, and deletes them when retention ends."""
