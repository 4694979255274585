//! `envoy/envoy.yaml` and `envoy/module.yaml`, with their addresses changed.

use std::net::{Ipv4Addr, SocketAddr};

const TEMPLATE: &str = include_str!("../../envoy/envoy.yaml");
const MODULE: &str = include_str!("../../envoy/module.yaml");
/// What the module reads, in the template.
const FILTER_CONFIG: &str = "value: ./doorward.yaml";
/// What stands before a port in the templates: each port stands there once.
const MARK: &str = "address: 127.0.0.1, port_value: ";

/// Where an Envoy listens and whom it talks to; on 127.0.0.1, but for the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyPorts {
    /// Where clients come in; 10000 in the file.
    pub listener: u16,
    /// Envoy's admin; 9901 in the file.
    pub admin: u16,
    /// Doorward's gRPC; 9191 in the file.
    pub grpc: u16,
    /// Doorward's HTTP front; 8181 in the file.
    pub http: u16,
    /// Name or address of the upstream, and its port; 127.0.0.1 and 8080 in the file.
    pub upstream: (String, u16),
}

impl EnvoyPorts {
    /// The configuration of `envoy/envoy.yaml` with these addresses in the place of its own.
    #[must_use]
    pub fn configuration(&self) -> String {
        self.filled(TEMPLATE)
    }

    /// The same of `envoy/module.yaml`, where the module reads `filter_config`: the path of a file,
    /// or the text of one.
    #[must_use]
    pub fn with_module(&self, filter_config: &str) -> String {
        // JSON is YAML, and quotes what needs it.
        let quoted = serde_json::Value::from(filter_config);
        self.filled(&MODULE.replacen(FILTER_CONFIG, &format!("value: {quoted}"), 1))
    }

    fn filled(&self, template: &str) -> String {
        let loopback = |port| ("127.0.0.1", port);
        let mut parts = template.split(MARK);
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (number, rest) = part.split_at(end);
            let (host, port) = match number {
                "10000" => loopback(self.listener),
                "9901" => loopback(self.admin),
                "9191" => loopback(self.grpc),
                "8181" => loopback(self.http),
                // The tests see to it that this is 8080, and nothing else.
                _ => (self.upstream.0.as_str(), self.upstream.1),
            };
            filled.push_str(&format!("address: {host:?}, port_value: {port}{rest}"));
        }
        filled
    }

    /// Where clients come in.
    #[must_use]
    pub fn listener_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.listener).into()
    }

    /// The address of Envoy's admin interface.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.admin).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// New ports that are old ones of others: nothing may be replaced twice.
    #[test]
    fn each_address_is_replaced_once() {
        let upstream = ("model.local".to_owned(), 1);
        let ports = EnvoyPorts { listener: 9901, admin: 8080, grpc: 10000, http: 9191, upstream };
        let addresses = |text: &str| -> Vec<String> {
            let after = text.split("socket_address: { address: ").skip(1);
            after.map(|rest| rest.split_once(" }").unwrap().0.to_owned()).collect()
        };
        let numbers = [9901, 10000, 9191, 8080, 8181];
        let before = numbers.map(|port| format!("127.0.0.1, port_value: {port}"));
        assert_eq!(addresses(TEMPLATE), before);
        let after = [8080, 9901, 10000].map(|port| format!(r#""127.0.0.1", port_value: {port}"#));
        let filled = addresses(&ports.configuration());
        assert_eq!(filled[..3], after);
        assert_eq!(
            filled[3..],
            [r#""model.local", port_value: 1"#, r#""127.0.0.1", port_value: 9191"#]
        );
        let inside = ports.with_module("/etc/d.yaml");
        let upstream = r#""model.local", port_value: 1"#;
        assert_eq!(addresses(&inside), [&after[0], &after[1], upstream]);
        assert!(inside.contains("value: \"/etc/d.yaml\"\n"), "{inside}");
    }
}
