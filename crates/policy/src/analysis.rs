//! What a policy is made of, and what regorus would find wrong only while it evaluates.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Module, Ref, Rule, Span};

use crate::ast::{self, Reads};
use crate::builtins;
use crate::fault::LoadFault;
use crate::parts::Parts;

/// Members of a result that OPA's plugin for Envoy knows, and Doorward cannot carry out.
const NOT_CARRIED_OUT: [&str; 3] =
    ["query_parameters_to_remove", "query_parameters_to_set", "response_headers_to_add"];

/// The rules of a policy, and what they read.
pub(crate) struct Analysis {
    /// By path: the rules of one path decide one value.
    pub rules: BTreeMap<Vec<String>, Node>,
    /// The packages.
    pub packages: BTreeSet<Vec<String>>,
    /// What is read of the input.
    pub parts: Parts,
    /// Whether every evaluation of the same input has the same value.
    pub is_steady: bool,
    /// What regorus cannot do.
    pub faults: Vec<LoadFault>,
    /// What is worth a look.
    pub remarks: Vec<LoadFault>,
}

/// The rules of one path.
pub(crate) struct Node {
    /// Their definitions.
    pub rules: Vec<Ref<Rule>>,
    /// Where the first one stands.
    pub span: Span,
    /// Whether it is called, and has no value of its own.
    pub is_function: bool,
    /// Whether it has a value where no other rule gives one.
    pub has_default: bool,
    /// What it reads and calls.
    needs: Vec<Need>,
}

/// What a rule needs: the value, or values, at a path.
struct Need {
    path: Vec<String>,
    is_call: bool,
}

impl Analysis {
    /// Looks at all modules.
    pub(crate) fn of(modules: &[Ref<Module>]) -> Self {
        let mut analysis = Self {
            rules: BTreeMap::new(),
            packages: modules.iter().map(|module| ast::package(module)).collect(),
            parts: Parts::default(),
            is_steady: true,
            faults: Vec::new(),
            remarks: Vec::new(),
        };
        for module in modules {
            analysis.name_rules(module);
        }
        for module in modules {
            analysis.look_at(module);
        }
        analysis.find_recursion();
        analysis
    }

    fn name_rules(&mut self, module: &Module) {
        for rule in &module.policy {
            let node = self.rules.entry(rule_path(module, rule)).or_insert_with(|| Node {
                rules: Vec::new(),
                span: rule.span().clone(),
                is_function: ast::is_function(rule),
                has_default: false,
                needs: Vec::new(),
            });
            node.has_default |= matches!(&**rule, Rule::Default { .. });
            node.rules.push(rule.clone());
        }
    }

    fn look_at(&mut self, module: &Module) {
        let scope = Scope::of(module);
        for rule in &module.policy {
            let reads = Reads::of(rule);
            let path = rule_path(module, rule);
            let mut needs = Vec::new();
            for reference in &reads.references {
                let Some(full) = scope.reference(&reference.path, &reads, self) else { continue };
                if full.first().is_some_and(|root| root == "input") {
                    if let Some(remark) = self.parts.read(full.get(1..).unwrap_or_default()) {
                        self.remarks.push(at(&reference.span, remark));
                    }
                } else {
                    needs.push(Need { path: full, is_call: false });
                }
            }
            for call in &reads.calls {
                match scope.function(&call.path, self) {
                    Ok(path) => needs.push(Need { path, is_call: true }),
                    Err(name) if builtins::is_known(&name) => {
                        self.is_steady &= !builtins::is_unsteady(&name);
                        let format = call.text.as_deref().filter(|_| name == "sprintf");
                        if let Some(verb) = format.and_then(builtins::unknown_verb) {
                            let text =
                                format!("`sprintf` has no `{verb}` here; `%v` shows any value");
                            self.faults.push(at(&call.span, text));
                        }
                    }
                    Err(name) => {
                        let own = self.functions().map(|path| path.join("."));
                        let text = builtins::why_not(&name, own);
                        self.faults.push(at(&call.span, text));
                    }
                }
            }
            let named = reads.members.iter().chain(&path);
            for name in named.filter(|name| NOT_CARRIED_OUT.contains(&name.as_str())) {
                let text = format!("`{name}` of a result says nothing here");
                self.remarks.push(at(rule.span(), text));
            }
            if let Some(node) = self.rules.get_mut(&path) {
                node.needs.append(&mut needs);
            }
        }
    }

    fn functions(&self) -> impl Iterator<Item = &Vec<String>> {
        self.rules.iter().filter(|(_, node)| node.is_function).map(|(path, _)| path)
    }

