//! Configuration: raw text from its layers → checked [`Settings`], all faults at once.

pub mod raw;
mod settings;

pub use self::settings::{
    CacheSettings, DecisionLog, IssuerSettings, ListenAddress, ListenerSettings, LogFormat,
    LogSettings, PlatformSettings, ProtectedResource, ServerSettings, Settings, TlsSettings,
};
