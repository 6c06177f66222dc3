"""From the queue to an answer: workers, campaigns, and the ways to more than one machine."""
