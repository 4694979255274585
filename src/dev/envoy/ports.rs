//! One of the files in `envoy/`, with its ports changed.

use std::net::SocketAddr;

/// What a port of a file in `envoy/` looks like: each stands there once.
const MARK: &str = "port_value: ";

/// Which ports an Envoy uses. The files in `envoy/` listen on 127.0.0.1 and expect
/// everybody there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyPorts {
    /// Where clients come in; 10000 in the file.
    pub door: u16,
    /// Envoy's admin; 9901 in the file.
    pub admin: u16,
    /// Doorward's gRPC, 9191, or HTTP, 8181, whichever the file asks.
    pub doorward: u16,
    /// The upstream; 8080 in the file.
    pub upstream: u16,
}

/// Why a file is not one of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A port that this program does not know the meaning of.
    #[error("the Envoy configuration has `port_value: {0}`, which nobody here knows")]
    Unknown(String),
    /// Not every part is in it.
    #[error("the Envoy configuration has {0} ports to fill in, not 4")]
    Count(usize),
}

impl EnvoyPorts {
    /// `template` with these ports in the place of its own.
    ///
    /// # Errors
    /// When `template` does not have exactly the four known ports.
    pub fn fill(&self, template: &str) -> Result<String, TemplateError> {
        let mut parts = template.split(MARK);
        let mut filled = parts.next().unwrap_or_default().to_owned();
        let mut count = 0;
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (number, rest) = part.split_at(end);
            filled.push_str(MARK);
            if number.is_empty() {
                // In a comment about ports.
                filled.push_str(rest);
                continue;
            }
            let port = match number {
                "10000" => self.door,
                "9901" => self.admin,
                "9191" | "8181" => self.doorward,
                "8080" => self.upstream,
                other => return Err(TemplateError::Unknown(other.to_owned())),
            };
            filled.push_str(&port.to_string());
            filled.push_str(rest);
            count += 1;
        }
        if count == 4 { Ok(filled) } else { Err(TemplateError::Count(count)) }
    }

    /// Where clients come in.
    #[must_use]
    pub fn door_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.door))
    }

    /// Envoy's admin.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.admin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // New ports that are old ones of others: nothing may be replaced twice.
    const PORTS: EnvoyPorts = EnvoyPorts { door: 9901, admin: 8080, doorward: 10000, upstream: 1 };

    #[test]
    fn each_port_is_replaced_once() {
        let template = "# port_value: N\na { port_value: 10000 }\nb { port_value: 9901 }\nmax_requests: 10000\n\
                        c { port_value: 9191 }\nd { port_value: 8080 }\n";
        let filled = "# port_value: N\na { port_value: 9901 }\nb { port_value: 8080 }\nmax_requests: 10000\n\
                      c { port_value: 10000 }\nd { port_value: 1 }\n";
        assert_eq!(PORTS.fill(template).unwrap(), filled);
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        assert_eq!(PORTS.fill("port_value: 10000"), Err(TemplateError::Count(1)));
        let unknown = PORTS.fill("port_value: 100001").unwrap_err();
        assert_eq!(unknown, TemplateError::Unknown("100001".into()));
    }

    /// The file the demo and the tests start.
    #[test]
    fn the_file_in_the_repository_can_be_filled() {
        let filled = PORTS.fill(include_str!("../../../envoy/envoy.yaml")).unwrap();
        assert!(!filled.contains("port_value: 9191"), "{filled}");
    }
}
