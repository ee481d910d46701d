"""One training step of the in-batch DSSM in PyTorch, as `recall bench step --user-columns` has it.

User tower: id, four categories, mean of 50 items -> 128 -> 64; item tower: id (the table that the history uses) -> 128 -> 64;
cosine / 0.1, logQ, accidental hits masked. Sparse gradients with SparseAdam for tables, Adam for the rest: the best that
PyTorch does on a CPU. Prints one JSON line.
"""
import argparse, json, resource, statistics, time
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F

p = argparse.ArgumentParser()
p.add_argument("--batch", type=int, default=4096)
p.add_argument("--vocab", type=int, default=1_000_000)
p.add_argument("--runs", type=int, default=15)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--device", default="cpu", help="cpu or cuda")
p.add_argument("--compile", action="store_true", help="through torch.compile")
p.add_argument("--dense", action="store_true", help="dense gradients and Adam over whole tables")
a = p.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(0)
torch.set_default_device(a.device)
rng = np.random.default_rng(0)


def zipf(n):
    weights = 1.0 / np.arange(1, a.vocab + 1)
    cumulated = np.cumsum(weights / weights.sum())
    return torch.from_numpy(permutation[np.minimum(np.searchsorted(cumulated, rng.random(n)), a.vocab - 1)]).to(a.device)


permutation = rng.permutation(a.vocab)
columns = ((2, 8), (7, 8), (21, 16), (3000, 16))
item, user = (nn.Embedding(a.vocab, 64, sparse=not a.dense) for _ in range(2))
small = nn.ModuleList(nn.Embedding(rows, dim) for rows, dim in columns)
user_tower = nn.Sequential(nn.Linear(64 + 48 + 64, 128), nn.ReLU(), nn.Linear(128, 64))
item_tower = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64))
tables = [item.weight, user.weight]
layers = [*small.parameters(), *user_tower.parameters(), *item_tower.parameters()]
if a.dense:
    optimizers = [torch.optim.Adam(tables + layers, lr=1e-3)]
else:
    optimizers = [torch.optim.SparseAdam(tables, lr=1e-3), torch.optim.Adam(layers, lr=1e-3)]
batches = [
    dict(
        history=zipf(a.batch * 50).view(a.batch, 50),
        user=torch.randint(0, a.vocab, (a.batch,)),
        columns=torch.stack([torch.randint(0, rows, (a.batch,)) for rows, _ in columns], 1),
        item=zipf(a.batch),
        logq=torch.randn(a.batch),
    )
    for _ in range(4)
]
label, diagonal = torch.arange(a.batch), torch.eye(a.batch, dtype=torch.bool)


def forward(b):
    pooled = F.embedding_bag(b["history"], item.weight, mode="mean", sparse=not a.dense)
    parts = [user(b["user"])] + [t(b["columns"][:, c]) for c, t in enumerate(small)] + [pooled]
    u = F.normalize(user_tower(torch.cat(parts, 1)), dim=1)
    v = F.normalize(item_tower(item(b["item"])), dim=1)
    z = u @ v.T / 0.1 - b["logq"][None, :]
    hits = (b["item"][:, None] == b["item"][None, :]) & ~diagonal
    return F.cross_entropy(z.masked_fill(hits, -1e9), label)


forward = torch.compile(forward) if a.compile else forward


def step(b):
    loss = forward(b)
    for o in optimizers:
        o.zero_grad(set_to_none=True)
    loss.backward()
    for o in optimizers:
        o.step()
    if a.device == "cuda":
        torch.cuda.synchronize()


seconds, cpu = [], time.process_time()
for run in range(a.runs + 3):
    if run == 3:
        cpu = time.process_time()
    start = time.perf_counter()
    step(batches[run % 4])
    if run >= 3:
        seconds.append(time.perf_counter() - start)
cpu = (time.process_time() - cpu) / a.runs
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(dict(torch=torch.__version__, batch=a.batch, vocab=a.vocab, dense=a.dense, ms=1e3 * statistics.median(seconds),
                      ms_min=1e3 * min(seconds), cpu_ms=1e3 * cpu, peak_memory_bytes=peak)))
