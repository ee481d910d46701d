"""Epochs of DSSM or YoutubeDNN on MovieLens 1M's files in PyTorch, as `recall train` has them without dropout and skip.

    epoch.py DATA dssm|youtube-dnn [--bf16]

User tower: id, gender, age, occupation, zip, means of the last 1, 5 and 50 items -> 128 -> 64 (YoutubeDNN: 128-64-64).
Item tower (DSSM): id (the history's table), mean of genres -> 128 -> 64. Cosine / 0.1. DSSM: in-batch softmax with logQ,
accidental hits masked; YoutubeDNN: softmax over the whole catalogue. Batch 1,024, Adam with dense gradients: at this size of
tables it is the faster way. --bf16: forward under `torch.autocast` to bfloat16. Examples, histories and features are tensors made once. One JSON line.
"""
import json, resource, sys, time
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F

torch.set_num_threads(2)
torch.manual_seed(0)
data, model, *options = sys.argv[1:]
assert options in ([], ["--bf16"]), options
L, WINDOWS, BATCH, EPOCHS = 50, (1, 5, 50), 1024, 3
start = time.perf_counter()
read = lambda name: [l.rstrip("\n").split("::") for l in open(f"{data}/{name}.dat", encoding="latin-1")]
ratings = np.array(read("ratings"), dtype=np.int64)
users, user = np.unique(ratings[:, 0], return_inverse=True)
items, item = np.unique(ratings[:, 1], return_inverse=True)
order = np.lexsort((np.arange(len(user)), ratings[:, 3], user))
user, item = user[order], item[order]
first = np.searchsorted(user, np.arange(len(users) + 1))
pad = len(items)
about = {int(r[0]): r[1:5] for r in read("users")}
columns = [np.unique([about[int(u)][c] for u in users], return_inverse=True) for c in range(4)]
features = torch.from_numpy(np.stack([c[1] for c in columns], 1))
sizes = [len(c[0]) for c in columns]
movies = {int(r[0]): r[2].split("|") for r in read("movies")}
names = sorted({g for m in movies.values() for g in m})
genres = torch.zeros(len(items), len(names))
for row, raw in enumerate(items):
    genres[row, [names.index(g) for g in movies[int(raw)]]] = 1
genres /= genres.sum(1, keepdim=True)
examples, history, target = [], [], []
for u in range(len(users)):
    seen = item[first[u]:first[u + 1] - 2]  # the last is the test, the one before the validation
    for position in range(1, len(seen)):
        row = np.full(L, pad)
        past = seen[max(0, position - L):position][::-1]
        row[:len(past)] = past
        examples.append(u)
        history.append(row)
        target.append(seen[position])
examples, history, target = torch.tensor(examples), torch.from_numpy(np.stack(history)), torch.tensor(np.array(target))
counts = torch.bincount(target, minlength=len(items)).clamp(min=1)
logq = torch.log(counts / counts.sum())
prepare = time.perf_counter() - start


def tower(inputs, widths):
    layers = []
    for at, width in enumerate(widths):
        layers += [nn.Linear(inputs, width)] + ([nn.ReLU()] if at + 1 < len(widths) else [])
        inputs = width
    return nn.Sequential(*layers)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.item, self.user = nn.Embedding(len(items) + 1, 64, padding_idx=pad), nn.Embedding(len(users), 64)
        self.small = nn.ModuleList(nn.Embedding(n, d) for n, d in zip(sizes, (8, 8, 16, 16)))
        inputs = 64 + 48 + 64 * len(WINDOWS)
        self.user_tower = tower(inputs, (128, 64) if model == "dssm" else (128, 64, 64))
        self.genre = nn.Linear(len(names), 16, bias=False)
        self.item_tower = tower(80, (128, 64))

    def forward(self, at):
        h, u, y = history[at], examples[at], target[at]
        pools = [F.embedding_bag(h[:, :w], self.item.weight, mode="mean", padding_idx=pad) for w in WINDOWS]
        parts = [self.user(u)] + [t(features[u, c]) for c, t in enumerate(self.small)] + pools
        user = F.normalize(self.user_tower(torch.cat(parts, 1)), dim=1)
        if model == "youtube-dnn":
            return F.cross_entropy(user @ F.normalize(self.item.weight[:-1], dim=1).T / 0.1, y)
        vector = F.normalize(self.item_tower(torch.cat([self.item(y), self.genre(genres[y])], 1)), dim=1)
        z = user @ vector.T / 0.1 - logq[y][None, :]
        hits = (y[:, None] == y[None, :]) & ~torch.eye(len(y), dtype=torch.bool)
        return F.cross_entropy(z.masked_fill(hits, -1e9), torch.arange(len(y)))


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, fused=True)
seconds, cpu = [], []
for epoch in range(EPOCHS):
    begin, before = time.perf_counter(), time.process_time()
    for at in torch.randperm(len(target)).split(BATCH):
        with torch.autocast("cpu", torch.bfloat16, enabled="--bf16" in options):
            loss = net(at)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds.append(time.perf_counter() - begin)
    cpu.append(time.process_time() - before)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(dict(torch=torch.__version__, model=model, examples=len(target), examples_per_second=len(target) / min(seconds),
                      epoch_seconds=min(seconds), cpu_seconds=min(cpu), prepare_seconds=prepare, peak_memory_bytes=peak)))
