"""How numbers, money, times, references and texts of outsiders are written, each in a module of its own."""
