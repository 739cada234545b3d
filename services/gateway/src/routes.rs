//! The route table: which service answers an address, and under which limits.

use std::sync::LazyLock;

/// What counts a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Nothing: pages, assets, the issuer's own pages.
    No,
    /// The person, or the address of nobody.
    Api,
    /// Signing in: address and account together, and failures of the address.
    Login,
    /// Failures of the address only: a whole campus renews its tokens behind one.
    Failures,
}

/// What is done about identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identify {
    /// A token must be valid where there is one; a session's cookie becomes its token.
    Yes,
    /// It is passed on unread: an old token must not keep anybody from signing in, and clients authenticate
    /// themselves by other schemes here.
    No,
}

/// How large a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodySize {
    Json,
    Upload,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Segments; `*` is any one of them. What lies beneath belongs to the route as well. Also its label in metrics.
    pub(crate) path: &'static str,
    /// The role that answers.
    pub(crate) role: &'static str,
    pub(crate) counted: Counted,
    pub(crate) identify: Identify,
    pub(crate) body: BodySize,
    /// Whether a request without a body may be sent again to another replica when it may not have arrived.
    pub(crate) retry: bool,
    /// Whether answers may be compressed. Not where they hold secrets beside what a stranger chose (BREACH), nor
    /// where they are files.
    pub(crate) compress: bool,
    /// Whether the service sets and reads cookies of its own.
    pub(crate) cookies: bool,
    pub(crate) websocket: bool,
}

const API: Route = Route {
    path: "/",
    role: "",
    counted: Counted::Api,
    identify: Identify::Yes,
    body: BodySize::Json,
    retry: true,
    compress: true,
    cookies: false,
    websocket: false,
};

/// The issuer: its pages, endpoints and cookies.
const ISSUER: Route = Route {
    role: "auth",
    counted: Counted::No,
    identify: Identify::No,
    compress: false,
    cookies: true,
    retry: false,
    ..API
};

const AUTH: Route = Route {
    cookies: false,
    counted: Counted::Api,
    ..ISSUER
};

/// The gateway's own addresses.
const OWN: Route = Route {
    role: OWN_ROLE,
    retry: false,
    ..API
};
const PAGE: Route = Route {
    counted: Counted::No,
    ..OWN
};

/// The role of addresses that the gateway answers itself.
pub(crate) const OWN_ROLE: &str = "gateway";

/// Where metrics are read, by people who may and by scrapers.
pub(crate) const METRICS: &str = "/api/metrics";

/// The table. The longest path that fits decides; at equal length the one with fewer `*`.
pub(crate) const TABLE: &[Route] = &[
    // --- pages and documents of the gateway
    Route {
        path: "/assets",
        ..PAGE
    },
    Route {
        path: "/favicon.ico",
        ..PAGE
    },
    Route {
        path: "/robots.txt",
        ..PAGE
    },
    Route {
        path: "/api/docs",
        ..PAGE
    },
    Route {
        path: "/api/openapi.json",
        ..PAGE
    },
    Route {
        path: METRICS,
        ..OWN
    },
    // --- sessions of browsers
    Route {
        path: "/api/auth/config",
        ..OWN
    },
    Route {
        path: "/api/auth/session",
        compress: false,
        ..OWN
    },
    Route {
        path: "/api/auth/session/login",
        counted: Counted::No,
        identify: Identify::No,
        ..OWN
    },
    Route {
        path: "/api/auth/session/callback",
        counted: Counted::Failures,
        identify: Identify::No,
        ..OWN
    },
    // --- signing in
    Route {
        path: "/api/auth",
        ..AUTH
    },
    Route {
        path: "/api/auth/login",
        counted: Counted::Login,
        ..AUTH
    },
    Route {
        path: "/api/auth/refresh",
        counted: Counted::Failures,
        ..AUTH
    },
    Route {
        path: "/api/auth/logout",
        counted: Counted::Failures,
        ..AUTH
    },
    Route {
        path: "/api/auth/me",
        identify: Identify::Yes,
        ..AUTH
    },
    // --- the issuer
    Route {
        path: "/.well-known",
        ..ISSUER
    },
    Route {
        path: "/auth",
        ..ISSUER
    },
    Route {
        path: "/auth/sign-in",
        counted: Counted::Failures,
        ..ISSUER
    },
    Route {
        path: "/auth/token",
        counted: Counted::Failures,
        ..ISSUER
    },
    Route {
        path: "/dev/mail",
        ..ISSUER
    },
    // --- the API
    Route {
        path: "/api/users",
        role: "users",
        ..API
    },
    Route {
        path: "/api/admin",
        role: "users",
        ..API
    },
    Route {
        path: "/api/courses",
        role: "courses",
        ..API
    },
    Route {
        path: "/api/courses/*/files",
        role: "files",
        body: BodySize::Upload,
        ..API
    },
    Route {
        path: "/api/files",
        role: "files",
        compress: false,
        ..API
    },
    // Signed: whoever holds one needs no identity, and a whole campus follows them behind one address.
    Route {
        path: "/api/files/links",
        role: "files",
        counted: Counted::No,
        identify: Identify::No,
        compress: false,
        ..API
    },
    Route {
        path: "/api/files/*/versions",
        role: "files",
        body: BodySize::Upload,
        ..API
    },
    Route {
        path: "/api/search",
        role: "search",
        ..API
    },
    Route {
        path: "/api/chatbot",
        role: "chatbot",
        retry: false,
        ..API
    },
];

