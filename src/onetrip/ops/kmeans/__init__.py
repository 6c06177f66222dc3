"""Lloyd's k-means from a given start, one pass over the samples an iteration."""
