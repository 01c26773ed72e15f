"""The policy says what becomes of stuck orders.  Its TOML file is read, checked, and read again when it changes."""

from tillkeeper.policy.file import PolicyFile
from tillkeeper.policy.reading import BadPolicy, digest_of, load_policy

__all__ = ["BadPolicy", "PolicyFile", "digest_of", "load_policy"]
