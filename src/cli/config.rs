//! `doorward config`: is the configuration sound, what does it come to, what may be in it.

mod diff;
mod yaml;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use doorward_core::identity::ProtectedHeaders;
use serde_json::{Value, json};

use super::output::{self, write_config_faults};
use super::style::{DIM, GOOD, WARN};
use super::{CONFIGURATION, ConfigArgs, Exit, OUTPUT};
use crate::config::{self, ConfigFaults, Fault, Loaded, Sources};

/// Of the files in `envoy/`.
const DEFAULT_PREFIX: &str = "x-nmp-";

/// Check, show or compare configurations.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward config check doorward.yaml
  doorward config check --module doorward.yaml
  doorward config show --changed -c doorward.yaml
  doorward config diff doorward.yaml new.yaml
  doorward config schema > doorward.schema.json")]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report all errors at once; exit code 2 if there are any
    Check {
        #[command(flatten)]
        config: NamedConfig,
        /// Print the findings as JSON
        #[arg(long, help_heading = OUTPUT)]
        json: bool,
    },
    /// Print every value and where it comes from; secrets are hidden
    Show {
        #[command(flatten)]
        config: NamedConfig,
        /// Print JSON: {"value": …, "source": …} at each key
        #[arg(long, help_heading = OUTPUT)]
        json: bool,
        /// Leave out values that have their built-in default
        #[arg(long, help_heading = OUTPUT)]
        changed: bool,
    },
    /// Show what a new configuration changes, key by key, and what that means for users
    Diff {
        /// The configuration file in use
        old: PathBuf,
        /// The one to replace it
        new: PathBuf,
    },
    /// Print the JSON Schema of the configuration (draft 2020-12)
    Schema,
}

/// A configuration whose files may stand there without `--config`.
#[derive(Debug, Args)]
struct NamedConfig {
    /// The configuration files, as with --config
    #[arg(value_name = "FILE")]
    named: Vec<PathBuf>,
    /// Read FILE as the module inside Envoy reads it (`filter_config`): only settings that the
    /// module has, and nothing of the environment
    #[arg(long, value_name = "FILE", help_heading = CONFIGURATION,
          conflicts_with_all = ["named", "files", "overrides"])]
    module: Option<PathBuf>,
    #[command(flatten)]
    rest: ConfigArgs,
}

impl NamedConfig {
    fn sources(&self) -> Sources {
        if let Some(file) = &self.module {
            return Sources::of_module().files([file.clone()]);
        }
        let mut config = self.rest.clone();
        config.files.extend_from_slice(&self.named);
        config.sources()
    }
}

pub(super) fn run(command: &ConfigCommand) -> Exit {
    let err = &mut output::Stderr;
    output::print(Exit::Done, |out| match &command.verb {
        Verb::Check { config, json } => check(&config.sources(), *json, out, err),
        Verb::Show { config, json, changed } => show(&config.sources(), *json, *changed, out, err),
        Verb::Diff { old, new } => diff::run(old, new, out, err),
        Verb::Schema => json_to(out, &config::json_schema()).map(|()| Exit::Done),
    })
}

fn check(
    sources: &Sources,
    json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let loaded = config::load(sources);
    if json {
        json_to(out, &findings(&loaded))?;
        return Ok(if loaded.is_ok() { Exit::Done } else { Exit::Usage });
    }
    match loaded {
        Ok(loaded) => {
            remarks(&loaded, err)?;
            if !sources.are_of_module() {
                to_see(&loaded, err)?;
            }
            let issuers = loaded.settings.issuers.len();
            let plural = if issuers == 1 { "" } else { "s" };
            writeln!(
                err,
                "{GOOD}ok:{GOOD:#} the configuration is valid ({issuers} issuer{plural})"
            )?;
            Ok(Exit::Done)
        }
        Err(faults) => refuse(&faults, err),
    }
}

