"""The pages of cases: the list, one case with what to do about it, and what is done about many at once."""
