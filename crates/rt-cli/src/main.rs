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
mod interrupt;
mod output;
mod schema_file;
mod space;
mod tensorboard;

use args::{Cli, Command};
use clap::Parser as _;
use std::process::ExitCode;

/// Mesa's Vulkan layer that chooses a device asks Wayland for its screen, and where there is no session libwayland writes an error to
/// stderr at each command. What switches the layer off is a variable of the environment. It is given to this program run anew in its
/// place: to set it in a program that runs is unsafe.
#[cfg(all(target_os = "linux", feature = "gpu"))]
fn leave_wayland_alone() {
    use std::env::{args_os, current_exe, var_os};
    use std::os::unix::process::CommandExt as _;
    const SWITCH: &str = "NODEVICE_SELECT";
    let session = var_os("XDG_RUNTIME_DIR").is_some_and(|dir| std::path::Path::new(&dir).is_absolute());
    if session || var_os(SWITCH).is_some() {
        return;
    }
    let (Ok(program), Some(name)) = (current_exe(), args_os().next()) else { return };
    // Where it cannot be run anew it goes on as it is.
    let _ = std::process::Command::new(program).arg0(name).args(args_os().skip(1)).env(SWITCH, "1").exec();
}

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", feature = "gpu"))]
    leave_wayland_alone();
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
            let kind = if e.is_interrupt() { "" } else { "error: " };
            eprintln!("{kind}{e}");
            ExitCode::from(e.code)
        }
    }
}