fn show(
    sources: &Sources,
    json: bool,
    changed: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let loaded = match config::load(sources) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, err),
    };
    remarks(&loaded, err)?;
    let effective = if changed { loaded.effective.without_defaults() } else { loaded.effective };
    if json {
        json_to(out, &effective.to_json(true))?;
    } else {
        yaml::write(out, &effective)?;
    }
    Ok(Exit::Done)
}

/// Prints what is wrong, one line each.
fn refuse(faults: &ConfigFaults, err: &mut dyn Write) -> io::Result<Exit> {
    write_config_faults(faults, err)?;
    let count = faults.faults().len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(err, "{count} error{plural} in the configuration")?;
    Ok(Exit::Usage)
}

/// Prints what is not wrong but should not go unnoticed.
fn remarks(loaded: &Loaded, err: &mut dyn Write) -> io::Result<()> {
    for ignored in &loaded.ignored {
        write!(err, "{DIM}note:{DIM:#} {}: ", ignored.source)?;
        // A variable is its own source: no need to name it twice.
        if ignored.source.to_string() != ignored.name {
            write!(err, "{} ", ignored.name)?;
        }
        let whose = if ignored.is_nemos {
            "NeMo Platform's own setting, ignored"
        } else {
            "not a setting of Doorward"
        };
        write!(err, "is {whose}")?;
        match &ignored.nearest {
            Some(nearest) => writeln!(err, " (did you mean {nearest}?)")?,
            None => writeln!(err)?,
        }
    }
    for warning in &loaded.warnings {
        writeln!(err, "{WARN}warning:{WARN:#} {warning}")?;
    }
    Ok(())
}

/// Prints what the gateway has to show us, where that is more than our files for Envoy have.
fn to_see(loaded: &Loaded, err: &mut dyn Write) -> io::Result<()> {
    let protected = ProtectedHeaders::new(&loaded.settings.headers);
    if protected.elsewhere().is_empty() && protected.prefix() == DEFAULT_PREFIX {
        return Ok(());
    }
    writeln!(
        err,
        "{DIM}note:{DIM:#} clients can forge these headers unless the gateway sends every \
         spelling of them to Doorward; the patterns for Envoy's allowed_headers:"
    )?;
    for regex in protected.to_see() {
        writeln!(err, "  - safe_regex: {{ regex: \"{regex}\" }}")?;
    }
    writeln!(
        err,
        "over HTTP (http_service), Envoy's allowed_upstream_headers also needs these: what Doorward \
         sets does not arrive otherwise, and what the client sent does:"
    )?;
    writeln!(err, "  - {{ prefix: {}, ignore_case: true }}", protected.prefix())?;
    for name in protected.elsewhere() {
        writeln!(err, "  - {{ exact: {name}, ignore_case: true }}")?;
    }
    Ok(())
}

/// The same for programs.
fn findings(loaded: &Result<Loaded, ConfigFaults>) -> Value {
    let fault = |fault: &Fault| {
        json!({
            "key": fault.key.to_string(),
            "source": fault.source.to_string(),
            "problem": fault.problem.to_string(),
        })
    };
    match loaded {
        Ok(loaded) => {
            let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
            let ignored: Vec<_> = loaded
                .ignored
                .iter()
                .map(|key| json!({"name": key.name, "source": key.source.to_string()}))
                .collect();
            let to_see = ProtectedHeaders::new(&loaded.settings.headers).to_see();
            json!({
                "sound": true, "faults": [], "warnings": warnings, "ignored": ignored,
                "allowed_headers": to_see,
            })
        }
        Err(faults) => {
            let faults: Vec<_> = faults.faults().iter().map(fault).collect();
            json!({"sound": false, "faults": faults})
        }
    }
}

