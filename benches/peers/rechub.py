"""torch-rechub's own YoutubeDNN example on MovieLens 1M's files: its preprocessing, its loader, its trainer.

    rechub.py DATA

Embeddings of 16, tower 128-64-16, three negatives a positive, temperature 0.02, batch 2,048, as its examples ship. Two
epochs; the second is timed. One JSON line.
"""
import contextlib, io, json, os, resource, sys, tempfile, time
import numpy as np, pandas as pd, torch
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.matching import YoutubeDNN
from torch_rechub.trainers import MatchTrainer
from torch_rechub.utils.data import MatchDataGenerator, df_to_dict
from torch_rechub.utils.match import gen_model_input, generate_seq_feature_match

torch.set_num_threads(2)
torch.manual_seed(2022)
data = sys.argv[1]
start = time.perf_counter()
read = lambda name, columns: pd.read_csv(f"{data}/{name}.dat", sep="::", engine="python", encoding="latin-1", header=None, names=columns)
ratings = read("ratings", ["user_id", "movie_id", "rating", "timestamp"])
users = read("users", ["user_id", "gender", "age", "occupation", "zip"])
movies = read("movies", ["movie_id", "title", "genres"])
table = ratings.merge(users, on="user_id").merge(movies, on="movie_id")
table["cate_id"] = table["genres"].str.split("|").str[0]
# Its sort by time is unstable: the order within a user is made unique first.
table = table.sort_values(["user_id", "timestamp"], kind="stable").reset_index(drop=True)
table["timestamp"] = np.arange(len(table))
sizes = {}
for column in ("user_id", "movie_id", "gender", "age", "occupation", "zip", "cate_id"):
    table[column] = pd.factorize(table[column], sort=True)[0] + 1
    sizes[column] = int(table[column].max()) + 1
user_columns = ["user_id", "gender", "age", "occupation", "zip"]
profiles = table[user_columns].drop_duplicates("user_id")
catalogue = table[["movie_id", "cate_id"]].drop_duplicates("movie_id")
with contextlib.redirect_stdout(io.StringIO()):
    train, test = generate_seq_feature_match(table, "user_id", "movie_id", time_col="timestamp", item_attribute_cols=[],
                                             sample_method=1, mode=2, neg_ratio=3, min_item=0)
    x = gen_model_input(train, profiles, "user_id", catalogue, "movie_id", seq_max_len=50)
y = np.zeros(len(train), dtype=np.int64)
prepare = time.perf_counter() - start
sparse = [SparseFeature(c, vocab_size=sizes[c], embed_dim=16) for c in user_columns]
hist = [SequenceFeature("hist_movie_id", vocab_size=sizes["movie_id"], embed_dim=16, pooling="mean", shared_with="movie_id")]
item = [SparseFeature("movie_id", vocab_size=sizes["movie_id"], embed_dim=16)]
negatives = [SequenceFeature("neg_items", vocab_size=sizes["movie_id"], embed_dim=16, pooling="concat", shared_with="movie_id")]
model = YoutubeDNN(sparse + hist, item, negatives, user_params={"dims": [128, 64, 16]}, temperature=0.02)
with tempfile.TemporaryDirectory() as folder:
    trainer = MatchTrainer(model, mode=2, optimizer_params={"lr": 1e-4, "weight_decay": 1e-6}, n_epoch=1, device="cpu", model_path=folder)
    generator = MatchDataGenerator(x=x, y=y)
    loader, _, _ = generator.generate_dataloader(df_to_dict(profiles), df_to_dict(catalogue), batch_size=2048)
    seconds, cpu = [], []
    for epoch in range(2):
        begin = time.perf_counter()
        before = sum(os.times()[:4])
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.train_one_epoch(loader)
        seconds.append(time.perf_counter() - begin)
        cpu.append(sum(os.times()[:4]) - before)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(dict(model="youtube-dnn", examples=len(train), examples_per_second=len(train) / seconds[-1], epoch_seconds=seconds[-1],
                      cpu_seconds=cpu[-1], prepare_seconds=prepare, peak_memory_bytes=peak)))
