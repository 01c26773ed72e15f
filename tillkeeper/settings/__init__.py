"""Loads the settings from a TOML file and the environment, which wins, and secrets from where they are kept.

    file ──┐
           ├─ merge (environment wins) ──> resolve env:NAME and file:PATH ──> validate ──> Settings
    TILLKEEPER_* ┘

A key of the file is overridden by its path in capitals: `ingest.port` by TILLKEEPER_INGEST__PORT, `api_key` of the
account stripe-main by TILLKEEPER_ACCOUNTS__STRIPE_MAIN__API_KEY.  Lists are written as JSON: '["one", "two"]'.
"""

from tillkeeper.settings.fields import ACCOUNT_NAME
from tillkeeper.settings.loading import load_accounts, load_policy_settings, load_settings, secret_files
from tillkeeper.settings.models import (
    Accounts,
    IngestSettings,
    RetentionSettings,
    Settings,
    SweepSettings,
    WorkSettings,
    build_gateways,
    doubts_of,
)
from tillkeeper.settings.sources import CONFIG_VARIABLE, PREFIX, BadSettings

__all__ = [
    "ACCOUNT_NAME",
    "CONFIG_VARIABLE",
    "PREFIX",
    "Accounts",
    "BadSettings",
    "IngestSettings",
    "RetentionSettings",
    "Settings",
    "SweepSettings",
    "WorkSettings",
    "build_gateways",
    "doubts_of",
    "load_accounts",
    "load_policy_settings",
    "load_settings",
    "secret_files",
]
