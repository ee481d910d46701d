//! Benchmarks of recall-tape. `cargo bench -p rt-benches` times whole steps with criterion; `recall bench kernels` and
//! `recall bench step` print tables beside the machine's ceilings; `peers/run` compares with PyTorch on the same machine.
