//! The rows of the variables that say who is let in, and over which wire. Data only.

use super::{Accepts::*, Preset::*, Variable, row};

pub(super) const SECURITY: &[Variable] = &[
    row(
        "API_KEYS",
        "",
        Unset,
        Keys,
        "Who may use the API, by hashes of their keys; SCOPE is read, write or admin. Unset, with `API_KEYS_FILE`: everybody",
    ),
    row("API_KEYS_FILE", "", Unset, File, "More of them, one a line; read again when it changes"),
    row(
        "ADMIN_TOKEN",
        "",
        Unset,
        Secret,
        "Key of `/admin/*`; without it and without API keys only loopback is let in there. Beside API keys it is one of scope admin",
    ),
    row(
        "TLS_CERT_FILE",
        "",
        Unset,
        File,
        "PEM file of the certificate that clients are shown, and of those that lead to its authority; read again when it changes. Unset: plain HTTP",
    ),
    row("TLS_KEY_FILE", "", Unset, File, "PEM file of that certificate's private key"),
    row(
        "ADVERTISE_CA_FILE",
        "",
        Unset,
        File,
        "PEM file of certificate authorities trusted for other balancers, besides the system's",
    ),
];
