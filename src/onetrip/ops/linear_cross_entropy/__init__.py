"""Cross entropy of a linear layer's output, without ever holding the [N, V] logits."""
