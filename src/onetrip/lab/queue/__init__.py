"""The durable queue: submit, claim, answer, order, score, and the ledger of what it cost."""
