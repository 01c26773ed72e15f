"""Files of statements: unpacked, decoded and split into rows, whatever form they have."""
