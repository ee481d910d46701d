"""Weights of torch's optimisers over 40 steps: the fixed values in tests/training/adam.rs.

    pip install torch && python benches/peers/adam.py

Gradients are given by a formula, in f64, that the test repeats: some far above eps, some near it. A table of four rows has
row 0 touched by every step, row 1 by every second one, row 2 by every fifth, row 3 by none.
"""

import math

import torch

STEPS, DIM, LR, EPS = 40, 3, 0.01, 1e-8
SCALES = [1.0, 1e-4, 1e-8]
EVERY = [1, 2, 5, 0]


def gradient(row, column, t):
    return SCALES[column] * math.sin(0.7 * t + row + 2 * column)


def touched(row, t):
    return EVERY[row] > 0 and t % EVERY[row] == 0


def weight(row, column):
    return 0.1 * (row + 1) - 0.05 * column


def dense(betas, weight_decay):
    w = torch.tensor([[weight(r, c) for c in range(DIM)] for r in range(4)], dtype=torch.float64, requires_grad=True)
    make = torch.optim.AdamW if weight_decay else torch.optim.Adam
    optimizer = make([w], lr=LR, betas=betas, eps=EPS, weight_decay=weight_decay)
    for t in range(1, STEPS + 1):
        w.grad = torch.tensor([[gradient(r, c, t) for c in range(DIM)] for r in range(4)], dtype=torch.float64)
        optimizer.step()
    return w


def sparse(betas, ours):
    """SparseAdam; `ours` takes the eps that gives Algorithm 1 of the paper: eps sqrt(1 - beta2^t) at step t."""
    w = torch.tensor([[weight(r, c) for c in range(DIM)] for r in range(4)], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SparseAdam([w], lr=LR, betas=betas, eps=EPS)
    for t in range(1, STEPS + 1):
        rows = [r for r in range(4) if touched(r, t)]
        values = torch.tensor([[gradient(r, c, t) for c in range(DIM)] for r in rows], dtype=torch.float64)
        w.grad = torch.sparse_coo_tensor([rows], values, [4, DIM])
        if ours:
            optimizer.param_groups[0]["eps"] = EPS * math.sqrt(1 - betas[1] ** t)
        optimizer.step()
    return w


def show(name, w):
    print(f"/// {name}")
    print(", ".join(repr(x) for x in w.detach().flatten().tolist()))


show("torch.optim.Adam, betas 0.9 and 0.999", dense((0.9, 0.999), 0.0))
show("torch.optim.AdamW, betas 0.8 and 0.99, decay 0.1", dense((0.8, 0.99), 0.1))
show("torch.optim.SparseAdam, betas 0.9 and 0.999, with the eps of Algorithm 1", sparse((0.9, 0.999), True))
show("torch.optim.SparseAdam, betas 0.9 and 0.999", sparse((0.9, 0.999), False))
