"""The pages of refused deliveries: why each was refused, what to do, and taking it in once a key is put right."""
