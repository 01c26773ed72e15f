"""What programs do at the desk, by the functions that its pages act with."""
