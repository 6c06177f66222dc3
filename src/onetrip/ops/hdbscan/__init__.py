"""Exact minimum spanning tree of mutual reachability, without ever holding N × N distances."""
