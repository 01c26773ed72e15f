"""The program of the last release."""