fn json_to(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, json: bool, changed: bool) -> (Exit, String, String) {
        let sources = Sources::none().inline_yaml("test.yaml", text);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = {
            let mut out = anstream::StripStream::new(&mut out);
            let mut err = anstream::StripStream::new(&mut err);
            show(&sources, json, changed, &mut out, &mut err).unwrap()
        };
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    const CONFIG: &str = "auth:\n  oidc:\n    issuer: https://idp.example\n    client_id: 'on'\n    \
        proxy: http://user:s3cret@proxy:3128\n  issuers:\n  - issuer: https://b\n    audience: [a, 'x,y']\n\
        headers:\n  claims:\n    X-Tenant: tid\n";

    #[test]
    fn show_names_the_source_of_each_value_and_hides_secrets() {
        let (exit, out, err) = shown(CONFIG, false, true);
        assert_eq!(exit, Exit::Done);
        assert_eq!(
            out,
            "\
auth:
  oidc:
    issuer: https://idp.example               # test.yaml:3
    client_id: \"on\"                           # test.yaml:4
    proxy: \"http://***@proxy:3128\"            # test.yaml:5
  issuers:
    - issuer: https://b                       # test.yaml:7
      audience: [a, \"x,y\"]                    # test.yaml:8
headers:
  claims:
    X-Tenant: tid                             # test.yaml:11
"
        );
        assert!(err.contains("warning: https://idp.example, https://b share"), "{err}");
    }

    #[test]
    fn what_show_prints_can_be_read_back() {
        let text = CONFIG.replace("user:s3cret@", "");
        let (_, out, _) = shown(&text, false, false);
        let load = |text: &str| config::load(&Sources::none().inline_yaml("x", text)).unwrap();
        assert_eq!(load(&out).effective.to_json(false), load(&text).effective.to_json(false));
        let (_, out, _) = shown(CONFIG, true, false);
        let out: Value = serde_json::from_str(&out).unwrap();
        let proxy = &out["auth"]["oidc"]["ca_file"];
        assert_eq!(*proxy, json!({"value": null, "source": "default"}));
    }

    #[test]
    fn what_stands_in_for_a_value_is_shown() {
        let (_, out, _) = shown(CONFIG, false, false);
        let line = |key: &str| {
            let line = out.lines().find(|line| line.trim_start().starts_with(key)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("audience:"), "audience: \"on\" # default: `client_id`");
        assert_eq!(line("listen:"), "listen: \"127.0.0.1:9191\" # default");
        assert_eq!(line("jwks_uri:"), "jwks_uri: # default: from discovery");
        assert_eq!(line("entra:"), "entra: # not set");
    }

    #[test]
    fn a_preset_is_spelled_out() {
        let (_, out, _) = shown(
            "auth: {preset: {entra: {tenant: 72f988bf-86f1-41af-91ab-2d7cd011db47, client_id: app}}}",
            false,
            false,
        );
        let line = out.lines().find(|line| line.trim_start().starts_with("audience:")).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>().join(" "),
            "audience: [app, api://app] # preset entra"
        );
    }

    #[test]
    fn faults_go_to_standard_error_and_the_exit_code_is_that_of_usage() {
        let sources =
            Sources::none().inline_yaml("test.yaml", "auth: {oidc: {isuer: x}}\nsrver: 1\n");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = {
            let mut err = anstream::StripStream::new(&mut err);
            check(&sources, false, &mut out, &mut err).unwrap()
        };
        assert_eq!((exit, out.len()), (Exit::Usage, 0));
        assert_eq!(
            String::from_utf8(err).unwrap(),
            "error: test.yaml:1: auth.oidc.isuer: unknown key; did you mean \
             auth.oidc.issuer?\nerror: test.yaml:2: srver: unknown key; did you mean server?\n2 \
             errors in the configuration\n"
        );
        let (mut out, mut err) = (Vec::new(), Vec::new());
        check(&sources, true, &mut out, &mut err).unwrap();
        let out: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(out["faults"][1]["key"], "srver");
        assert_eq!(out["faults"][1]["source"], "test.yaml:2");
    }

    #[test]
    fn the_schema_is_draft_2020_12_without_an_address() {
        let schema = config::json_schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema.get("$id").is_none());
        assert_eq!(schema["additionalProperties"], false);
    }
}
