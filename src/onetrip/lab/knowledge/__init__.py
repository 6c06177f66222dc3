"""What the lab knows: hypotheses with computed status, learnings, the graph, search."""
