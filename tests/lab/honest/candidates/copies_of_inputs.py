"""Work in place, on copies."""


def custom_kernel(data):
    a, b = data
    return a.clone().add_(b)
