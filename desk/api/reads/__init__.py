"""What programs read at the desk, by the functions that its pages read with."""
