"""From Parquet files to tensors of a training loop: in which order, which rows, in what shape."""
