//! The tape of recall-tape: a step is recorded once, and replayed.
//!
//! [`Tape`] is a flat list of nodes in topological order. [`Tape::backward`] *appends* the adjoint nodes to the same list,
//! [`Tape::optimize`] the updates; [`Tape::compile`] plans buffers and prepares the device, and the resulting [`Program`]
//! is replayed with a [`Step`] that carries what changes. What was recorded can be printed ([`Tape::listing`]), drawn
//! ([`Tape::dot`]) and checked ([`check_gradients`]).
//!
//! The gradient of an embedding table is rows: ids of all its uses are grouped once a step, and only those rows are
//! updated. Values are f32, ids u32, shapes at most two-dimensional and fixed when recorded.
//!
//! # A model of one's own: matrix factorisation
//!
//! ```
//! use rt_tensor::{Device, Init, Optimizer, Step, Store, Tape};
//!
//! # fn main() -> rt_tensor::Result<()> {
//! // (user, item, liked): users 1 and 2 like items 1 and 2, users 3 and 4 like items 3 and 4. Id 0 is "unknown".
//! let (mut users, mut items, mut liked) = (vec![], vec![], vec![]);
//! for user in 1..=4u32 {
//!     for item in 1..=4u32 {
//!         users.push(user);
//!         items.push(item);
//!         liked.push(if (user <= 2) == (item <= 2) { 1.0 } else { 0.0 });
//!     }
//! }
//! let mut tape = Tape::new();
//! let user_table = tape.table("users", 5, 8, Init::Normal(0.3))?;
//! let item_table = tape.table("items", 5, 8, Init::Normal(0.3))?;
//! let (user, item) = (tape.input_ids("user", 16, 1), tape.input_ids("item", 16, 1));
//! let (u, v) = (tape.gather(user_table, user)?, tape.gather(item_table, item)?);
//! let logits = tape.group_dot(u, v, 1.0)?;
//! let (labels, weight) = (tape.input("liked", 16, 1), tape.constant(&[1.0 / 16.0; 16], 16, 1)?);
//! let rows = tape.bce_with_logits(logits, weight, Some(labels))?;
//! let loss = tape.sum(rows)?;
//! tape.output("loss", loss);
//! tape.backward(loss)?;
//! let optimizer = Optimizer::adam();
//! tape.optimize(&optimizer)?;
//!
//! let store = Store::new(&Device::cpu(1)?, tape.params(), 42)?;
//! let mut program = tape.compile(&store)?;
//! program.write_u32("user", &users)?;
//! program.write_u32("item", &items)?;
//! program.write_f32("liked", &liked)?;
//! let mut losses = Vec::new();
//! for step in 1..=100 {
//!     program.run(&optimizer.rates(Step::new(step, 42, 0, 16), 0.05, 0.05))?;
//!     losses.push(program.read_f32("loss")?[0]);
//! }
//! assert!(losses[99] < 0.1 * losses[0], "{} -> {}", losses[0], losses[99]);
//! # Ok(())
//! # }
//! ```

mod average;
mod clip;
mod error;
mod faults;
mod finite;
mod fuse;
mod gradcheck;
mod grads;
mod ids;
mod listing;
mod lists;
mod ops;
mod optimizer;
mod packed;
mod params;
mod plan;
mod program;
mod random;
mod reference;
mod slabs;
mod store;
mod tape;

pub use clip::GRADIENT_NORM;
pub use error::{Error, Result};
#[doc(hidden)]
pub use faults::{Fault, FaultPlace};
pub use gradcheck::{GradCheck, Held, OpCheck, ParamCheck, TOLERANCE, check_gradients, check_ops};
pub use listing::NodeInfo;
pub use ops::{BagOptions, BatchSpec, BatchVars, Negatives, PositiveVar, ShownSpec, SoftmaxSpec, UnseenSpec};
pub use optimizer::Optimizer;
pub use params::{Init, Param, ParamKind, Params};
pub use program::{Program, Watch};
pub use random::{RandomCheck, RandomTape};
pub use rt_kernels::kernels::{Activation, DenseRule, RowRule};
pub use rt_kernels::{Cost, Device, DeviceChoice, SharedWords, Step};
pub use store::Store;
pub use tape::{Phase, Tape, Var};
