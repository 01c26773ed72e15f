"""Loads the settings from a TOML file and the environment, which wins, and secrets from where they are kept.

    file ──┐
           ├─ merge (environment wins) ──> resolve env:NAME and file:PATH ──> validate ──> Settings
    TILLKEEPER_* ┘      (from the env file as well, where the environment has no such variable)

A key of the file is overridden by its path in capitals: `ingest.port` by TILLKEEPER_INGEST__PORT, `api_key` of the
account stripe-main by TILLKEEPER_ACCOUNTS__STRIPE_MAIN__API_KEY.  Lists are written as JSON: '["one", "two"]'.
"""

from tillkeeper.settings.errors import BadSettings
from tillkeeper.settings.fields import ACCOUNT_NAME
from tillkeeper.settings.loading import (
    LoadedSettings,
    load_accounts,
    load_policy_settings,
    load_settings,
    look_at_settings,
    secret_files,
)
from tillkeeper.settings.models import (
    Accounts,
    BankSettings,
    BooksSettings,
    DeskSettings,
    IngestSettings,
    RetentionSettings,
    Settings,
    SweepSettings,
    WorkSettings,
    build_gateways,
    doubts_of,
)
from tillkeeper.settings.sources import CONFIG_VARIABLE, PREFIX

__all__ = [
    "ACCOUNT_NAME",
    "CONFIG_VARIABLE",
    "PREFIX",
    "Accounts",
    "BadSettings",
    "BankSettings",
    "BooksSettings",
    "DeskSettings",
    "IngestSettings",
    "LoadedSettings",
    "RetentionSettings",
    "Settings",
    "SweepSettings",
    "WorkSettings",
    "build_gateways",
    "doubts_of",
    "load_accounts",
    "load_policy_settings",
    "load_settings",
    "look_at_settings",
    "secret_files",
]
