"""The desk: web pages for the people who look after orders."""
