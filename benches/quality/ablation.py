#!/usr/bin/env python3
"""What each kind of negatives, loss, correction and feature is worth: one row a setting, means over seeds.

  benches/quality/ablation.py --data ml-100k --seeds 11,12,13 [--only PART] [--jobs 2] [--out runs.jsonl]

Runs `recall train` (RECALL, or target/release/recall) with the defaults and one change a row, on the CPU with one thread a
job; selection is on validation. Every run is appended to --out, and is not run again when the script is started again. The
table goes to stdout as Markdown: HR@10 (tied, untied), HR@100, NDCG@10 (of the test and of validation), coverage of the lists of ten, examples/s, and the
difference of HR@10 to the default with its standard error over seeds.
"""
import argparse, concurrent.futures, json, os, statistics, subprocess, tempfile

OWN = ["loss=list", "negatives=20"]
ROWS = [
    # part, what, model, settings
    ("", "DSSM, the defaults", "dssm", []),
    ("", "YoutubeDNN, the defaults", "youtube-dnn", []),
    ("loss", "full softmax", "dssm", ["loss=full"]),
    ("loss", "sampled softmax, 1,024 shared", "dssm", ["loss=sampled"]),
    ("loss", "list softmax, 20 of its own", "dssm", OWN),
    ("loss", "binary cross-entropy, 20 of its own", "dssm", ["loss=pointwise", "negatives=20"]),
    ("loss", "BPR, 20 of its own", "dssm", ["loss=bpr", "negatives=20"]),
    ("loss", "hinge, 20 of its own", "dssm", ["loss=hinge", "negatives=20"]),
    ("loss", "BPR, 500 shared", "dssm", ["loss=bpr", "negatives=500", "negatives_shared=true"]),
    ("loss", "hinge, 500 shared", "dssm", ["loss=hinge", "negatives=500", "negatives_shared=true"]),
    ("loss", "DSSM 2013: list, 4 uniform unclicked", "dssm", ["loss=list", "negatives=4", "sampler=uniform", "logq=off", "exclude_own=true"]),
    ("loss", "symmetric in-batch", "dssm", ["symmetric=true"]),
    ("loss", "label smoothing 0.1", "dssm", ["label_smoothing=0.1"]),
    ("loss", "learned temperature", "dssm", ["learn_temperature=true"]),
    ("negatives", "sampled, uniform", "dssm", ["loss=sampled", "sampler=uniform"]),
    ("negatives", "sampled, ln(count + 1)", "dssm", ["loss=sampled", "sampler=log"]),
    ("negatives", "sampled, log-uniform by rank", "dssm", ["loss=sampled", "sampler=zipf"]),
    ("negatives", "list, own items left out", "dssm", [*OWN, "exclude_own=true"]),
    ("negatives", "frequency of the stream, logQ on every column", "dssm", ["frequency=stream", "logq=all", "mask_hits=false"]),
    ("negatives", "list, one mined of ranks 101 to 500 for a hundred", "dssm", [*OWN, "mine=1"]),
    ("negatives", "in-batch, own other items masked", "dssm", ["mask_own=true"]),
    ("negatives", "in-batch + 1,024 uniform (mixed)", "dssm", ["mixed=1024"]),
    ("negatives", "in-batch + 2 earlier batches (queue)", "dssm", ["queue=2"]),
    ("negatives", "in-batch, the 100 hardest", "dssm", ["hard_negatives=100"]),
    ("negatives", "in-batch, ranks 101 to 500", "dssm", ["hard_negatives=400", "hard_from=101"]),
    ("negatives", "hot targets subsampled, t = 1e-3", "dssm", ["subsample=1e-3"]),
    ("negatives", "50 examples a user", "dssm", ["examples_per_user=50"]),
    ("logQ", "no logQ", "dssm", ["logq=off"]),
    ("logQ", "every column corrected, hits masked", "dssm", ["logq=all"]),
    ("logQ", "every column corrected, hits unmasked", "dssm", ["logq=all", "mask_hits=false"]),
    ("logQ", "negatives corrected, hits unmasked", "dssm", ["mask_hits=false"]),
    ("logQ", "q from the stream", "dssm", ["frequency=stream"]),
    ("history", "one window of 50", "dssm", ["windows=50"]),
    ("history", "windows 1, 5, 50", "dssm", ["windows=1,5,50"]),
    ("history", "zones 1 to 5, 10, 50 side by side", "dssm", ["windows=1,2,3,4,5,10,50", "zones=true"]),
    ("history", "sum", "dssm", ["pool=sum"]),
    ("history", "max", "dssm", ["pool=max"]),
    ("history", "two heads by position", "dssm", ["position_heads=2"]),
    ("history", "two heads by past gaps", "dssm", ["decay_heads=2"]),
    ("history", "no session", "dssm", ["session=0"]),
    ("history", "no dropout of history items", "dssm", ["history_dropout=0"]),
    ("history", "a held-out label, not the next", "dssm", ["label=heldout"]),
    ("tower", "no skip", "dssm", ["skip=false"]),
    ("tower", "no averages of weights", "dssm", ["ema=0"]),
    ("tower", "layer normalisation", "dssm", ["norm=layer"]),
    ("tower", "batch normalisation", "dssm", ["norm=batch", "ema=0"]),
    ("tower", "SENet", "dssm", ["senet=true"]),
    ("tower", "GELU", "dssm", ["activation=gelu"]),
    ("tower", "Example Age", "dssm", ["example_age=true"]),
    ("tower", "no user id", "dssm", ["user_id=off"]),
    ("tower", "user and item ids dropped, 0.1", "dssm", ["user_id_dropout=0.1", "item_id_dropout=0.1"]),
]


