//! Every kernel on every device of this machine, against an f64 oracle.

mod activation;
mod add;
mod bag;
mod batch;
mod bce;
mod bits;
mod column_sum;
mod dropout;
mod gather;
mod gemm;
mod group;
mod group_dot;
mod history_mask;
mod l2_normalize;
mod list_softmax;
mod logq;
mod negatives;
mod prelu;
mod search;
mod slabs;
mod softmax_loss;
mod sum;
mod take;
mod top_k;
mod update_dense;
mod update_rows;
