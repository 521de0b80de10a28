use crate::bindings::http::types::ErrorCode;

/// Why a request failed. Leaves out texts of the server and host, which contain addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The component is not granted the address.
    NotGranted,
    /// The request cannot be built.
    Unsendable,
    /// The deadline passed.
    TimedOut,
    /// The connection failed or broke.
    Connection(&'static str),
    /// The response exceeds the size limit.
    TooLong,
}

impl From<&ErrorCode> for Failure {
    /// Drops the names, addresses and messages that the host's code quotes.
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
                Self::Connection("the host name does not resolve")
            }
            ErrorCode::ConnectionRefused => Self::Connection("connection refused"),
            ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_) => {
                Self::Connection("the TLS handshake failed; check the server's certificate")
            }
            _ => Self::Connection("the connection broke"),
        }
    }
}
