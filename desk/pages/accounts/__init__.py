"""The pages of accounts: whether each talks and answers, its keys, where the truth comes from, and what fails now."""
