//! Doorward through its public doors: one file a feature, one binary for all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub
)]

mod access_tokens;
mod auth_answers;
mod auth_browser;
mod auth_faults;
mod auth_key_ring;
mod auth_login;
mod auth_secret;
mod auth_trouble;
mod certificate_end;
mod cli_pages;
mod config_cli;
mod config_faults;
mod config_verbs;
mod console;
mod console_access;
mod console_listener;
mod console_page;
mod cors;
mod demo;
mod doctor;
mod doctor_envoy;
mod doctor_envoy_command;
mod doctor_envoy_gateway;
mod doctor_faults;
mod doctor_gateway;
mod doctor_mesh;
mod doctor_module;
mod doctor_unseen;
mod encoded_slashes;
mod endpoint_patterns;
mod endpoints;
mod entra;
mod entra_addresses;
mod entra_preset;
mod envoy_gateway;
mod envoy_headers;
mod envoy_paths;
mod envoy_trouble;
mod explain;
mod explain_input;
mod explain_keys;
mod explain_slips;
mod fronts;
mod hostile_calls;
mod hostile_gateway;
mod hostile_silence;
mod hostile_streams;
mod http_heads;
mod identity;
mod init;
mod init_choices;
mod introspection;
mod introspection_idps;
mod key_sets;
mod key_sources;
mod key_waits;
mod keycloak;
mod large_answers;
mod listeners;
mod loopback;
mod modules;
mod names_outside;
mod nemo_gateway;
mod odd_keys;
mod oidc_provider;
mod opaque_bearer;
mod openings;
mod plain_words;
mod platform_tokens;
mod policy_cli;
mod policy_config;
mod policy_fronts;
mod policy_nemo;
mod policy_opa;
mod policy_sources;
mod protected_resources;
mod provider_pages;
mod readiness;
mod reasons;
mod routes;
mod streams;
mod support;
mod tls_trouble;
mod tls_trust;
mod token_cache;
mod unsigned;
mod untrusted_issuer;
mod wire;
mod withdrawn_keys;
