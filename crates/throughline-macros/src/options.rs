//! What stands in the brackets: `#[traced(name = "charge", kind = Client, fields(order.id = order.id), err = false)]`.

use proc_macro::{Delimiter, Literal, Span, TokenStream, TokenTree};

use crate::template::{Problem, fill};

/// The options as they were given.
pub struct Options {
    name: Option<TokenStream>,
    kind: Option<TokenStream>,
    parent: Option<TokenStream>,
    fields: Option<TokenStream>,
    /// The path of the crate `throughline`, where it has another name.
    krate: Option<TokenStream>,
    /// Nothing is said: it depends on what is returned.
    pub records_errors: Option<bool>,
    /// Where it is said that each call of the closure that is returned has a span.
    pub calls: Option<Span>,
}

const ALL: &str = "`#[traced]` takes `name = \"…\"`, `kind = Client`, `parent = &context`, `fields(key = value, …)`, `err = false` and `calls = true`";

impl Options {
    pub fn read(attribute: TokenStream) -> Result<Self, Problem> {
        let mut options = Self {
            name: None,
            kind: None,
            parent: None,
            fields: None,
            krate: None,
            records_errors: None,
            calls: None,
        };
        for option in split_at_commas(attribute) {
            options.add(option)?;
        }
        match options.calls {
            Some(at) if options.fields.is_some() || options.parent.is_some() => Err(Problem::new(
                at,
                "with `calls` there is no `fields(…)` and no `parent`: each call has a span of its own, and the arguments of the \
                 function are gone by then; write `throughline::current(|span| span.set(\"key\", value))` in the closure",
            )),
            _ => Ok(options),
        }
    }

    fn add(&mut self, option: Vec<TokenTree>) -> Result<(), Problem> {
        let at = option.first().map_or_else(Span::call_site, TokenTree::span);
        let mut tokens = option.into_iter();
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return Err(Problem::new(at, ALL));
        };
        let name = name.to_string();
        let value = match (tokens.next(), &*name) {
            (Some(TokenTree::Group(fields)), "fields") if fields.delimiter() == Delimiter::Parenthesis => {
                if let Some(more) = tokens.next() {
                    return Err(Problem::new(more.span(), "a comma belongs behind `fields(…)`"));
                }
                fields.stream()
            }
            (_, "fields") => {
                return Err(Problem::new(
                    at,
                    "fields stand in parentheses: `fields(order.id = order.id, ?card)`",
                ));
            }
            (_, "skip" | "skip_all") => {
                return Err(Problem::new(
                    at,
                    "no argument is recorded unless it is named in `fields(…)`: there is nothing to skip",
                ));
            }
            (Some(TokenTree::Punct(sign)), "name" | "kind" | "parent" | "crate" | "err" | "calls")
                if sign.as_char() == '=' =>
            {
                tokens.collect()
            }
            (_, "name" | "kind" | "parent" | "crate" | "err" | "calls") => {
                return Err(Problem::new(at, format!("`{name}` takes a value: `{name} = …`")));
            }
            _ => return Err(Problem::new(at, ALL)),
        };
        if value.is_empty() && name != "fields" {
            return Err(Problem::new(at, format!("`{name}` takes a value: `{name} = …`")));
        }
        let is_true = || match &*value.to_string() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Problem::new(at, format!("`{name}` is `true` or `false`"))),
        };
        let slot = match &*name {
            "name" => &mut self.name,
            "kind" => &mut self.kind,
            "parent" => &mut self.parent,
            "fields" => &mut self.fields,
            "crate" => &mut self.krate,
            "calls" => {
                self.calls = is_true()?.then_some(at);
                return Ok(());
            }
            _ => {
                self.records_errors = Some(is_true()?);
                return Ok(());
            }
        };
        if slot.replace(value).is_some() {
            return Err(Problem::new(at, format!("`{name}` is given twice")));
        }
        Ok(())
    }

    /// What `CRATE` stands for in templates.
    pub fn crate_name(&self) -> (&'static str, TokenStream) {
        let named = self.krate.clone();
        ("CRATE", named.unwrap_or_else(|| fill("::throughline", &[])))
    }

    /// The call that starts the span of a function of this name.
    pub fn span(&self, function: &str) -> TokenStream {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => TokenTree::Literal(Literal::string(function)).into(),
        };
        let option = |template: &str, value: &Option<TokenStream>| match value {
            Some(value) => fill(template, &[("VALUE", value.clone())]),
            None => TokenStream::new(),
        };
        fill(
            "CRATE::span!(PARENT KIND NAME, FIELDS)",
            &[
                self.crate_name(),
                ("PARENT", option("parent: VALUE,", &self.parent)),
                ("KIND", option("kind: VALUE,", &self.kind)),
                ("NAME", name),
                ("FIELDS", option("VALUE", &self.fields)),
            ],
        )
    }
}

/// The parts between the commas; what is in parentheses is one token.
fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match &token {
            TokenTree::Punct(sign) if sign.as_char() == ',' => parts.push(Vec::new()),
            _ => parts.last_mut().expect("there is one from the start").push(token),
        }
    }
    // Behind the last comma.
    if parts.last().is_some_and(Vec::is_empty) {
        parts.pop();
    }
    parts
}
