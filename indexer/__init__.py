"""What keeps the index equal to SQL."""
