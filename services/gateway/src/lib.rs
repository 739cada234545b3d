//! The one public listener: routes, identity at the edge, limits, sessions, the OpenAPI document.
