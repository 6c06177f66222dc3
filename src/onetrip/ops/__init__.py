"""One folder per operator. Operators never import each other."""
