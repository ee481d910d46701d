//! The `recall` program: trains, evaluates and recommends with DSSM and YoutubeDNN.

/// `println!` that does not mind a reader who left: `recall doctor | head -1` is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// `print!` that does not mind a reader who left.
macro_rules! say_on {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), $($text)*);
    }};
}

mod args;
mod commands;
mod fail;
mod output;
mod schema_file;
mod space;
mod tensorboard;

use args::{Cli, Command};
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Demo(args) => commands::demo::run(&cli.global, args),
        Command::Train(args) => commands::train::run(&cli.global, args),
        Command::Eval(args) => commands::eval::run(&cli.global, args),
        Command::Recommend(args) => commands::recommend::run(&cli.global, args),
        Command::Bench(args) => commands::bench::run(&cli.global, args),
        Command::Explain(args) => commands::explain::run(&cli.global, args),
        Command::Gradcheck(args) => commands::gradcheck::run(&cli.global, args),
        Command::Doctor => commands::doctor::run(&cli.global),
        Command::Search(args) => commands::text::run_search(&cli.global, args),
        Command::TextPairs(args) => commands::text::run_pairs(&cli.global, args),
        Command::Audit(args) => commands::audit::run(&cli.global, args),
        Command::Synth(args) => commands::synth::run(&cli.global, args),
        Command::Tune(args) => commands::tune::run(&cli.global, args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.code)
        }
    }
}
