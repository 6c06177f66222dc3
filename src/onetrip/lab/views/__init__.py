"""Read models: what the page, the command line and agents show, as plain values for JSON."""
