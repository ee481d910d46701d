"""Kernels in PyTorch at the shapes of `recall bench kernels`, each the best way that PyTorch has on a CPU.

    torch_kernels.py CASE        one of gemm, gather, bag, norm, softmax, softmax-large, compiled

One JSON line a kernel: name, ms (median), ms_min, runs, cpu_ms a run, peak_memory_bytes of the process.
"""
import json, resource, statistics, sys, time
import numpy as np, torch, torch.nn.functional as F

torch.set_num_threads(2)
torch.manual_seed(0)
rng = np.random.default_rng(0)
ROWS = 1_000_000


def measure(name, work, runs=20, prepare=lambda: None):
    seconds, cpu = [], 0.0
    for run in range(runs + 3):
        prepare()
        start, before = time.perf_counter(), time.process_time()
        work()
        if run >= 3:
            seconds.append(time.perf_counter() - start)
            cpu += time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(dict(name=name, ms=1e3 * statistics.median(seconds), ms_min=1e3 * min(seconds), runs=runs,
                          cpu_ms=1e3 * cpu / runs, peak_memory_bytes=peak)), flush=True)


def gemm():
    def product(name, a, b, shape):
        out = torch.empty(shape)
        measure(name, lambda: torch.mm(a, b, out=out), 50)

    x, w, g = torch.randn(4096, 256), torch.randn(256, 128), torch.randn(4096, 128)
    product("gemm 4096x256x128", x, w, (4096, 128))
    product("gemm 256x4096x128", x.T, g, (256, 128))
    product("gemm 4096x128x256", g, w.T, (4096, 256))
    x, w, g = torch.randn(4096, 128), torch.randn(128, 64), torch.randn(4096, 64)
    product("gemm 4096x128x64", x, w, (4096, 64))
    product("gemm 128x4096x64", x.T, g, (128, 64))
    product("gemm 4096x64x128", g, w.T, (4096, 128))
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    product("gemm 1024x1024x1024", a, b, (1024, 1024))


def gather():
    table, out = torch.randn(ROWS, 64), torch.empty(65_536, 64)
    sets = [torch.randint(0, ROWS, (65_536,)) for _ in range(24)]
    turn = iter(sets * 2)
    measure("gather 65536", lambda: torch.index_select(table, 0, next(turn), out=out))


def bag():
    def new_ids():
        return torch.randint(1, ROWS, (4096, 50))

    table, g = torch.randn(ROWS, 64, requires_grad=True), torch.randn(4096, 64) * 1e-3
    optimizer = torch.optim.SparseAdam([table], lr=1e-3)
    state = {}

    def ids():
        state["ids"] = new_ids()

    def forward():
        with torch.no_grad():
            F.embedding_bag(state["ids"], table, mode="mean")

    def whole():
        table.grad = None
        F.embedding_bag(state["ids"], table, mode="mean", sparse=True).backward(g)
        optimizer.step()

    measure("bag forward", forward, prepare=ids)
    measure("bag whole", whole, prepare=ids)


def norm():
    x, g = torch.randn(65_536, 64, requires_grad=True), torch.randn(65_536, 64)

    def both():
        x.grad = None
        F.normalize(x, dim=1).backward(g)

    with torch.no_grad():
        measure("l2 forward", lambda: F.normalize(x, dim=1))
    measure("l2 both", both)


def loss(u, v, ids, logq, label, other):
    z = u @ v.T / 0.1 - logq[None, :]
    z = z.masked_fill((ids[:, None] == ids[None, :]) & other, -1e9)
    return F.cross_entropy(z, label)


def softmax(batch=4096, runs=15, function=loss, name="softmax"):
    u, v = (F.normalize(torch.randn(batch, 64), dim=1).requires_grad_() for _ in "uv")
    ids, logq = torch.randint(0, 100_000, (batch,)), torch.randn(batch)
    label, other = torch.arange(batch), ~torch.eye(batch, dtype=torch.bool)

    def work():
        u.grad = v.grad = None
        function(u, v, ids, logq, label, other).backward()

    measure(f"{name} {batch}", work, runs)


CASES = dict(gemm=gemm, gather=gather, bag=bag, norm=norm, softmax=softmax,
             **{"softmax-large": lambda: softmax(16_384, 3)},
             compiled=lambda: softmax(function=torch.compile(loss), name="compiled"))
CASES[sys.argv[1]]()
