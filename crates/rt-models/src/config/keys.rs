//! The settings with their documentation and defaults.

use super::ModelKind;
use super::choices::*;
use super::value::{self, Value};
use crate::select::Select;
use crate::{Error, Result};
use std::fmt::Write as _;

config! {
    /// Passes over the training examples, at most. auto (0 here): 40, and more where these are fewer than 3,000 steps.
    epochs: usize = (0, 0),
    /// Examples a step. auto (0 here): 1,024, and for fewer than 32 times as many training examples less, 64 at least.
    batch: usize = (0, 0),
    /// Batches of a step: their gradients are added up before the update. Each has candidates of its own. Memory holds the
    /// values of one batch, and gradient rows and ids of all.
    accumulate: usize = (1, 1),
    /// Learning rate of dense parameters.
    lr: f32 = (2e-3, 2e-3),
    /// Learning rate of table rows; 0 = the same as `lr`.
    lr_rows: f32 = (0.0, 0.0),
    /// Optimiser: adam, adagrad (row-wise, for tables) or sgd.
    optimizer: OptimizerKind = (OptimizerKind::Adam, OptimizerKind::Adam),
    /// Decoupled weight decay of dense parameters.
    weight_decay: f32 = (0.0, 0.0),
    /// Epochs without a better validation metric (`select`) after which training stops. auto (0 here): 4, and more where these are fewer than
    /// 300 steps.
    patience: usize = (0, 0),
    /// Width of id embeddings and of both output vectors. 0: 128 where there are 100,000 training examples or more, else 64.
    dim: usize = (0, 0),
    /// Widths of columns' embeddings by name, such as item_id=16,user_id=16,genre=8; `*` is every other column but these two ids.
    /// What is not named: ids are `dim` wide, categories 8 up to 16 rows and else 16, bags 16. The output stays `dim` wide.
    column_dims: Vec<(String, usize)> = (vec![], vec![]),
    /// Deviation of the normal distribution that tables start from.
    init_std: f32 = (0.05, 0.05),
    /// Most items of a history that enter the tower.
    history: usize = (50, 50),
    /// Windows of the history that are pooled side by side: means of the last w items each. Empty: 1, 2, 3, 5, 10 and the
    /// whole history if the order of events says what comes next (item-kNN over the last 1 to 3 items finds users' last train
    /// events better than over all, by a tenth), else the whole history alone; all items if a history is a set.
    windows: Vec<usize> = (vec![], vec![]),
    /// Share of history items that are dropped in training. auto: 0.1 from 200,000 training examples on, 0.2 from 65,000 on, and
    /// for n of fewer 0.2 (65,000 / n)^0.37, at most 0.6; more if histories say little of the next item, see `temperature`; 0.5 if a history is a set.
    history_dropout: Option<f32> = (None, None),
    /// Dropout on a tower's input and hidden layers. auto: 0.1 from 200,000 training examples on, 0.2 from 65,000 on, and for n of
    /// fewer 0.2 (65,000 / n)^0.23, at most 0.4; more if histories say little of the next item, see `temperature`.
    dropout: Option<f32> = (None, None),
    /// Widths of the user tower's hidden layers. auto: 128, and for youtube-dnn from 65,000 training examples on 256,256.
    user_hidden: Option<Vec<usize>> = (None, None),
    /// Widths of the item tower's hidden layers (DSSM).
    item_hidden: Vec<usize> = (vec![128], vec![]),
    /// Activation of hidden layers; that of the last layer is `last_activation`.
    activation: Hidden = (Hidden::Relu, Hidden::Relu),
    /// Activation of the last layer of both towers, of YoutubeDNN the user tower's: none, relu, tanh, sigmoid, gelu or prelu.
    /// With one the last layer is as a hidden one, with `norm` before the activation and dropout after it; none: it is linear.
    last_activation: Option<Hidden> = (None, None),
    /// A linear skip from a tower's input to its output.
    skip: bool = (true, true),
    /// Does the user's id enter its tower? auto: if users have 20 training examples or more on average, and histories are no sets.
    user_id: Switch = (Switch::Auto, Switch::Auto),
    /// Do the other columns of the user file enter the user tower?
    user_features: bool = (true, true),
    /// Do the columns of the item file enter the item tower (DSSM)?
    item_features: bool = (true, true),
    /// Does the time since the last event enter the user tower? coarse: within an hour, a day, more; fine: by octaves of
    /// seconds, which no server knows in advance, so only with `--request-time exact`.
    gap: Gap = (Gap::Off, Gap::Off),
    /// Items scored against a user: the history's table or one of their own (YoutubeDNN).
    item_table: ItemTable = (ItemTable::Shared, ItemTable::Shared),
    /// Are output vectors L2-normalised, so that their product is the cosine?
    normalize: bool = (true, true),
    /// Temperature that scores are divided by in the loss. auto: from 0.1 if histories say much of the next item to 0.4 if they say
    /// little, by the logarithm of what item-kNN finds of users' last train events against a random order; 0.07 if a history is a set.
    temperature: Option<f32> = (None, None),
    /// Loss: in-batch, full, sampled, list, pointwise, bpr or hinge.
    loss: Loss = (Loss::InBatch, Loss::Full),
    /// Negatives: of each example for list, pointwise, bpr and hinge, shared by the batch for sampled. 0: 3 and 1024.
    negatives: usize = (0, 0),
    /// Does the batch share one pool of `negatives` draws, for pointwise, bpr and hinge? Every example is scored against all of it.
    negatives_shared: bool = (false, false),
    /// Where those are drawn: uniform, popularity, log (of the count) or zipf (log-uniform by rank).
    sampler: Sampler = (Sampler::Popularity, Sampler::Popularity),
    /// Exponent of the popularity.
    alpha: f32 = (0.75, 0.75),
    /// Correction for the drawing of negatives: off, negatives or all.
    logq: LogQ = (LogQ::Negatives, LogQ::Negatives),
    /// Are negatives that equal the target masked?
    mask_hits: bool = (true, true),
    /// Seconds without an event that end a session. The mean of the running session's items, its length and the time between
    /// the last two events enter the user tower; all three are known before the request. 0: not used; auto: 60 where the
    /// order of events says what comes next (as for `windows`), or a tenth of the train events follow the one before within a minute.
    session: Option<usize> = (None, None),
    /// Are the user's own train items left out of the draws of list, pointwise, bpr and hinge?
    exclude_own: bool = (false, false),
    /// Margin of loss = hinge, in units of the score divided by the temperature.
    margin: f32 = (1.0, 1.0),
    /// Subsampling of hot targets: an example whose target has share f of the examples is kept in an epoch with probability
    /// sqrt(subsample / f). 0 = all are kept.
    subsample: f32 = (0.0, 0.0),
    /// Most examples of a user in an epoch, drawn anew each epoch. 0 = all.
    examples_per_user: usize = (0, 0),
    /// Does each user weigh the same, whatever the number of examples?
    user_weight: bool = (false, false),
    /// Where the q of the in-batch logQ comes from: train (targets counted) or stream (estimated while training runs).
    frequency: Frequency = (Frequency::Train, Frequency::Train),
    /// How fast the stream's estimate forgets, alpha of Yi et al.
    frequency_rate: f32 = (0.01, 0.01),
    /// Hash functions of the stream's estimate.
    frequency_hashes: usize = (1, 1),
    /// Slots of each hash of the stream's estimate; 0 = one for each item.
    frequency_slots: usize = (0, 0),
    /// Hard negatives of each example that are mined from the model, at most 2, for list, pointwise, bpr and hinge. 0 = none.
    mine: usize = (0, 0),
    /// Steps from one mining to the next; 0 = an epoch.
    mine_every: usize = (0, 0),
    /// First and last rank that mined negatives are drawn from, without the user's own items. Empty: 101 and 500; of fewer than 1,000
    /// items the better half but its first fifth.
    mine_ranks: Vec<usize> = (vec![], vec![]),
    /// Drawn negatives for each mined one, on average.
    mine_share: f32 = (100.0, 100.0),
    /// Normalisation of layers that have an activation, between it and their linear part: none, layer or batch.
    norm: Norm = (Norm::None, Norm::None),
    /// Does a hidden layer that is as wide as its input add its input?
    residual: bool = (false, false),
    /// Are the fields of a tower's input weighed by squeeze-and-excitation (FiBiNET)?
    senet: bool = (false, false),
    /// Does the age of the example enter the user tower (Covington et al. 2016)?
    example_age: bool = (false, false),
    /// The age that evaluation and recommendations use: 0 is the end of training, 1 its start.
    example_age_serving: f32 = (0.0, 0.0),
    /// Share of training rows whose user id is left out, so that users without one are served well.
    user_id_dropout: f32 = (0.0, 0.0),
    /// Share of training rows whose item id is left out (DSSM); items without an event in training then have none.
    item_id_dropout: f32 = (0.0, 0.0),
    /// Number columns: raw, standard (minus mean, over deviation) or quantile (ten buckets, embedded).
    numbers: Numbers = (Numbers::Standard, Numbers::Standard),
    /// Categories crossed into new ones: columns of one side, such as gender*age,occupation*gender.
    cross: String = (String::new(), String::new()),
    /// Rows that user ids are hashed into; 0: a row for each user.
    hash_rows: usize = (0, 0),
    /// Rows that item ids are hashed into, in the history and as items; 0: a row for each item.
    hash_items: usize = (0, 0),
    /// Rows that the categories of each cross are hashed into; 0: a row for each that occurs.
    hash_crosses: usize = (0, 0),
    /// Rows that a hashed id or cross adds up: 1 or 2.
    hash_functions: usize = (1, 1),
    /// File of pretrained item vectors, .npy or .safetensors; read in training alone.
    item_vectors: String = (String::new(), String::new()),
    /// Do those vectors start the item table, to be trained on, instead of being features that stay?
    item_vectors_tune: bool = (false, false),
    /// Are the zones between the windows' ends pooled (items 1, 2, 3, 4 to 5, ...) instead of the nested windows? With
    /// windows = 1,2,3,4,5 that is the last five items' embeddings side by side.
    zones: bool = (false, false),
    /// How the items of a window are pooled: mean, sum or max (of each column).
    pool: Pool = (Pool::Mean, Pool::Mean),
    /// Weighted means of the history beside the windows, their weights learned by position from the newest; 0 = none.
    position_heads: usize = (0, 0),
    /// Weighted means of the history beside the windows, their weights falling as a learned power of the time between an
    /// event and the newest of the history; 0 = none. Needs clock times.
    decay_heads: usize = (0, 0),
    /// Label smoothing of the softmax losses: this share of the target, 0 to 1, is spread evenly over a row's candidates.
    label_smoothing: f32 = (0.0, 0.0),
    /// Is the temperature learned? It starts at `temperature` and stays at 0.01 or more (CLIP, Radford et al. 2021).
    learn_temperature: bool = (false, false),
    /// Is the in-batch loss the mean of the one from users to items and the one from items to users?
    symmetric: bool = (false, false),
    /// Are candidates masked that are other train items of the row's user? For in-batch, full and sampled. auto: if a history is a
    /// set, rankings leave out what the user had, and most examples keep a negative; never with symmetric.
    mask_own: Option<bool> = (None, None),
    /// Of each row's negatives that are left, only so many with the highest logits stay; 0: all. For in-batch, full and
    /// sampled.
    hard_negatives: usize = (0, 0),
    /// Rank of the first of those, from 1: 101 with hard_negatives = 400 keeps ranks 101 to 500 (Huang et al. 2020).
    hard_from: usize = (1, 1),
    /// Items drawn uniformly from the catalogue and shared by the batch, beside the in-batch negatives (Yang et al. 2020).
    mixed: usize = (0, 0),
    /// Batches before this one whose targets are in-batch negatives too, as they were then (Wang et al. 2021).
    queue: usize = (0, 0),
    /// Decay of an exponential moving average of all weights; validation, selection and the saved model use the average,
    /// training goes on with the weights themselves. 0: not kept.
    ema: f32 = (0.999, 0.999),
    /// Learning rates over the steps: constant, cosine (to `lr_floor` at the last step of all `epochs`) or step (times
    /// `lr_decay` every `lr_decay_epochs` epochs). Rates of tables alike.
    schedule: Schedule = (Schedule::Constant, Schedule::Constant),
    /// Steps over which the rates rise from 0, ahead of the schedule.
    warmup: usize = (0, 0),
    /// Share of the rates that cosine ends at, and that step does not go below.
    lr_floor: f32 = (0.0, 0.0),
    /// Factor of the step schedule.
    lr_decay: f32 = (0.5, 0.5),
    /// Epochs between two factors of the step schedule.
    lr_decay_epochs: usize = (1, 1),
    /// Validation metric that chooses the epoch and stops training: MRR, or HR, NDCG, Recall or Precision at 10, 20, 50 or
    /// 100. auto: NDCG@10, and NDCG@100 if histories say so little of the next item that ten places hold few hits (as for
    /// `temperature`).
    select: Select = (Select::default(), Select::default()),
    /// Largest norm of a step's gradient, all parameters and table rows together; larger ones are scaled down. 0: as they
    /// are.
    clip: f32 = (0.0, 0.0),
    /// Decoupled weight decay of table rows, at each step that touches the row.
    weight_decay_rows: f32 = (0.0, 0.0),
    /// Steps after which training stops, in the middle of an epoch too; 0: no limit.
    max_steps: usize = (0, 0),
    /// Negatives of list and pointwise: sampler (drawn), data (shown and not clicked, nearest before the example first,
    /// filled up with draws) or both (half of each). data and both need data with a label column.
    negatives_from: NegativesFrom = (NegativesFrom::Sampler, NegativesFrom::Sampler),
    /// What is predicted in training: next (the next item from those before it) or heldout (an item from all others of the
    /// user's, later ones too; windows and position heads count those others). Evaluation always asks for the next.
    label: Label = (Label::Next, Label::Next),
    /// Last searches of a user whose words and pairs of words enter the user tower, as the mean of their embeddings. 0: none;
    /// auto: 50 where searches were read with the data.
    searches: Option<usize> = (None, None),
    /// Width of those embeddings; 0: as `dim`.
    search_dim: usize = (0, 0),
    /// Most distinct words and pairs of words that have one: the most frequent in searches that training examples see. Others
    /// count for nothing.
    search_tokens: usize = (100_000, 100_000),
    /// Which searches count as known: history (at or before the last event of the history) or target (strictly before the
    /// event that is predicted, whose time no server knows, so only with `--request-time exact`, which sets it).
    search_time: SearchTime = (SearchTime::History, SearchTime::History),
}
