"""The folder of a dataset: files that appear whole, its manifest, its quarantine, its status."""
