"""Deliveries and their events as rows: kept, referenced, parked or refused, and deleted when their time is up."""
