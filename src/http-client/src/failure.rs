//! Why a request brought no answer, as far as it may be logged.

use wasi::http::types::ErrorCode;

/// Why a request brought no answer. Holds nothing that the server or the host said in words:
/// they name addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host does not let the component connect there.
    NotGranted,
    /// The request cannot be made.
    Unsendable,
    /// There was no answer in time, or it did not end in time.
    TimedOut,
    /// No connection could be had, or it broke.
    Connection(&'static str),
    /// The answer is longer than it may be.
    TooLong,
}

impl From<&ErrorCode> for Failure {
    /// The host's code without what it quotes: a name, an address, a message of the server's.
    fn from(error: &ErrorCode) -> Self {
        match error {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Self::NotGranted,
            ErrorCode::HttpRequestUriInvalid
            | ErrorCode::HttpRequestUriTooLong
            | ErrorCode::HttpRequestMethodInvalid => Self::Unsendable,
            ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::HttpResponseTimeout
            | ErrorCode::DnsTimeout => Self::TimedOut,
            ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
                Self::Connection("the name has no address")
            }
            ErrorCode::ConnectionRefused => Self::Connection("connection refused"),
            ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_) => Self::Connection("no TLS with the server"),
            _ => Self::Connection("the connection broke"),
        }
    }
}
