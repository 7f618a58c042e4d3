//! The program: hands its arguments to `cli` and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    chroma_ha::cli::run(std::env::args_os())
}
