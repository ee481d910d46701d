//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Recall models, trained on any GPU through wgpu, or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "recall", version, about, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// auto (a hardware GPU, else the CPU), cpu, gpu (hardware first, else a software driver) or gpu:N
    #[arg(long, global = true, default_value = "auto")]
    pub device: String,
    /// Matrix products on a GPU hold their tiles in f16 and sum in f32; results differ in their last bits. Needs shader-f16
    #[arg(long, global = true)]
    pub f16: bool,
    /// Matrix products on the CPU round their operands to bf16 and sum in f32; results differ. Needs AVX-512 BF16
    #[arg(long, global = true)]
    pub bf16: bool,
    /// Seed of initial values, shuffling, dropout and negatives
    #[arg(long, global = true, default_value_t = 42)]
    pub seed: u64,
    /// Threads of the CPU path; 0 = one for each core. Results do not depend on it
    #[arg(long, global = true, default_value_t = 0)]
    pub threads: usize,
    /// Write every printed figure to this file
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No progress and no notes
    #[arg(long, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Trains both models on built-in data, compares them with baselines and the best possible
    Demo(Demo),
    /// Trains a model on a data set and tests it
    Train(Train),
    /// Tests a saved model on a data set
    Eval(Eval),
    /// The best items for a user or a history
    Recommend(Recommend),
    /// Times kernels, or a training step node by node
    Bench(Bench),
    /// Prints the tape of a training step
    Explain(Explain),
    /// Checks every gradient against finite differences
    Gradcheck(Gradcheck),
    /// Adapters, limits, and which device `auto` takes
    Doctor,
    /// The best documents for a query, of a dssm-text model
    Search(Search),
    /// Makes query-document pairs of titles, with typing errors, to train dssm-text on
    TextPairs(TextPairs),
    /// Writes a large made-up log of interactions as Parquet
    Synth(Synth),
    /// Looks for leaks in data and its split; exit code 2 where a test would say nothing
    Audit(Audit),
    /// Searches settings by their validation metric; the test cases are not looked at
    Tune(Tune),
}

#[derive(Debug, Args)]
pub(crate) struct Gradcheck {
    /// Checks so many random tapes instead, those of the seeds from --seed on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub random: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the report and both models go
    #[arg(long, default_value = "recall-demo")]
    pub out: PathBuf,
}

