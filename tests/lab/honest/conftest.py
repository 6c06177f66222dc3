"""The candidates' sources are data: nothing here imports them."""

collect_ignore_glob = ["candidates/*", "on_device/*"]
