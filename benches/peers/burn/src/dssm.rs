//! The in-batch DSSM of `recall bench step`, and its loss alone, in burn.
//!
//! User tower: id and the mean of 50 items -> 128 -> 64. Item tower: id, from the table that the history uses -> 128 -> 64.
//! Cosine / 0.1, minus logQ, accidental hits masked, Adam. burn has no sparse gradients: its Adam updates whole tables.

use crate::report::{Args, Mode, Random, Report, Zipf};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLoss;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use std::time::Instant;

const DIM: usize = 64;
const HIDDEN: usize = 128;
const HISTORY: usize = 50;
const TEMPERATURE: f32 = 0.1;
/// Batches that take turns, as in `recall bench step`.
const BATCHES: usize = 4;

#[derive(Module, Debug)]
struct Dssm {
    users: Embedding,
    items: Embedding,
    user_hidden: Linear,
    user_out: Linear,
    item_hidden: Linear,
    item_out: Linear,
}

/// `history` [b, 50], `user` and `item` [b, 1], `logq` [1, b].
struct Batch {
    history: Tensor<2, Int>,
    user: Tensor<2, Int>,
    item: Tensor<2, Int>,
    logq: Tensor<2>,
}

impl Dssm {
    fn new(vocab: usize, device: &Device) -> Self {
        let table = || EmbeddingConfig::new(vocab, DIM).init(device);
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        Self {
            users: table(),
            items: table(),
            user_hidden: linear(2 * DIM, HIDDEN),
            user_out: linear(HIDDEN, DIM),
            item_hidden: linear(DIM, HIDDEN),
            item_out: linear(HIDDEN, DIM),
        }
    }

    fn loss(&self, batch: &Batch, device: &Device) -> Tensor<1> {
        let history = self.items.forward(batch.history.clone()).mean_dim(1).squeeze_dim::<2>(1);
        let user = self.users.forward(batch.user.clone()).squeeze_dim::<2>(1);
        let user = Tensor::cat(vec![user, history], 1);
        let user = self.user_out.forward(relu(self.user_hidden.forward(user)));
        let item = self.items.forward(batch.item.clone()).squeeze_dim::<2>(1);
        let item = self.item_out.forward(relu(self.item_hidden.forward(item)));
        softmax_loss(normalize(user), normalize(item), batch.logq.clone(), &batch.item, device)
    }
}

fn normalize(x: Tensor<2>) -> Tensor<2> {
    let norm = (x.clone() * x.clone()).sum_dim(1).add_scalar(1e-12).sqrt();
    x / norm
}

/// In-batch softmax cross-entropy; the positive of row i is column i, other columns of the same item are masked.
fn softmax_loss(user: Tensor<2>, item: Tensor<2>, logq: Tensor<2>, ids: &Tensor<2, Int>, device: &Device) -> Tensor<1> {
    let rows = user.dims()[0];
    let logits = user.matmul(item.transpose()).div_scalar(TEMPERATURE) - logq;
    let column = ids.clone().expand([rows, rows]);
    let row = ids.clone().transpose().expand([rows, rows]);
    // burn's diag_mask is true off the diagonal.
    let hits = column.equal(row).bool_and(Tensor::<2, Bool>::diag_mask([rows, rows], 0, device));
    let targets = Tensor::<1, Int>::arange(0..rows as i64, device);
    CrossEntropyLoss::new(None, device).forward(logits.mask_fill(hits, -1e30), targets)
}

/// Draws of a run, as tensors on the device.
struct Data<'a> {
    random: Random,
    items: Zipf,
    batch: usize,
    device: &'a Device,
}

impl Data<'_> {
    fn items(&mut self, columns: usize) -> Tensor<2, Int> {
        let ids = (0..self.batch * columns).map(|_| self.items.draw(&mut self.random)).collect::<Vec<i32>>();
        Tensor::from_data(TensorData::new(ids, [self.batch, columns]), self.device)
    }

    fn users(&mut self, vocab: usize) -> Tensor<2, Int> {
        let ids = (0..self.batch).map(|_| self.random.below(vocab) as i32).collect::<Vec<i32>>();
        Tensor::from_data(TensorData::new(ids, [self.batch, 1]), self.device)
    }

    fn floats(&mut self, shape: [usize; 2]) -> Tensor<2> {
        let values = (0..shape[0] * shape[1]).map(|_| self.random.signed()).collect::<Vec<f32>>();
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }
}

/// Runs what the command line says and prints one line of JSON.
pub fn run(name: &str, adapter: &str, inner: &Device) {
    let args = Args::parse();
    let mut random = Random::new();
    let items = Zipf::new(args.vocab, &mut random);
    let data = Data { random, items, batch: args.batch, device: inner };
    match args.mode {
        Mode::Step => step(name, adapter, &args, data),
        Mode::Loss => loss(name, adapter, &args, data),
    }
}

fn step(name: &str, adapter: &str, args: &Args, mut data: Data<'_>) {
    let inner = data.device;
    let device = inner.clone().autodiff();
    let mut model = Dssm::new(args.vocab, &device);
    let mut adam = AdamConfig::new().init();
    let batches: Vec<Batch> = (0..BATCHES)
        .map(|_| Batch {
            history: data.items(HISTORY),
            user: data.users(args.vocab),
            item: data.items(1),
            logq: data.floats([1, args.batch]).autodiff(),
        })
        .collect();
    let mut report = Report::new(args);
    while report.wants_more() {
        let batch = &batches[report.run() % BATCHES];
        let start = Instant::now();
        let loss = model.loss(batch, &device);
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(1e-3, model, grads);
        // Reading the loss and a sync: the queue is empty when the clock stops.
        let loss = loss.into_scalar::<f32>();
        inner.sync().expect("the device");
        report.add(start.elapsed(), loss);
    }
    report.print(name, adapter);
}

fn loss(name: &str, adapter: &str, args: &Args, mut data: Data<'_>) {
    let inner = data.device;
    let device = inner.clone().autodiff();
    let [user, item] = [0, 1].map(|_| normalize(data.floats([args.batch, DIM])));
    let logq = data.floats([1, args.batch]).autodiff();
    let ids = data.items(1);
    let mut report = Report::new(args);
    while report.wants_more() {
        let (user, item) = (user.clone().autodiff().require_grad(), item.clone().autodiff().require_grad());
        inner.sync().expect("the device");
        let start = Instant::now();
        let loss = softmax_loss(user.clone(), item.clone(), logq.clone(), &ids, &device);
        let grads = loss.backward();
        let gradients = [user.grad(&grads), item.grad(&grads)].map(|g| g.expect("a gradient"));
        // Fusion is lazy: the sum of what was made is read, so that nothing can be left out.
        let [du, dv] = gradients.map(|g| g.abs().sum());
        let sum = (du + dv).into_scalar::<f32>();
        inner.sync().expect("the device");
        let took = start.elapsed();
        assert!(sum > 0.0, "the gradients are zero");
        report.add(took, loss.into_scalar::<f32>());
    }
    report.print(name, adapter);
}
