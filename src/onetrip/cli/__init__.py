"""The command line, one file per command; the help text is the documentation."""
