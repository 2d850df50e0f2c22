"""Editors steer the search: synonyms, pins and hides; judgements, measurements and configurations of the ranking."""
