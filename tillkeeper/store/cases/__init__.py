"""Cases as rows, and what people do to them."""
