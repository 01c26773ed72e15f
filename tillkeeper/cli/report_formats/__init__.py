"""The forms in which `tillkeeper report` writes a month: CSV, a spreadsheet, a page to print, PDF."""
