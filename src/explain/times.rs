//! What the checks of a token's dates expected and found.

use doorward_core::clock::UnixTime;

use super::steps::{Evidence, Facts};
use super::words::{moment, moment_from, span, value};

impl Evidence<'_> {
    pub(super) fn expiry(&self) -> Facts {
        let now = moment(self.asked.now);
        Facts::new(
            format!("exp, a number, later than {now}{}", self.leeway("less")),
            format!("exp {}", self.date("exp")),
        )
    }

    pub(super) fn not_in_the_future(&self, name: &str) -> Facts {
        let now = moment(self.asked.now);
        Facts::new(
            format!("{name}, a number when it is there, not after {now}{}", self.leeway("and")),
            format!("{name} {}", self.date(name)),
        )
    }

    pub(super) fn lifetime(&self) -> Facts {
        let most = self.rules().and_then(|rules| rules.max_lifetime).unwrap_or_default();
        let most = span(most);
        let exp = self.token.date("exp").unwrap_or_default();
        match self.token.date("iat") {
            Some(iat) => Facts::new(
                format!("exp at most {most} (`max_lifetime`) after iat"),
                format!("{} after it", span(exp.since(iat))),
            ),
            None => Facts::new(
                format!("exp at most {most} (`max_lifetime`) from now{}", self.leeway("and")),
                format!("{} from now; iat absent", span(exp.since(self.asked.now))),
            ),
        }
    }

    /// The claim among these that was written in milliseconds, by the look of it, where seconds
    /// are asked for (RFC 7519 §2).
    pub(super) fn in_milliseconds(&self) -> Option<&'static str> {
        let is_odd = |name: &&str| self.token.date(name).and_then(UnixTime::meant_as_milliseconds);
        ["exp", "nbf", "iat"].into_iter().find(|name| is_odd(name).is_some())
    }

    fn leeway(&self, word: &str) -> String {
        let leeway = self.rules().map(|rules| rules.leeway).unwrap_or_default();
        if leeway.is_zero() { String::new() } else { format!(" {word} {} leeway", span(leeway)) }
    }

    /// A date in words: `expired 3m ago` is what one wants to know.
    fn date(&self, name: &str) -> String {
        let Some(found) = self.token.claims.as_ref().and_then(|claims| claims.get(name)) else {
            return "absent".to_owned();
        };
        let Some(seconds) = self.token.date(name) else {
            return format!("{}, which is not a number", value(found));
        };
        let meant = match seconds.meant_as_milliseconds() {
            Some(meant) => format!("; as milliseconds it would be {}", moment(meant)),
            None => String::new(),
        };
        format!("{} ({}{meant})", value(found), moment_from(seconds, self.asked.now))
    }
}
