"""What proves an operator: error budget, poisoned memory, measured memory, contract suite."""
