"""Whole copies of what a portal holds, made while it works, and put back into an empty place."""
