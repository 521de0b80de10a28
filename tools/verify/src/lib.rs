//! Verifies the log of a service, or an export of it, offline and with the log's public key alone.
//! `tlog::audit` has the rules; this crate reads what they need and says what they found.

mod folder;
mod follow;
mod http;
mod kept;
mod key;
mod lag;
mod one;
mod options;
mod progress;
mod recording;
mod run;
mod service;
mod source;
mod unverifiable;
mod wire;

pub use folder::Folder;
pub use kept::Kept;
pub use key::LogKey;
pub use one::verify_record;
pub use options::{Options, exit_code};
pub use recording::Recording;
pub use run::{Outcome, verify};
pub use service::Service;
pub use source::{Line, Source};
pub use unverifiable::{Result, Unverifiable};
