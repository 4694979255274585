//! Spellings of a path that a gateway and an upstream might read differently.

/// Ways to write `echo`, each with what is odd about it. `authority` is for the absolute
/// form, `open` are paths that need no token.
pub(super) fn spellings(echo: &str, authority: &str, open: &[String]) -> Vec<String> {
    let rest = echo.trim_start_matches('/');
    let (first, tail) = match rest.chars().next() {
        Some(first) if first.is_ascii() => (first, rest.get(1..).unwrap_or_default()),
        Some(_) | None => ('/', rest),
    };
    let mut spellings = vec![
        format!("//{rest}"),
        format!("/./{rest}"),
        format!("/doorward-probe/../{rest}"),
        format!("/doorward-probe/%2e%2e/{rest}"),
        format!("/doorward-probe/..%2f{rest}"),
        format!("/doorward-probe/..;/{rest}"),
        format!("/doorward-probe/..%5c{rest}"),
        format!("/doorward-probe\\..\\{rest}"),
        format!("/doorward-probe/..%c0%af{rest}"),
        format!("/doorward-probe/..%ef%bc%8f{rest}"),
        format!("/doorward-probe/..%20/{rest}"),
        format!("/%{:02x}{tail}", u32::from(first)),
        format!("{authority}{echo}"),
        format!("{echo}?path=/health"),
        format!("{echo}#/health"),
        format!("{echo}%00"),
        format!("{echo};/health"),
    ];
    // Below a path that is let through, and out of it again.
    let common = ["/public/".to_owned(), "/health/".to_owned()];
    for prefix in open.iter().chain(&common).take(6) {
        let prefix = prefix.trim_end_matches('*').trim_end_matches('/');
        spellings.push(format!("{prefix}/../{rest}"));
        spellings.push(format!("{prefix}/..;/{rest}"));
        spellings.push(format!("{prefix}/%2e%2e/{rest}"));
        spellings.push(format!("{prefix}/..%2f{rest}"));
    }
    spellings.dedup();
    spellings
}
