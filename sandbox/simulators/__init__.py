"""Simulators of the gateways: their signed deliveries, their events and their APIs."""
