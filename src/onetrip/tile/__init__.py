"""What operators share: device functions, bounds of rounding errors, threads, compile cases."""
