"""What managers read: whether people find what they look for."""
