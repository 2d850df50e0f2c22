"""What the OpenSearch engine is told: index settings, mapping and analysis tables, and a recipe for a local node."""
