"""The lab's page: a local server that shows what runs, what waits, what was learned, and why."""
