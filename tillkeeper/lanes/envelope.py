"""Limits how much travels in one envelope on a lane."""

from typing import Final

ENVELOPE_DELIVERIES_MAX: Final = 100  # more gained nothing when measured, and a bigger envelope parks more at once
ENVELOPE_BODY_BYTES_MAX: Final = 4 * 1024 * 1024  # far under RabbitMQ's 16 MiB message limit of 4.x
