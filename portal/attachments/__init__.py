"""Files that belong to an article or a record."""
