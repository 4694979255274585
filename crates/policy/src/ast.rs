//! What a rule reads and calls, found by a walk over its syntax tree.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the many kinds of expressions most matter to few of these functions; the walk over \
              them, `Reads::expr`, names every one"
)]

use std::collections::BTreeSet;

use regorus::unstable::{
    AssignOp, Expr, Literal, Module, Query, Ref, Rule, RuleAssign, RuleHead, Span,
};

/// What one rule reads, calls and declares.
#[derive(Default)]
pub(crate) struct Reads {
    /// Variables and what is selected of them.
    pub references: Vec<Reference>,
    /// Calls of functions.
    pub calls: Vec<Call>,
    /// Names that are the rule's own.
    pub declared: BTreeSet<String>,
    /// Names of members of objects that it makes.
    pub members: BTreeSet<String>,
}

/// `input.attributes.request`: a variable, and what is selected of it.
pub(crate) struct Reference {
    /// The variable, and the names that follow it up to the first that is not written out.
    pub path: Vec<String>,
    /// Where it stands.
    pub span: Span,
}

/// `startswith(path, "/")`.
pub(crate) struct Call {
    /// The function, as it is written: names.
    pub path: Vec<String>,
    /// Its first argument, where that is a text that is written out.
    pub text: Option<String>,
    /// Where it stands.
    pub span: Span,
}

/// The path that a reference or the head of a rule has; `None`: it starts with no variable.
pub(crate) fn static_path(expr: &Expr) -> Option<(Vec<String>, bool)> {
    match expr {
        Expr::Var { span, .. } => Some((vec![span.text().to_owned()], false)),
        Expr::RefDot { refr, field, .. } => {
            let (mut path, is_open) = static_path(refr)?;
            if !is_open {
                path.push(field.0.text().to_owned());
            }
            Some((path, is_open))
        }
        Expr::RefBrack { refr, index, .. } => {
            let (mut path, is_open) = static_path(refr)?;
            match written_out(index) {
                Some(name) if !is_open => {
                    path.push(name.to_owned());
                    Some((path, false))
                }
                Some(_) | None => Some((path, true)),
            }
        }
        _ => None,
    }
}

fn written_out(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(AsRef::as_ref)
        }
        _ => None,
    }
}

/// The head's reference of a rule: its name.
pub(crate) fn head(rule: &Rule) -> &Ref<Expr> {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. }
            | RuleHead::Set { refr, .. }
            | RuleHead::Func { refr, .. } => refr,
        },
        Rule::Default { refr, .. } => refr,
    }
}

/// Whether a rule is a function.
pub(crate) fn is_function(rule: &Rule) -> bool {
    match rule {
        Rule::Spec { head, .. } => matches!(head, RuleHead::Func { .. }),
        Rule::Default { args, .. } => !args.is_empty(),
    }
}

/// The lines of the statements of each body of a rule.
pub(crate) fn bodies(rule: &Rule) -> Vec<Vec<u32>> {
    match rule {
        Rule::Spec { bodies, .. } => {
            let lines = |query: &Query| query.stmts.iter().map(|stmt| stmt.span.line).collect();
            bodies.iter().map(|body| lines(&body.query)).collect()
        }
        Rule::Default { .. } => Vec::new(),
    }
}

/// The names in front of a module's rules: `data`, and its package.
pub(crate) fn package(module: &Module) -> Vec<String> {
    let named = static_path(&module.package.refr).map(|(path, _)| path).unwrap_or_default();
    let is_whole = named.first().is_some_and(|first| first == "data");
    let root = (!is_whole).then(|| "data".to_owned());
    root.into_iter().chain(named).collect()
}

impl Reads {
    /// What a rule reads.
    pub(crate) fn of(rule: &Rule) -> Self {
        let mut reads = Self::default();
        match rule {
            Rule::Spec { head, bodies, .. } => {
                reads.head(head);
                for body in bodies {
                    reads.assign(body.assign.as_ref());
                    reads.query(&body.query);
                }
            }
            Rule::Default { refr, value, .. } => {
                reads.indexes(refr);
                reads.expr(value);
            }
        }
        reads
    }

    fn head(&mut self, head: &RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.indexes(refr);
                self.assign(assign.as_ref());
            }
            RuleHead::Set { refr, key, .. } => {
                self.indexes(refr);
                self.each(key.as_ref());
            }
            RuleHead::Func { args, assign, .. } => {
                args.iter().for_each(|arg| self.declare(arg));
                self.each(args);
                self.assign(assign.as_ref());
            }
        }
    }

    fn assign(&mut self, assign: Option<&RuleAssign>) {
        self.each(assign.map(|assign| &assign.value));
    }

    fn query(&mut self, query: &Query) {
        for stmt in &query.stmts {
            match &stmt.literal {
                Literal::SomeVars { vars, .. } => {
                    self.declared.extend(vars.iter().map(|var| var.text().to_owned()));
                }
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value]).for_each(|name| self.declare(name));
                    self.each(key.iter().chain([value, collection]));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
                Literal::Every { key, value, domain, query, .. } => {
                    let names = key.iter().chain([value]);
                    self.declared.extend(names.map(|name| name.text().to_owned()));
                    self.expr(domain);
                    self.query(query);
                }
            }
            // What a `with` puts something else in place of is not read.
            self.each(stmt.with_mods.iter().map(|with| &with.r#as));
        }
    }

    fn each<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Ref<Expr>>) {
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Array { items, .. } | Expr::Set { items, .. } => self.each(items),
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.members.extend(written_out(key).map(str::to_owned));
                    self.each([key, value]);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term);
                self.query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.each([key, value]);
                self.query(query);
            }
            Expr::Call { span, fcn, params, .. } => {
                if let Some((path, _)) = static_path(fcn) {
                    let text = params.first().and_then(|first| written_out(first));
                    let text = text.map(str::to_owned);
                    self.calls.push(Call { path, text, span: span.clone() });
                }
                self.each(params);
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => self.each([lhs, rhs]),
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                if *op == AssignOp::ColEq {
                    self.declare(lhs);
                }
                self.each([lhs, rhs]);
            }
            Expr::Membership { key, value, collection, .. } => {
                self.each(key.iter().chain([value, collection]));
            }
        }
    }

    fn reference(&mut self, expr: &Expr) {
        if let Some((path, _)) = static_path(expr) {
            self.references.push(Reference { path, span: expr.span().clone() });
        }
        self.indexes(expr);
    }

    /// What stands in the brackets of a reference, and what it selects from.
    fn indexes(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { .. } => {}
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr);
                self.expr(index);
            }
            other => self.expr(other),
        }
    }

    /// The variables of a pattern are the rule's own.
    fn declare(&mut self, pattern: &Expr) {
        match pattern {
            Expr::Var { span, .. } => {
                self.declared.insert(span.text().to_owned());
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|item| self.declare(item));
            }
            Expr::Object { fields, .. } => {
                fields.iter().for_each(|(_, _, value)| self.declare(value));
            }
            _ => {}
        }
    }
}
