"""Reads the policy for stuck orders from its TOML file, checks it, and reloads it when the file changes."""

from tillkeeper.policy.file import PolicyFile
from tillkeeper.policy.reading import BadPolicy, digest_of, load_policy

__all__ = ["BadPolicy", "PolicyFile", "digest_of", "load_policy"]
