//! The signature algorithms Doorward accepts, and sets of them.

use std::fmt;

/// An asymmetric JWS signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
///
/// `EdDSA` is Ed25519 here, and `Ed25519` (RFC 9864 §2.2) is another name of it: the keys and
/// the signatures are the same, whichever name a token, a key or a configuration uses.
///
/// There is no variant for `HS*`: a key both sides share cannot prove who signed, and
/// with no variant an RSA public key can never be taken for an HMAC secret.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(parse_err_fn = UnknownAlgorithm::new, parse_err_ty = UnknownAlgorithm)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the registered ones")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    #[strum(serialize = "Ed25519", to_string = "EdDSA")]
    EdDSA,
}

impl Algorithm {
    /// Every algorithm, in the order of declaration.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The registered name, as in a JOSE header's `alg`; of two, the older one.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is not one of an [`Algorithm`]. Names are case-sensitive (RFC 7515 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an asymmetric signature algorithm")]
pub struct UnknownAlgorithm;

impl UnknownAlgorithm {
    fn new(_: &str) -> Self {
        Self
    }
}

/// A set of [`Algorithm`]s, as one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// Every algorithm Doorward knows: the default of an issuer.
    pub const ALL: Self = Self((1 << Algorithm::ALL.len()) - 1);

    /// Whether `algorithm` is in the set.
    #[must_use]
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & Self::bit(algorithm) != 0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.iter().copied().filter(move |algorithm| self.contains(*algorithm))
    }

    /// The set as bits, one an algorithm.
    pub(super) fn bits(self) -> u16 {
        self.0
    }

    fn bit(algorithm: Algorithm) -> u16 {
        1 << (algorithm as u8)
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | Self::bit(algorithm)))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nothing_symmetric_parses() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDSA));
        for name in
            ["HS256", "none", "None", "rs256", "RS256 ", "", "ES256K", "Ed448", "ed25519", "dir"]
        {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: AlgorithmSet = [Algorithm::RS256, Algorithm::EdDSA].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Algorithm::RS256, Algorithm::EdDSA]);
        assert!(AlgorithmSet::default().is_empty());
        assert_eq!(AlgorithmSet::ALL.iter().count(), Algorithm::ALL.len());
    }
}
