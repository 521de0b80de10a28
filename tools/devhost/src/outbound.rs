//! Checks outbound HTTP requests against the manifest, and sends them with the TLS configuration of
//! `[[client_tls]]` or else as wasmtime does.

use crate::allowed_hosts::SELF_HOST;
use crate::app::Component;
use crate::https;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use std::sync::Arc;
use wasmtime_wasi_http::p2::bindings::http::types::{DnsErrorPayload, ErrorCode};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

pub(crate) struct Outbound {
    pub(crate) component: Arc<Component>,
    pub(crate) own: Authority,
}

type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Driver), Error>;

impl Outbound {
    fn admit(&self, mut request: Request<WasiBody>) -> Result<Request<WasiBody>, Error> {
        let allowed = &self.component.allowed_hosts;
        let host = request.uri().host().unwrap_or_default();
        // A request without a host also goes to the application itself.
        let to_itself = host.is_empty() || host == SELF_HOST;
        let permitted = if to_itself {
            allowed.permit_self()
        } else {
            allowed.permit(&request.uri().to_string(), "https")
        };
        if !permitted {
            return Err(Error::HttpRequestDenied);
        }
        if to_itself {
            self.address_to_itself(&mut request)?;
        }
        Ok(request)
    }

    fn address_to_itself(&self, request: &mut Request<WasiBody>) -> Result<(), Error> {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.own.clone());
        let host = HeaderValue::from_str(self.own.as_str());
        let uri = Uri::from_parts(parts);
        let (Ok(host), Ok(uri)) = (host, uri) else {
            return Err(Error::HttpRequestUriInvalid);
        };
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = uri;
        Ok(())
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Driver,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let component = self.component.clone();
        let admitted = self.admit(request);
        Box::new(async move {
            let request = admitted?;
            if request.uri().scheme() == Some(&Scheme::HTTPS)
                && let Some(host) = request.uri().host()
                && let Some(config) = component.tls.get(host)
            {
                let (response, driver) = https::send(request, options, config).await?;
                return Ok((response, Box::new(driver) as Driver));
            }
            // Unset timeouts are 600 s, as in Spin.
            let (response, driver) = default_send_request(request, options).await?;
            let response = response.map(BodyExt::boxed_unsync);
            Ok((response, Box::new(driver) as Driver))
        })
    }

    /// Maps an error to Spin's code: one for name resolution, one for everything else.
    fn p2_error_from_connect(&mut self, error: &std::io::Error) -> ErrorCode {
        let unknown_name =
            error.raw_os_error().is_none() || error.kind() == std::io::ErrorKind::AddrNotAvailable;
        if unknown_name {
            return ErrorCode::DnsError(DnsErrorPayload {
                rcode: Some("address not available".to_owned()),
                info_code: Some(0),
            });
        }
        ErrorCode::ConnectionRefused
    }
}
