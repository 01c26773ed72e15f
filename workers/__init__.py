"""The worker processes: they apply durable events to orders, and do what is due because time passed."""
