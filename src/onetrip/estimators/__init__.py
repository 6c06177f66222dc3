"""Estimators with scikit-learn's interface, one file each; their numerics are operators."""
