"""What a month says: figures of its days, the tables made of them, and the advice that follows."""
