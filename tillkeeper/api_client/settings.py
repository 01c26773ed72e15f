"""Defines the settings `[api_client]`: the limits within which the API of every account is called."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
Seconds = Annotated[float, Field(gt=0, le=600)]


class ApiClientSettings(BaseModel):
    """The limits of calls to gateways, each for one account in one process."""

    model_config = _STRICT

    calls_per_s: Annotated[float, Field(ge=0, le=1000)] = 10.0  # 0: no limit; Stripe allows 25 in test mode
    burst_calls: Annotated[int, Field(ge=1, le=1000)] = 10
    concurrent_calls: Annotated[int, Field(ge=1, le=100)] = 4
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    connect_s: Seconds = 3.0
    call_s: Seconds = 10.0
    total_s: Seconds = 25.0
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 5
    breaker_open_s: Seconds = 30.0
