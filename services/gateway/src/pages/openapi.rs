//! One OpenAPI 3.1 document out of those of all services.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use ring::digest::{SHA256, digest};
use riwaq_kit::{ETag, IfNoneMatch};
use url::Url;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, OpenIdConnect, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::Server;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi};

use crate::session;

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        session::http::config, session::http::read, session::http::end, session::sign_in::login,
        session::sign_in::callback, super::metrics::whole, super::metrics::of_role,
    ),
    components(schemas(riwaq_kit::Problem)),
    tags(
        (name = "session", description = "Sessions of browsers; programs use tokens"),
        (name = "operation", description = "For operators"),
    )
)]
struct Own;

/// The gateway's own part.
pub(crate) fn own() -> OpenApi {
    Own::openapi()
}

/// The document of the whole installation.
pub(crate) fn merged(documents: Vec<OpenApi>, public_url: &Url, issuer: &str) -> OpenApi {
    let mut whole = own();
    for document in documents {
        whole.merge(document);
    }
    whole.info = InfoBuilder::new()
        .title("Riwaq")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The digital workspace of a university. Errors are problems (RFC 9457): rely on `code`. Lists are paged by \
             `limit` and `cursor`. `POST` takes an `Idempotency-Key`; changes of single objects take `If-Match`.",
        ))
        .build();
    whole.servers = Some(vec![Server::new(public_url.as_str().trim_end_matches('/'))]);
    let discovery = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let cookie = if public_url.scheme() == "https" {
        "__Host-riwaq_session"
    } else {
        "riwaq_session"
    };
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".to_owned());
    let components = ComponentsBuilder::from(whole.components.take().unwrap_or_default())
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                cookie,
                "Browsers only. Changes need the session's `csrf_token` as `X-CSRF-Token`.",
            ))),
        )
        .security_scheme(
            "openid",
            SecurityScheme::OpenIdConnect(OpenIdConnect::new(discovery)),
        )
        .build();
    whole.components = Some(components);
    for item in whole.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
            &mut item.head,
        ];
        operations.into_iter().flatten().for_each(offer_session);
    }
    whole
}

/// Whatever takes a token takes a session's cookie as well: the gateway makes a token of it.
fn offer_session(operation: &mut Operation) {
    let by = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    if let Some(security) = operation
        .security
        .as_mut()
        .filter(|security| security.contains(&by("bearer")))
    {
        security.push(by("session"));
    }
}

/// The document as it is sent: written once.
#[derive(Clone)]
pub(crate) struct Document {
    json: Bytes,
    etag: ETag,
}

impl Document {
    pub(crate) fn new(document: &OpenApi) -> Result<Self, serde_json::Error> {
        let json = Bytes::from(serde_json::to_vec(document)?);
        let etag = ETag::opaque(&hex(&digest(&SHA256, &json).as_ref()[..12]));
        Ok(Self { json, etag })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn serve(State(document): State<Document>, cached: IfNoneMatch) -> Response {
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if cached.matches(&document.etag) {
        return (StatusCode::NOT_MODIFIED, document.etag, [cache]).into_response();
    }
    let kind = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    (document.etag, [cache, kind], document.json).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(utoipa::OpenApi)]
    #[openapi(paths(things), tags((name = "things")))]
    struct Other;

    #[utoipa::path(
        get, path = "/api/things", tag = "things", responses((status = 200), riwaq_kit::Problem), security(("bearer" = []))
    )]
    #[allow(dead_code, reason = "only its document is of interest")]
    async fn things() {}

    #[test]
    fn the_documents_become_one() {
        let url = Url::parse("https://riwaq.example.edu").unwrap();
        let document = merged(vec![Other::openapi()], &url, "https://riwaq.example.edu");
        let json = serde_json::to_value(&document).unwrap();
        assert!(json["openapi"].as_str().unwrap().starts_with("3.1"));
        assert_eq!(json["servers"][0]["url"], "https://riwaq.example.edu");
        for path in [
            "/api/things",
            "/api/auth/session",
            "/api/auth/session/login",
            "/api/metrics/",
        ] {
            assert!(json["paths"][path].is_object(), "{path}");
        }
        assert_eq!(
            json["paths"]["/api/things"]["get"]["responses"]["default"]["content"]["application/problem+json"]
                ["schema"]["$ref"],
            "#/components/schemas/Problem"
        );
        let security = |path: &str| json["paths"][path]["get"]["security"].clone();
        assert_eq!(
            security("/api/things"),
            serde_json::json!([{ "bearer": [] }, { "session": [] }])
        );
        assert_eq!(security("/api/auth/config"), serde_json::json!([{}]));
        for schema in ["Problem", "FieldError", "Code"] {
            assert!(
                json["components"]["schemas"][schema].is_object(),
                "{schema}"
            );
        }
        assert_eq!(
            json["components"]["securitySchemes"]["bearer"]["scheme"],
            "bearer"
        );
        assert_eq!(
            json["components"]["securitySchemes"]["session"]["name"],
            "__Host-riwaq_session"
        );
    }
}
