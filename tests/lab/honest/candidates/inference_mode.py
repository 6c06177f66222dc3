"""Tensors made in inference mode are tensors."""

import torch


@torch.inference_mode()
def custom_kernel(data):
    return data[0] + data[1]
