"""Charts as SVG, drawn on the server: the same in the page and in a file that is shared."""
