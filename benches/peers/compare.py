"""Runs recall-tape and its peers in turn on this machine and writes RESULTS.md (see `run`, which installs what this needs).

    compare.py RECALL PYTHON DATA ROUNDS [SECTION ...]

Every figure is the median over rounds of a process's own median; a round runs ours, then each peer. Ratios are peer / ours.
"""
import json, os, platform, statistics, subprocess, sys, tempfile

RECALL, PYTHON, DATA, ROUNDS, *ONLY = sys.argv[1:]
ROUNDS = int(ROUNDS)
HERE = os.path.dirname(os.path.abspath(__file__))
# PyTorch frees and maps its large buffers again at every step; told to keep them it is up to three times as fast.
TUNED = dict(MALLOC_MMAP_THRESHOLD_="8589934592", MALLOC_TRIM_THRESHOLD_="17179869184", MALLOC_TOP_PAD_="268435456")
FOLDER = tempfile.mkdtemp()
first_json = {}


def ours(*args):
    """`recall ARGS --device cpu --json`: the rows by id (bench) or by model."""
    path = os.path.join(FOLDER, "ours.json")
    args = [str(a) for a in args]
    subprocess.run([RECALL, *args, "--device", "cpu", "--quiet", "--json", path], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.load(open(path))
    first_json.setdefault("machine", found)
    if "ceilings" in found:
        first_json.setdefault("ceilings", []).append(found["ceilings"])
    return {r.get("id", r.get("model")): r for r in found["rows"]}


def peer(script, *args, tuned=False):
    """A peer's script: its JSON lines."""
    env = dict(os.environ, **(TUNED if tuned else {}))
    args = [str(a) for a in args]
    done = subprocess.run([PYTHON, os.path.join(HERE, script), *args], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{script} {' '.join(args)} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return []
    return [json.loads(l) for l in done.stdout.splitlines() if l.startswith("{")]


def rounds(*runs):
    """Each of `runs` once a round, in turn: for each the list of what it gave."""
    out = [[] for _ in runs]
    for _ in range(ROUNDS):
        for at, run in enumerate(runs):
            out[at].append(run())
    return out


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else float("nan")


def by_name(given):
    """Of a peer's rounds: median of each key by name."""
    names = {}
    for lines in given:
        for line in lines:
            names.setdefault(line["name"], []).append(line)
    return {n: {k: median([l.get(k) for l in lines]) for k in ("ms", "cpu_ms", "peak_memory_bytes")} for n, lines in names.items()}


def ms(value):
    return "not measured" if value != value else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(a, b):
    return "" if a != a or b != b else f"**{a / b:.1f}**"


def mb(value):
    return "" if value != value else f"{value / 2**20:,.0f}"


def table(title, note, header, rows):
    print(f"\n## {title}\n\n{note}\n\n| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def step():
    rows = []
    for batch in (1024, 4096):
        args = ("--batch", batch, "--vocab", 1_000_000)
        run = lambda: list(ours("bench", "step", *args, "--user-columns").values())[0]
        o, tuned, plain, dense = rounds(run, lambda: peer("step.py", *args, tuned=True), lambda: peer("step.py", *args),
                                        lambda: peer("step.py", *args, "--dense", "--runs", 5))
        get = lambda given, key: median([g[key] if isinstance(g, dict) else g[0][key] if g else None for g in given])
        ours_ms = get(o, "ms")
        rows.append([f"{batch}", f"{ms(ours_ms)} ({ms(get(o, 'cpu_ms'))})"] + sum(
            ([f"{ms(get(g, 'ms'))} ({ms(get(g, 'cpu_ms'))})", ratio(get(g, "ms"), ours_ms)] for g in (tuned, plain, dense)), []) +
            [f"{mb(get(o, 'peak_memory_bytes'))}, {mb(get(plain, 'peak_memory_bytes'))}, {mb(get(dense, 'peak_memory_bytes'))}"])
    table("One training step: in-batch DSSM, two tables of 1e6 x 64, history 50", "`recall bench step --user-columns` against `step.py`. ms of wall time (of process CPU time).",
          ["batch", "ours", "SparseAdam, tuned malloc", "x", "SparseAdam", "x", "dense gradients, Adam", "x", "memory MB: ours, sparse, dense"], rows)


def has_bf16():
    path = os.path.join(FOLDER, "doctor.json")
    subprocess.run([RECALL, "doctor", "--quiet", "--json", path], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.load(open(path))["cpu_bf16_products"]


def epoch():
    rows, rounded = [], []
    bf16 = has_bf16()
    for model in ("dssm", "youtube-dnn"):
        settings = ["dim=64", "session=0", "ema=0", "windows=1,5,50", "skip=false", "dropout=0", "history_dropout=0", "epochs=3", "patience=3"]
        settings += ["user_hidden=128,64"] if model == "youtube-dnn" else []
        run = lambda *more: ours("train", "--data", f"{DATA}/ml-1m-half", "--model", model, "--out", f"{FOLDER}/m", *sum((["--set", s] for s in settings), []), *more)[model]
        other = lambda *more: peer("epoch.py", f"{DATA}/ml-1m-half", model, *more, tuned=True)
        o, tuned, *halves = rounds(run, other, *([lambda: run("--bf16"), lambda: other("--bf16")] if bf16 else []))
        t = [x[0] for x in tuned if x]
        get = lambda given, key: median([g[key] for g in given])
        if bf16:
            speed = lambda given: get(given, "examples_per_second")
            mine, theirs = halves[0], [x[0] for x in halves[1] if x]
            rounded.append([model, f"{speed(mine):,.0f}", ratio(speed(mine), speed(o)), f"{speed(theirs):,.0f}", ratio(speed(mine), speed(theirs)), ratio(speed(mine), speed(t))])
        rows.append([model, f"{get(o, 'examples_per_second'):,.0f}", f"{get(t, 'examples_per_second'):,.0f}", ratio(get(o, "examples_per_second"), get(t, "examples_per_second")),
                     f"{ms(1e3 * get(o, 'prepare_seconds'))}, {ms(1e3 * get(t, 'prepare_seconds'))}", f"{mb(get(o, 'peak_memory_bytes'))}, {mb(get(t, 'peak_memory_bytes'))}",
                     f"{100 * get(o, 'validation_seconds') / (get(t, 'examples') / get(o, 'examples_per_second')):.1f} %"])
    settings = ["dim=16", "session=0", "ema=0", "user_hidden=128,64", "loss=list", "negatives=3", "batch=2048", "windows=50", "skip=false", "dropout=0", "history_dropout=0", "epochs=2", "patience=2"]
    run = lambda: ours("train", "--data", f"{DATA}/ml-1m-half", "--model", "youtube-dnn", "--out", f"{FOLDER}/m", *sum((["--set", s] for s in settings), []))["youtube-dnn"]
    o, shipped = rounds(run, lambda: peer("rechub.py", f"{DATA}/ml-1m-half"))
    t = [x[0] for x in shipped if x]
    if t:
        get = lambda given, key: median([g[key] for g in given])
        rows.append(["torch-rechub's YoutubeDNN", f"{get(o, 'examples_per_second'):,.0f}", f"{get(t, 'examples_per_second'):,.0f}", ratio(get(o, "examples_per_second"), get(t, "examples_per_second")),
                     f"{ms(1e3 * get(o, 'prepare_seconds'))}, {ms(1e3 * get(t, 'prepare_seconds'))}", f"{mb(get(o, 'peak_memory_bytes'))}, {mb(get(t, 'peak_memory_bytes'))}", ""])
    table("Epochs of ml-1m-half", "`recall train` against `epoch.py` (tuned malloc) and `rechub.py` (as it ships): DSSM and YoutubeDNN with windows 1 + 5 + 50, batch 1,024; YoutubeDNN with the softmax over all "
          "items. The last row is torch-rechub's example: embeddings of 16, tower 128-64-16, 3 negatives, batch 2,048.",
          ["model", "ours, examples/s", "peer, examples/s", "x", "prepare ms: ours, peer", "memory MB: ours, peer", "a validation pass, share of an epoch"], rows)
    if rounded:
        table("The same epochs with products in bf16", "`recall train --bf16` against `epoch.py --bf16` (PyTorch's autocast); the last column: against PyTorch in f32.",
              ["model", "ours, examples/s", "x of ours in f32", "PyTorch, examples/s", "x", "x of PyTorch in f32"], rounded)


def kernels():
    def own():
        found = {}
        for name in ("4096x50of1000000x64,adam", "65536of1000000x64", "gemm/main", "softmax_loss/main/cpu/4096"):
            found.update(ours("bench", "kernels", "--no-naive", "--filter", name))
        return found
    peers = [("gemm", True), ("gather", True), ("bag", True), ("norm", True), ("softmax", False), ("softmax", True), ("compiled", True)]
    o, *given = rounds(own, *(lambda c=c, t=t: peer("torch_kernels.py", c, tuned=t) for c, t in peers))
    plain = by_name(given[4])
    torch = by_name(sum(([*g] for at, g in enumerate(given) if at != 4), []))
    mine = lambda *ids: sum(median([r[i]["ms"] for r in o if i in r]) for i in ids)
    t = lambda name, of=None: (of or torch).get(name, {}).get("ms", float("nan"))
    bag, wide, norm = "cpu/4096x50of1000000x64,adam", "65536of1000000x64", "main/cpu/65536of1000000x64"
    whole = [f"{k}/main/{bag}" for k in ("bag", "bag_backward", "group", "update_rows_adam")]
    lines = [("bag 4,096 x 50 of 1e6 x 64, new ids: forward", mine(f"bag/main/{bag}"), t("bag forward")),
             ("the same: forward, backward, lazy Adam", mine(*whole), t("bag whole")),
             ("gather of 65,536 rows, new ids", mine(f"gather/{norm}"), t("gather 65536")),
             ("L2 normalise 65,536 x 64: forward", mine(f"l2_normalize/{norm}"), t("l2 forward")),
             ("the same: forward and backward", mine(f"l2_normalize/{norm}", f"l2_normalize_backward/{norm}"), t("l2 both")),
             ("in-batch softmax 4,096 x 64, logQ + mask, with gradients; PyTorch untuned", mine("softmax_loss/main/cpu/4096x4096x64"), t("softmax 4096", plain)),
             ("the same; tuned malloc", mine("softmax_loss/main/cpu/4096x4096x64"), t("softmax 4096")),
             ("the same; torch.compile, tuned malloc", mine("softmax_loss/main/cpu/4096x4096x64"), t("compiled 4096"))]
    for shape in ("4096x256x128", "256x4096x128", "4096x128x256", "4096x128x64", "128x4096x64", "4096x64x128", "1024x1024x1024"):
        lines.append((f"GEMM {shape}", mine(f"gemm/main/cpu/{shape}"), t(f"gemm {shape}")))
    ceilings = first_json["ceilings"][-1]
    shares = {i: median([r[i]["roofline"] for r in o if i in r]) for r in o for i in r}
    ids = [f"bag/main/{bag}", None, f"gather/{norm}", f"l2_normalize/{norm}", None] + ["softmax_loss/main/cpu/4096x4096x64"] * 3
    rows = []
    for at, (name, a, b) in enumerate(lines):
        share = f"{100 * shares[ids[at]]:.0f} %" if at < len(ids) and ids[at] in shares else ""
        rows.append([name, ms(a), ms(b), ratio(b, a), share])
    table("Kernels", f"`recall bench kernels` against `torch_kernels.py`. The share is of the ceiling of the same run (copy {ceilings['copy_gb_s']:.1f} GB/s read + write, "
          f"{ceilings['fma_gflop_s']:.0f} GFLOP/s).", ["kernel", "ours, ms", "PyTorch, ms", "x", "of the ceiling"], rows)


def large():
    o = ours("bench", "kernels", "--no-naive", "--large", "--filter", "softmax_loss/main/cpu/16384")
    t = by_name([peer("torch_kernels.py", "softmax-large", tuned=True)])
    a = o["softmax_loss/main/cpu/16384x16384x64"]
    b = t.get("softmax 16384", dict(ms=float("nan"), peak_memory_bytes=float("nan")))
    big = ours("bench", "kernels", "--no-naive", "--large", "--filter", "softmax_loss/main/cpu/65536")["softmax_loss/main/cpu/65536x65536x64"]
    table("In-batch softmax at large batches, logQ + mask, with gradients", "`recall bench kernels --large`; the memory is the whole process's.",
          ["batch", "ours, ms", "PyTorch, tuned malloc, ms", "x", "memory MB: ours, PyTorch"],
          [["16,384", ms(a["ms"]), ms(b["ms"]), ratio(b["ms"], a["ms"]), f"{mb(a['peak_memory_bytes'])}, {mb(b['peak_memory_bytes'])}"],
           ["65,536", ms(big["ms"]), "needs over 48 GB", "", f"{mb(big['peak_memory_bytes'])}"]])


def growth():
    rows = []
    vocabs = (100_000, 1_000_000, 10_000_000)
    for active, said in ((90_000, "90,000 of them occur"), (0, "all of them occur")):
        def step(vocab):
            return list(ours("bench", "step", "--batch", 1024, "--vocab", vocab, "--active", active, "--set", "optimizer=adagrad").values())[0]
        base = None
        for vocab, got in zip(vocabs, rounds(*(lambda vocab=vocab: step(vocab) for vocab in vocabs))):
            took = median([r["ms"] for r in got])
            base = base or took
            ids = f"{got[0]['distinct_users'] + got[0]['distinct_items']:,}"
            rows.append([f"{vocab:,} rows, {said}: {ids} distinct ids; row-wise Adagrad, batch 1,024", ms(took), f"{took / base:.2f}",
                         ms(median([r["softmax_ms"] for r in got])), mb(got[0]["peak_memory_bytes"])])
    last = None
    for batch in (1024, 2048, 4096, 8192, 16_384, 32_768, 65_536):
        r = list(ours("bench", "step", "--batch", batch, "--vocab", 100_000, "--runs", 15 if batch <= 8192 else 3).values())[0]
        rows.append([f"batch {batch:,}, 100,000 rows", ms(r["ms"]), "" if last is None else f"{r['rest_ms'] / last:.2f}", ms(r["softmax_ms"]), mb(r["peak_memory_bytes"])])
        last = r["rest_ms"]
    table("How a step grows", "`recall bench step`, DSSM. Third column: times the first vocabulary; times the batch before, the softmax over batch x batch left out.",
          ["step", "ms", "x", "of it the softmax, ms", "memory MB"], rows)


def retrieval():
    rows = []
    for queries in (1000, 1):
        name = f"search/{{}}/cpu/{queries}of1000000x64,top100"
        o, torch, faiss = rounds(lambda: ours("bench", "retrieve", "--items", 1_000_000, "--queries", queries),
                                 lambda: peer("retrieve.py", "torch", queries, 1_000_000, tuned=True), lambda: peer("retrieve.py", "faiss", queries, 1_000_000))
        main, f32 = ([g[name.format(variant)] for g in o] for variant in ("main", "f32"))
        a, p, t, f = (median([g["ms"] if isinstance(g, dict) else g[0]["ms"] if g else None for g in given]) for given in (main, f32, torch, faiss))
        rows.append([f"{queries:,}", ms(a), ms(p), f"{100 * median([g['roofline'] for g in f32]):.0f} %", ms(t), ratio(t, a), ms(f), ratio(f, a)])
    table("Exact top-100 of 1e6 x 64", "`recall bench retrieve` against `retrieve.py` (PyTorch: the fastest of several ways to cut the items; faiss: IndexFlatIP). Third and fourth column: the index without codes of 8 bits.",
          ["queries", "ours, ms", "products in f32 alone, ms", "of the ceiling", "PyTorch, ms", "x", "faiss, ms", "x"], rows)


def threads():
    rows = []
    for count in (1, 2):
        r = list(ours("bench", "step", "--batch", 4096, "--vocab", 1_000_000, "--threads", count).values())[0]
        rows.append([str(count), ms(r["ms"]), ms(r["cpu_ms"])])
    table("Threads", "`recall bench step --threads N`: the work is cut by shapes alone, so that any number of threads gives the same bits.", ["threads", "ms", "CPU ms"], rows)


SECTIONS = dict(step=step, epoch=epoch, kernels=kernels, large=large, growth=growth, retrieval=retrieval, threads=threads)
for name in ONLY or SECTIONS:
    SECTIONS[name]()
versions = subprocess.run([PYTHON, "-c", "import importlib.metadata as m\nfor p in ('torch','torch-rechub','faiss-cpu','numpy'):\n try: print(p, m.version(p), end=', ')\n except Exception: pass"],
                          capture_output=True, text=True).stdout.strip(" ,")
found = first_json["machine"]
print(f"\nMachine: {platform.machine()}, {os.cpu_count()} cores; recall-tape {found['version']}: {found['device']['name']}; {versions}; Python {platform.python_version()}.")