def run(program, data, model, settings, seed):
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/m.json"
        command = [program, "train", "--data", data, "--model", model, "--device", "cpu", "--threads", "1", "--seed", str(seed),
                   "--out", f"{folder}/m", "--json", out, "--quiet", "--baselines", "none", *sum((["--set", s] for s in settings), [])]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            return {"error": said[-1] if said else f"ended with {done.returncode}"}
        rows = json.load(open(out))["rows"]
    row = next(r for r in rows if r["model"] == model)
    metrics = row["metrics"]
    return {"HR@10": metrics["HR@10"], "HR@100": metrics["HR@100"], "NDCG@10": metrics["NDCG@10"], "valid": row["validation_ndcg_10"], "coverage": row.get("coverage", {}).get("Coverage@10"),
            "tied": row.get("tied", {}).get("HR@10"), "untied": row.get("untied", {}).get("HR@10"), "speed": row["examples_per_second"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", default="11,12,13")
    parser.add_argument("--only", default="", help="parts or names that contain this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", default="ablation.jsonl")
    parser.add_argument("--print", action="store_true", help="run nothing, print what --out holds")
    args = parser.parse_args()
    program = os.environ.get("RECALL", "target/release/recall")
    seeds = [int(s) for s in args.seeds.split(",")]
    name = os.path.basename(args.data.rstrip("/"))
    known = {}
    if os.path.exists(args.out):
        for line in open(args.out):
            r = json.loads(line)
            if "error" not in r["result"] or args.print:
                known[r["data"], r["model"], tuple(r["settings"]), r["seed"]] = r["result"]
    rows = [r for r in ROWS if args.only in r[0] or args.only in r[1] or not r[0]]
    todo = [(m, s, seed) for seed in seeds for _, _, m, s in rows if (name, m, tuple(s), seed) not in known and not args.print]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        futures = {pool.submit(run, program, args.data, *job): job for job in todo}
        for future in concurrent.futures.as_completed(futures):
            model, settings, seed = futures[future]
            known[name, model, tuple(settings), seed] = future.result()
            with open(args.out, "a") as out:
                out.write(json.dumps({"data": name, "model": model, "settings": settings, "seed": seed, "result": future.result()}) + "\n")
    print("| part | setting | HR@10 | to the default | tied | untied | HR@100 | NDCG@10 | validation NDCG@10 | coverage@10 | examples/s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for part, what, model, settings in rows:
        results = [known.get((name, model, tuple(settings), seed)) for seed in seeds]
        base = [known.get((name, model, (), seed)) for seed in seeds]
        good = [(r, b) for r, b in zip(results, base) if r and "error" not in r and b and "error" not in b]
        if not good:
            print(f"| {part} | {what} | {next((r['error'] for r in results if r and 'error' in r), 'not run')} |")
            continue
        mean = lambda key: statistics.mean(r[key] or 0 for r, _ in good)
        gaps = [r["HR@10"] - b["HR@10"] for r, b in good]
        spread = f" ± {statistics.stdev(gaps) / len(gaps) ** 0.5:.4f}" if len(gaps) > 1 else ""
        gap = f"{statistics.mean(gaps):+.4f}{spread}" if settings else ""
        coverage = f"{mean('coverage'):.3f}" if all(r["coverage"] is not None for r, _ in good) else ""
        print(f"| {part} | {what}{'' if not settings else ' (`' + ' '.join(settings) + '`)'} | {mean('HR@10'):.4f} | {gap} | {mean('tied'):.3f} | {mean('untied'):.3f} "
              f"| {mean('HR@100'):.4f} | {mean('NDCG@10'):.4f} | {mean('valid'):.4f} | {coverage} | {mean('speed'):,.0f} |")


if __name__ == "__main__":
    main()
