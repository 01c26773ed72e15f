"""Writers of statements, made from the published formats; they share nothing with the readers."""
