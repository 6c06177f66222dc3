"""Class-wise sums of features, from which multinomial naive Bayes is fitted, in one trip."""
