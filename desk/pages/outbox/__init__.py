"""The pages of the outbox: notices that were given up or are still to be sent, and trying them again."""
