"""Casebook: a search-centric knowledge base and service desk portal."""
