//! The modules and the data that a policy is made of.

use serde_json::{Map, Value};

use crate::fault::LoadFault;

/// The modules and the data of a policy.
#[derive(Clone, Debug)]
pub struct Sources {
    pub(crate) modules: Vec<Module>,
    pub(crate) data: Value,
    pub(crate) revision: Option<String>,
}

/// One module: a `.rego` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its file, as faults name it.
    pub name: String,
    /// Rego.
    pub text: String,
}

impl Default for Sources {
    fn default() -> Self {
        Self { modules: Vec::new(), data: Value::Object(Map::new()), revision: None }
    }
}

impl Sources {
    /// The data, as one document.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// Of a bundle, the revision that its manifest names.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    pub(crate) fn add_module(&mut self, name: String, text: &[u8]) -> Result<(), LoadFault> {
        match str::from_utf8(text) {
            Ok(text) => self.modules.push(Module { name, text: text.to_owned() }),
            Err(_) => return Err(LoadFault::of_file(name, "it is not UTF-8")),
        }
        Ok(())
    }

    /// Adds data below a path. Nothing may be there in two places, as in OPA.
    pub(crate) fn add_data(
        &mut self,
        file: &str,
        at: &[String],
        data: Value,
    ) -> Result<(), LoadFault> {
        let document = at
            .iter()
            .rev()
            .fold(data, |data, name| Value::Object(Map::from_iter([(name.clone(), data)])));
        if !document.is_object() {
            return Err(LoadFault::of_file(file, "the data is no object"));
        }
        merge(&mut self.data, document).map_err(|path| {
            let text = format!("there is data at `{}` in another file, too", path.join("."));
            LoadFault::of_file(file, text)
        })
    }
}

/// Puts one document into another.
///
/// # Errors
/// The path of what is in both, last name first made right.
fn merge(into: &mut Value, from: Value) -> Result<(), Vec<String>> {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return Err(Vec::new()) };
    for (name, value) in from {
        match into.get_mut(&name) {
            None => {
                into.insert(name, value);
            }
            Some(there) => merge(there, value).map_err(|mut path| {
                path.insert(0, name);
                path
            })?,
        }
    }
    Ok(())
}

/// A data file: JSON, or YAML by its name.
pub(crate) fn parse_data(name: &str, bytes: &[u8]) -> Result<Value, LoadFault> {
    if [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending)) {
        let text =
            str::from_utf8(bytes).map_err(|_| LoadFault::of_file(name, "it is not UTF-8"))?;
        return serde_saphyr::from_str(text)
            .map_err(|error| LoadFault::of_file(name, error.to_string()));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let place = |at: usize| u32::try_from(at).ok();
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default().to_owned();
        LoadFault {
            file: name.to_owned(),
            line: place(error.line()),
            column: place(error.column()),
            text,
        }
    })
}
