"""What workers claim from time to time: messages, due orders, backfills, follow-ups."""
