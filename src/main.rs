//! `backroom`: parses arguments, runs, exits. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    backroom::cli::main()
}
