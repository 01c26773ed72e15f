"""Takes up again what was set aside: replays parked events, takes refused deliveries in after all."""
