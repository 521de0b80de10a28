//! The program `verify`.

use std::io::stdout;
use std::process::ExitCode;

use clap::Parser;
use tlog::audit::Verdict;
use verify::{Folder, Options, Result, Unverifiable, exit_code, verify_record};

/// Verifies the log of a service, or an export of it, and all records of it.
///
/// Exit status: 0 intact, 1 tampered, 2 not verifiable.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Verify only the record with this id, by its proof
    #[arg(long, value_name = "ID")]
    record: Option<i64>,
    /// http(s)://HOST[:PORT], or a folder made by export
    target: String,
}

fn main() -> ExitCode {
    exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<Verdict> {
    let Arguments {
        options,
        record,
        target,
    } = arguments;
    let key = options.log_key()?;
    let out = &mut stdout().lock();
    let is_service = target.starts_with("http://") || target.starts_with("https://");
    if let Some(id) = record {
        if !is_service {
            return Err(Unverifiable::new(
                "A folder has no proofs of single records.",
                "Leave out --record to verify the whole folder, or pass a service.",
            ));
        }
        return verify_record(&mut options.service(target)?, *id, &key, out);
    }
    let kept = options.kept(&key);
    let outcome = if is_service {
        verify::verify(&mut options.service(target)?, &key, &kept, out)
    } else {
        verify::verify(&mut Folder::new(target), &key, &kept, out)
    };
    Ok(outcome?.report.verdict())
}
