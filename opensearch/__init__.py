"""Settings, mapping and analysis tables of the index, and the recipe for a node of one's own."""
