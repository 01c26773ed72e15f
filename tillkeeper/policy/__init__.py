"""The policy of what becomes of stuck orders: read from a TOML file, checked, and taken up anew when that changes."""

from tillkeeper.policy.file import PolicyFile
from tillkeeper.policy.reading import BadPolicy, digest_of, load_policy

__all__ = ["BadPolicy", "PolicyFile", "digest_of", "load_policy"]
