"""Square, squareup.com: its documentation is at developer.squareup.com/docs."""