    /// The paths of the rules that decide the value, or values, at a path: rules at it, rules that it
    /// selects from, and rules below it.
    pub(crate) fn deciding(&self, path: &[String]) -> Vec<&Vec<String>> {
        let above = (1..path.len()).filter_map(|end| {
            let (path, _) = self.rules.get_key_value(path.get(..end)?)?;
            Some(path)
        });
        let from = self.rules.range(path.to_vec()..);
        let below = from.map(|(below, _)| below).take_while(|below| below.starts_with(path));
        above.chain(below).collect()
    }

    /// The paths of the rules that a rule needs.
    pub(crate) fn needed_by<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Vec<String>> {
        node.needs.iter().flat_map(move |need| {
            let deciding = self.deciding(&need.path).into_iter();
            deciding.filter(move |path| need.is_call || !self.is_function(path))
        })
    }

    fn is_function(&self, path: &[String]) -> bool {
        self.rules.get(path).is_some_and(|node| node.is_function)
    }

    /// Rules that need themselves. Of functions regorus does not notice, and the stack runs out.
    fn find_recursion(&mut self) {
        let mut seen: BTreeMap<&[String], State> = BTreeMap::new();
        let mut faults = Vec::new();
        for start in self.rules.keys() {
            // Rules still to be left again, each with what of it is still to be entered.
            let mut way: Vec<(&[String], Vec<&Vec<String>>)> = Vec::new();
            let mut next = Some(start.as_slice());
            loop {
                if let Some(path) = next.take()
                    && !seen.contains_key(path)
                    && let Some(node) = self.rules.get(path)
                {
                    seen.insert(path, State::Entered);
                    way.push((path, self.needed_by(node).collect()));
                }
                let Some((path, needed)) = way.last_mut() else { break };
                let Some(needed) = needed.pop() else {
                    seen.insert(path, State::Left);
                    way.pop();
                    continue;
                };
                if seen.get(needed.as_slice()) == Some(&State::Entered) {
                    let text = format!(
                        "`{}` needs itself, by way of `{}`: rules must not be recursive",
                        needed.join("."),
                        path.join(".")
                    );
                    faults.extend(self.rules.get(needed).map(|node| at(&node.span, text)));
                } else {
                    next = Some(needed);
                }
            }
        }
        self.faults.append(&mut faults);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Entered,
    Left,
}

/// A fault of a place in a module.
pub(crate) fn at(span: &Span, text: String) -> LoadFault {
    let file = span.source.get_path().clone();
    LoadFault { file, line: Some(span.line), column: Some(span.col), text }
}

fn rule_path(module: &Module, rule: &Rule) -> Vec<String> {
    let named = ast::static_path(ast::head(rule)).map(|(path, _)| path).unwrap_or_default();
    ast::package(module).into_iter().chain(named).collect()
}

/// What names mean in a module.
struct Scope {
    package: Vec<String>,
    imports: BTreeMap<String, Vec<String>>,
}

impl Scope {
    fn of(module: &Module) -> Self {
        let imports = module.imports.iter().filter_map(|import| {
            let (path, _) = ast::static_path(&import.refr)?;
            let renamed = import.r#as.as_ref().map(|span| span.text().to_owned());
            Some((renamed.or_else(|| path.last().cloned())?, path))
        });
        Self { package: ast::package(module), imports: imports.collect() }
    }

    /// The path from `input` or `data` on; `None`: a name of the rule's own.
    fn reference(&self, path: &[String], reads: &Reads, all: &Analysis) -> Option<Vec<String>> {
        let (root, rest) = path.split_first()?;
        if root == "input" || root == "data" {
            return Some(path.to_vec());
        }
        if reads.declared.contains(root) {
            return None;
        }
        if let Some(imported) = self.imports.get(root) {
            return Some([imported, rest].concat());
        }
        let local = [&self.package, path].concat();
        let head: Vec<String> = self.package.iter().chain([root]).cloned().collect();
        (!all.deciding(&head).is_empty()).then_some(local)
    }

    /// The path of a function of the policy's own.
    ///
    /// # Errors
    /// There is none: the name of one that is built in, or not there at all.
    fn function(&self, path: &[String], all: &Analysis) -> Result<Vec<String>, String> {
        let (root, rest) = path.split_first().ok_or_else(String::new)?;
        let imported = self.imports.get(root).map(|imported| [imported, rest].concat());
        let local = [&self.package, path].concat();
        let candidates = [imported.clone(), Some(local), Some(path.to_vec())];
        let known = candidates.into_iter().flatten().find(|path| all.is_function(path));
        known.ok_or_else(|| imported.unwrap_or_else(|| path.to_vec()).join("."))
    }
}
