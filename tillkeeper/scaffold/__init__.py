"""The files that `tillkeeper init` writes for a new installation: decided here as texts, written by writing.py."""
