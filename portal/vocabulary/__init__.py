"""How things are classified: categories, products, tags."""
