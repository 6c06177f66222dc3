"""What agents and commands ask of the lab and hand in: one desk for the server and the CLI."""
