"""The engine for production: OpenSearch, any number of nodes, through opensearch-py."""
