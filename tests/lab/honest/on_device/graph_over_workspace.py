"""A graph over static workspaces: inputs are copied in, the result is copied out."""

import torch

GRAPHS = {}


def capture(size, device):
    a, b = torch.zeros(size, device=device), torch.zeros(size, device=device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        _ = a + b
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = a + b
    return graph, a, b, out


def custom_kernel(data):
    x, y = data
    if x.numel() not in GRAPHS:
        GRAPHS[x.numel()] = capture(x.numel(), x.device)
    graph, a, b, out = GRAPHS[x.numel()]
    a.copy_(x)
    b.copy_(y)
    graph.replay()
    return out.clone()