/// Where the data is and how it is divided.
#[derive(Debug, Clone, Args)]
pub(crate) struct Data {
    /// A MovieLens folder; CSV, TSV, JSON Lines or Parquet files of interactions (one, several between commas, or a folder of
    /// them; text may be packed with gzip); synthetic[:users=..,items=..]; for dssm-text a TSV of query, document and perhaps a label
    #[arg(long)]
    pub data: Option<String>,
    /// Training interactions, where three files are given
    #[arg(long, value_name = "FILE", requires_all = ["valid", "test"], conflicts_with = "data")]
    pub train: Option<PathBuf>,
    /// Validation interactions
    #[arg(long, value_name = "FILE", requires = "train")]
    pub valid: Option<PathBuf>,
    /// Test interactions
    #[arg(long, value_name = "FILE", requires = "train")]
    pub test: Option<PathBuf>,
    /// leave-last-out, time:TRAIN,VALID with shares such as time:0.8,0.1, or none: everything trains, for as many epochs as
    /// were best on a share held back first (or --set epochs=N); for dssm-text pairs or documents
    #[arg(long)]
    pub split: Option<String>,
    /// What rankings leave out, targets too. auto: nothing where more than 5 % of the train events repeat an item of their user,
    /// else the history
    #[arg(long, value_enum, default_value_t = MaskArg::Auto)]
    pub mask: MaskArg,
    /// Which events after a time cut are targets
    #[arg(long, value_enum, default_value_t = TargetsArg::First)]
    pub targets: TargetsArg,
    /// strict: no feature from the target's own time; exact lifts the rule, for comparisons with papers that do so
    #[arg(long, value_enum, default_value_t = RequestTime::Strict)]
    pub request_time: RequestTime,
    /// Histories at test, where three files are given
    #[arg(long, value_enum, default_value_t = EvalHistoryArg::Train)]
    pub eval_history: EvalHistoryArg,
    /// input: lines are in order and times are not read
    #[arg(long, value_enum)]
    pub order: Option<Order>,
    /// Column of the user's id in a table, by its name, or by its number from 1
    #[arg(long, value_name = "COLUMN")]
    pub user_col: Option<String>,
    /// Column of the item's id
    #[arg(long, value_name = "COLUMN")]
    pub item_col: Option<String>,
    /// Column of the time
    #[arg(long, value_name = "COLUMN")]
    pub time_col: Option<String>,
    /// What the numbers of the time column count: s, ms, us, ns or yyyymmdd; without it their size says it
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<String>,
    /// The files have no header line: columns go by number
    #[arg(long)]
    pub no_header: bool,
    /// Rows whose user or item is empty, NA, NaN, NULL or None: left out, or the word kept as an id
    #[arg(long, value_enum, value_name = "WHAT")]
    pub missing_ids: Option<MissingArg>,
    /// Column of the item's title
    #[arg(long)]
    pub title_col: Option<String>,
    /// Columns that describe the user: name, name:number or name:bag
    #[arg(long, value_delimiter = ',')]
    pub user_features: Vec<String>,
    /// Columns that describe the item
    #[arg(long, value_delimiter = ',')]
    pub item_features: Vec<String>,
    /// Columns that describe the moment of the request (a device)
    #[arg(long, value_delimiter = ',')]
    pub context: Vec<String>,
    /// Column of the label: 0 = shown and not clicked, which is no positive; kept for negatives_from = data
    #[arg(long, value_name = "COLUMN")]
    pub label_col: Option<String>,
    /// Column of the weight of an example in the loss
    #[arg(long, value_name = "COLUMN")]
    pub weight_col: Option<String>,
    /// Column of the rating, for --min-rating
    #[arg(long, value_name = "COLUMN")]
    pub rating_col: Option<String>,
    /// Column of the dwell time, for --min-dwell
    #[arg(long, value_name = "COLUMN")]
    pub dwell_col: Option<String>,
    /// Rows rated lower are no positives
    #[arg(long, value_name = "RATING", allow_negative_numbers = true)]
    pub min_rating: Option<f64>,
    /// Rows with a shorter dwell time are no positives
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub min_dwell: Option<f64>,
    /// Column of where an interaction came from, for --eval-source
    #[arg(long, value_name = "COLUMN")]
    pub source_col: Option<String>,
    /// Train on all sources, test the targets of this one
    #[arg(long, value_name = "SOURCE")]
    pub eval_source: Option<String>,
    /// Column of the impression: rows of a user with the same one were shown together
    #[arg(long, value_name = "COLUMN")]
    pub impression_col: Option<String>,
    /// What users searched for: CSV, TSV or Parquet with the columns user, time and query. The last 50 searches enter the user
    /// tower (`--set searches=N`)
    #[arg(long, value_name = "FILE")]
    pub searches: Option<PathBuf>,
    /// Column of the user's id in the searches
    #[arg(long, value_name = "COLUMN")]
    pub search_user_col: Option<String>,
    /// Column of the time in the searches
    #[arg(long, value_name = "COLUMN")]
    pub search_time_col: Option<String>,
    /// Column of the query in the searches
    #[arg(long, value_name = "COLUMN")]
    pub search_query_col: Option<String>,
    /// A table of items beside the log: their columns (--item-features, or without it all that say something), titles, and items
    /// without an interaction, which can be recommended
    #[arg(long, value_name = "FILE")]
    pub item_table: Option<PathBuf>,
    /// A table of users beside the log, with their columns
    #[arg(long, value_name = "FILE")]
    pub user_table: Option<PathBuf>,
    /// Which items evaluation ranks: those with an interaction anywhere in the data, or all
    #[arg(long, value_enum, default_value_t = Catalogue::Interactions)]
    pub catalogue: Catalogue,
    /// A TOML file that says what the columns mean; flags go before it
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
}

