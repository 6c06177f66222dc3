"""A campaign as files that others read: CSV, JSON, Parquet."""
