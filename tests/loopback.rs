//! What can only be this machine is so to every check: the issuer's URL, our listeners, Envoy's
//! admin port.

use doorward::config::Settings;

use crate::support::doctor_envoy::faults;
use crate::support::tools;

#[test]
fn each_check_takes_the_same_for_this_machine() {
    let envoy = tools::file("envoy/envoy.yaml");
    for (host, here) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("LOCALHOST", true),
        ("foo.localhost", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("0.0.0.0", false),
        ("10.0.0.1", false),
        ("foo.localhost.example", false),
    ] {
        let in_url = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let issuer =
            format!("auth: {{oidc: {{issuer: \"http://{in_url}:8080\", client_id: nmp}}}}");
        assert_eq!(Settings::from_yaml("test", &issuer).is_ok(), here, "issuer at {host}");

        let at = "socket_address: { address: 127.0.0.1, port_value: 9901 }";
        assert!(envoy.contains(at));
        let found = faults(&envoy.replace(at, &at.replace("127.0.0.1", &format!("\"{host}\""))));
        assert_eq!(found.is_empty(), here, "admin at {host}: {found:?}");
        assert!(found.iter().all(|(check, _, _)| *check == "admin"), "{found:?}");

        let listen = format!("\"{in_url}:9191\"");
        let unsigned = format!(
            "auth: {{allow_unsigned_jwt: true, oidc: {{enabled: false}}}}
server: {{grpc: {{listen: {listen}}}}}"
        );
        assert_eq!(Settings::from_yaml("test", &unsigned).is_ok(), here, "listener at {host}");
    }
}
