//! Issuers whose tokens nobody can check at the moment: told in the log when that begins and when
//! it ends, and shown at the admin port for as long as it lasts.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use doorward_core::clock::UnixTime;
use doorward_core::keys::KeySource as _;

use crate::discovery::IssuerKeys;

/// Why an issuer has no keys in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// No attempt to obtain them has succeeded.
    NeverObtained,
    /// They are older than `keys.max_stale`.
    TooOld,
    /// The issuer publishes none.
    Withdrawn,
}

impl Shortage {
    /// What an issuer is short of at `now`, if it is.
    pub(super) fn of(keys: &IssuerKeys, now: UnixTime) -> Option<Self> {
        match keys.snapshot().as_deref() {
            None => Some(Self::NeverObtained),
            Some(snapshot) if snapshot.usable_until() <= now => Some(Self::TooOld),
            Some(snapshot) if snapshot.set().keys().is_empty() => Some(Self::Withdrawn),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverObtained => "its keys were never obtained",
            Self::TooOld => "its keys are older than keys.max_stale",
            Self::Withdrawn => "it has withdrawn all its keys",
        })
    }
}

/// Seconds from `now` until the keys in force are too old: 0 when there are none, negative when
/// they are too old already; `None` for keys that never are, those of the configuration.
pub(super) fn expires_in(keys: &IssuerKeys, now: UnixTime) -> Option<i64> {
    let guard = keys.snapshot();
    let Some(snapshot) = guard.as_deref().filter(|snapshot| !snapshot.set().keys().is_empty())
    else {
        return Some(0);
    };
    let until = i64::try_from(snapshot.usable_until().0).ok()?;
    Some(until.saturating_sub_unsigned(now.0))
}

/// Tells of each shortage once, and of its end.
#[derive(Debug, Default)]
pub(super) struct ShortageLog {
    short: HashSet<String>,
}

impl ShortageLog {
    /// Looks at every issuer. One that was not asked yet is not short of anything.
    pub(super) fn look(&mut self, keys: &[Arc<IssuerKeys>], now: UnixTime) {
        for keys in keys {
            let issuer = keys.spec().issuer.as_str();
            // Of withdrawn keys the refresher tells, which knows when that is believed.
            match Shortage::of(keys, now).filter(|shortage| *shortage != Shortage::Withdrawn) {
                Some(why) if keys.was_tried() && !self.short.contains(issuer) => {
                    let last_error = keys.status().last_error.map(tracing::field::display);
                    tracing::error!(
                        issuer,
                        %why,
                        last_error,
                        "the issuer has no usable keys: until it answers, its tokens are denied \
                         with 503 keys_unavailable"
                    );
                    self.short.insert(issuer.to_owned());
                }
                None if self.short.remove(issuer) => {
                    tracing::info!(issuer, "the issuer has usable keys again");
                }
                Some(_) | None => {}
            }
        }
        self.short.retain(|issuer| keys.iter().any(|keys| keys.spec().issuer == *issuer));
    }
}
