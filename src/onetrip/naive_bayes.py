"""Naive Bayes under scikit-learn's names: ``from onetrip.naive_bayes import MultinomialNB``."""

from onetrip.estimators.multinomial_nb import MultinomialNB

__all__ = ["MultinomialNB"]