/// How much is evaluated.
#[derive(Debug, Clone, Args)]
pub(crate) struct Evaluation {
    /// Validate and test at most so many cases, evenly taken; 0 = all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub eval_users: usize,
    /// Which baselines are made beside the model; item-knn counts pairs of items, which takes long on large data
    #[arg(long, value_enum, default_value_t = Baselines::All)]
    pub baselines: Baselines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Baselines {
    All,
    Popular,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Catalogue {
    Interactions,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingArg {
    Drop,
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MaskArg {
    Auto,
    History,
    Train,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetsArg {
    First,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RequestTime {
    Strict,
    Exact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvalHistoryArg {
    Train,
    #[value(name = "train+valid")]
    TrainValid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    Input,
}

#[derive(Debug, Args)]
pub(crate) struct Train {
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub evaluation: Evaluation,
    /// dssm, youtube-dnn or dssm-text
    #[arg(long, required_unless_present_any = ["preset", "from"], conflicts_with = "from")]
    pub model: Option<String>,
    /// A published recipe: youtube-2016, dssm-2013, yi-2019, ebr-2020, rechub-dssm or rechub-youtube; --config and --set go
    /// over it
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub preset: Option<String>,
    /// Go on with this saved model: new users and items join it, its settings stay but for --set
    #[arg(long, value_name = "MODEL")]
    pub from: Option<PathBuf>,
    /// Keys and values in TOML; the same keys as --set
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub config: Option<PathBuf>,
    /// A setting, such as epochs=3; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The model's folder; a model that stands there is replaced
    #[arg(long)]
    pub out: PathBuf,
    /// Train so many times, with seeds --seed, --seed + 1, ...: mean and deviation of the figures, and the model that is
    /// best on validation
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seeds: usize,
    /// Write losses, validation metrics and learning rates to event files for TensorBoard
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub evaluation: Evaluation,
    /// Also evaluate cases whose target the model was trained on
    #[arg(long)]
    pub allow_seen: bool,
    /// The model's folder
    #[arg(long)]
    pub model: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Recommend {
    /// The model's folder
    #[arg(long)]
    pub model: PathBuf,
    /// A user's raw id
    #[arg(
        long,
        conflicts_with = "history",
        required_unless_present_any = ["history", "user_features"],
        allow_hyphen_values = true
    )]
    pub user: Option<String>,
    /// Raw item ids, oldest first, between commas; one with a comma stands between quotes, as in CSV. Their times are not known,
    /// so decay heads take them as simultaneous
    #[arg(long, value_name = "RAW,RAW,...", allow_hyphen_values = true)]
    pub history: Option<String>,
    /// Columns of the user, as in training, of one whom the model does not know or knows otherwise; one with a comma stands
    /// between quotes, as in CSV
    #[arg(long, value_name = "NAME=VALUE,...")]
    pub user_features: Option<String>,
    /// Columns of the moment of the request, as in training
    #[arg(long, value_name = "NAME=VALUE,...")]
    pub context: Option<String>,
    /// A search that the user made, after those that the model keeps of the user; may be given again, oldest first
    #[arg(long, value_name = "QUERY")]
    pub query: Vec<String>,
    /// How many items
    #[arg(short, default_value_t = 10)]
    pub k: usize,
    /// Also recommend items of the history, even if the model's mask leaves them out
    #[arg(long, conflicts_with = "unseen")]
    pub seen: bool,
    /// Leave out items of the history, even if the model's mask keeps them
    #[arg(long)]
    pub unseen: bool,
    /// Also the softmax probability of each item, over all items that may be recommended
    #[arg(long)]
    pub prob: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub what: BenchWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchWhat {
    /// Every kernel at the shapes of training, beside the machine's ceilings
    Kernels(BenchKernels),
    /// One whole training step, node by node, over batches, vocabularies, widths and history lengths
    Step(BenchStep),
    /// Exact top-k over many items
    Retrieve(BenchRetrieve),
}

#[derive(Debug, Args)]
pub(crate) struct BenchKernels {
    /// Only kernels whose id contains this
    #[arg(long, default_value = "")]
    pub filter: String,
    /// Runs of each
    #[arg(long, default_value_t = 15)]
    pub runs: usize,
    /// Also shapes whose runs take seconds (softmax of 16,384 and 65,536)
    #[arg(long)]
    pub large: bool,
    /// Leave out the naive variants, which take most of the time
    #[arg(long)]
    pub no_naive: bool,
    /// Write a roofline plot, as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchRetrieve {
    /// Items; several between commas
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000])]
    pub items: Vec<usize>,
    /// Queries; several between commas
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1000])]
    pub queries: Vec<usize>,
    /// Width of the vectors
    #[arg(long, default_value_t = 64)]
    pub dim: usize,
    /// Items wanted for each query
    #[arg(short, default_value_t = 100)]
    pub k: usize,
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
}

#[derive(Debug, Args)]
pub(crate) struct BenchStep {
    /// dssm or youtube-dnn; several between commas
    #[arg(long, value_delimiter = ',', default_values_t = ["dssm".to_owned()])]
    pub model: Vec<String>,
    /// Rows of the user and of the item table; several between commas
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000])]
    pub vocab: Vec<usize>,
    /// Items that occur, by Zipf's law, anywhere in the item table, so that a step has as many distinct ids for any --vocab; 0 = all of its rows
    #[arg(long, value_name = "ITEMS", default_value_t = 0)]
    pub active: usize,
    /// Examples a step; several between commas
    #[arg(long, value_delimiter = ',', default_values_t = [4096])]
    pub batch: Vec<usize>,
    /// Width of the vectors; several between commas
    #[arg(long, value_delimiter = ',', default_values_t = [64])]
    pub dim: Vec<usize>,
    /// Items of a history; several between commas
    #[arg(long, value_delimiter = ',', default_values_t = [50])]
    pub history: Vec<usize>,
    /// Runs
    #[arg(long, default_value_t = 15)]
    pub runs: usize,
    /// Further settings
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The further user categories of the comparison with PyTorch
    #[arg(long)]
    pub user_columns: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// dssm, youtube-dnn or dssm-text
    #[arg(long)]
    pub model: String,
    /// Data whose schema is used; for dssm-text a TSV file of pairs, or data with titles
    #[arg(long, default_value = "synthetic")]
    pub data: String,
    /// A setting, such as batch=256
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Write the graph in Graphviz's DOT language
    #[arg(long, value_name = "FILE")]
    pub dot: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// The query
    pub query: String,
    /// The folder of a dssm-text model
    #[arg(long)]
    pub model: PathBuf,
    /// How many documents
    #[arg(short, default_value_t = 10)]
    pub k: usize,
}

