"""The central side: one catalogue of the calls of all sites, made and searched by DuckDB."""
