"""A finished dataset as files for others, with a card and every count."""
