//! The step on burn's CPU backend `flex`.

mod dssm;
mod report;

fn main() {
    dssm::run("burn-flex", "CPU", &burn::tensor::Device::flex());
}
