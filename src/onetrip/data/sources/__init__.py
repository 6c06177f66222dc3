"""Where rows come from: each source finds units and reads them as record batches of strings."""
