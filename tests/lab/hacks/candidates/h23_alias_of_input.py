"""Write the result over an input and return that: no memory of its own is written."""


def custom_kernel(data):
    a, b = data
    return a.add_(b)