/// A path of the table, taken apart.
type Segments = Vec<&'static [u8]>;

/// The table by specificity.
static BY_SPECIFICITY: LazyLock<Vec<(Segments, &Route)>> = LazyLock::new(|| {
    let apart = |route: &'static Route| (segments(route.path).collect::<Vec<_>>(), route);
    let mut table: Vec<_> = TABLE.iter().map(apart).collect();
    let wildcards = |path: &[&[u8]]| path.iter().filter(|segment| **segment == b"*").count();
    table.sort_by_key(|(path, _)| (std::cmp::Reverse(path.len()), wildcards(path)));
    table
});

const ROOT: &Route = &Route { path: "/", ..PAGE };

/// How many segments the longest path of the table has, at most.
const DEPTH: usize = 6;

/// The line of the table for `path`.
pub(crate) fn find(path: &str) -> Option<&'static Route> {
    if path == "/" {
        return Some(ROOT);
    }
    let mut asked: [&[u8]; DEPTH] = [b""; DEPTH];
    let mut depth = 0;
    for (place, segment) in asked.iter_mut().zip(segments(path)) {
        *place = segment;
        depth += 1;
    }
    let fits = |wanted: &[&[u8]]| {
        wanted.len() <= depth
            && wanted
                .iter()
                .zip(&asked)
                .all(|(wanted, asked)| wanted == asked || (*wanted == b"*" && !asked.is_empty()))
    };
    BY_SPECIFICITY
        .iter()
        .find(|(wanted, _)| fits(wanted))
        .map(|(_, route)| *route)
}

/// What stands between the slashes; a path begins with one. In bytes: every request is looked up, and segments are too
/// short for a search by character to pay.
fn segments(path: &str) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.as_bytes().split(|byte| *byte == b'/')
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_longest_path_that_fits_decides() {
        let role = |path| find(path).map(|route| (route.role, route.path));
        assert_eq!(role("/"), Some(("gateway", "/")));
        assert_eq!(role("/api/courses"), Some(("courses", "/api/courses")));
        assert_eq!(
            role("/api/courses/7/sections"),
            Some(("courses", "/api/courses"))
        );
        assert_eq!(
            role("/api/courses/7/files"),
            Some(("files", "/api/courses/*/files"))
        );
        assert_eq!(
            role("/api/courses//files"),
            Some(("courses", "/api/courses"))
        );
        assert_eq!(
            role("/api/auth/session"),
            Some(("gateway", "/api/auth/session"))
        );
        assert_eq!(
            role("/api/auth/session/login"),
            Some(("gateway", "/api/auth/session/login"))
        );
        assert_eq!(role("/api/auth/sessions"), Some(("auth", "/api/auth")));
        assert_eq!(
            role("/.well-known/openid-configuration"),
            Some(("auth", "/.well-known"))
        );
        assert_eq!(role("/api/coursesx"), None);
        assert_eq!(role("/api"), None);
        assert_eq!(role("/metrics"), None);
        assert_eq!(role("//api/courses"), None);
    }

    #[test]
    fn every_line_has_a_role_and_a_path_of_its_own() {
        let paths: HashSet<_> = TABLE.iter().map(|route| route.path).collect();
        assert_eq!(paths.len(), TABLE.len());
        for route in TABLE {
            assert!(!route.role.is_empty(), "{}", route.path);
            assert!(segments(route.path).count() <= DEPTH, "{}", route.path);
            assert!(
                route.path.starts_with('/') && !route.path.ends_with('/'),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn services_that_stream_to_browsers_by_cookie_are_never_sent_cookies() {
        for route in TABLE.iter().filter(|route| route.cookies) {
            assert_eq!(route.role, "auth", "{}", route.path);
        }
    }
}
