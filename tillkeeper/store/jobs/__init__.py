"""Claims and settles the periodic work of workers: messages, due orders, backfills, follow-ups."""
