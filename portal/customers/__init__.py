"""Customer profiles: companies and persons, their contacts."""
