"""Device functions that two or more operators use, and what a kernel says of how it compiles."""
