//! How a section of the configuration is declared.

/// Declares sections: for each key its meaning, its type and, where it is not that of the type,
/// its default, written as RFC 3681 has it for the Rust to come.
macro_rules! sections {
    ($(
        $(#[$about:meta])*
        pub struct $section:ident {
            $($(#[$meaning:meta])* pub $key:ident: $type:ty $(= $default:expr)?,)*
        }
    )*) => { $(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        #[schemars(deny_unknown_fields)]
        $(#[$about])*
        pub struct $section {
            $($(#[$meaning])* pub $key: $type,)*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($key: sections!(@default $($default)?),)* }
            }
        }
    )* };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}