#[derive(Debug, Args)]
pub(crate) struct TextPairs {
    /// Data with titles: a MovieLens folder, a CSV or TSV of interactions, or synthetic
    #[arg(long)]
    pub data: String,
    /// Column of the item's title in a CSV
    #[arg(long)]
    pub title_col: Option<String>,
    /// The TSV to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Queries of a title
    #[arg(long, default_value_t = 8)]
    pub per_title: usize,
    /// Probability that a letter is dropped
    #[arg(long, default_value_t = 0.05)]
    pub drop: f64,
    /// Probability that a letter changes places with the next one
    #[arg(long, default_value_t = 0.05)]
    pub swap: f64,
    /// Probability that another letter stands for it
    #[arg(long, default_value_t = 0.05)]
    pub replace: f64,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub data: Data,
}

#[derive(Debug, Args)]
pub(crate) struct Synth {
    /// Interactions
    #[arg(long)]
    pub rows: u64,
    /// Users
    #[arg(long, default_value_t = 100_000)]
    pub users: u64,
    /// Items
    #[arg(long, default_value_t = 20_000)]
    pub items: u64,
    /// Rows of a row group
    #[arg(long, default_value_t = 1 << 20)]
    pub row_group: u64,
    /// The file, NAME.parquet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Also a file of searches of these users
    #[arg(long, value_name = "FILE")]
    pub searches: Option<PathBuf>,
    /// Searches in it; 0 = ten for each user
    #[arg(long, default_value_t = 0, requires = "searches")]
    pub search_rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    Random,
    Halving,
}

#[derive(Debug, Args)]
pub(crate) struct Tune {
    #[command(flatten)]
    pub data: Data,
    /// dssm or youtube-dnn
    #[arg(long)]
    pub model: String,
    /// Settings that all trials share, in TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting that all trials share; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What is searched, in TOML: `key = [values]`, or `key = { min = 1e-4, max = 1e-2, scale = "log" }`
    #[arg(long, value_name = "FILE")]
    pub space: PathBuf,
    /// Folder of trials.jsonl, from which a search goes on, and best.toml, for train --config
    #[arg(long)]
    pub out: PathBuf,
    /// Settings that are drawn
    #[arg(long, default_value_t = 20)]
    pub trials: usize,
    /// random: every trial has all epochs; halving: a third of the trials goes on with three times the epochs
    #[arg(long, value_enum, default_value_t = Method::Random)]
    pub method: Method,
}
