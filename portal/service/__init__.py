"""Service records and their timelines."""
