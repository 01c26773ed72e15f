"""The page that answers "the customer says they paid", and what people do there."""
