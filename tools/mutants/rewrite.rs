//! Puts the mutants of a file into its text, each after a switch.
//!
//! Where mutants meet (an operator within an expression whose own operator has mutants), the inner ones are put in where the outer
//! ones are off: only one is ever on, and so the text grows by a copy for each, not by all combinations.

use std::collections::HashMap;
use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::Mutant;

/// A place of the text with the mutants that it gets.
struct Site<'m> {
    range: Range<usize>,
    kind: Kind,
    mutants: Vec<&'m Mutant>,
}

enum Kind {
    /// The block of a function, which returns something else at once.
    Function,
    /// A binary expression, with the range of the operator.
    Binary(Range<usize>),
    /// A unary expression, with the range of the operand.
    Unary(Range<usize>),
    /// The guard of a match arm, or the place where one would stand.
    Arm { guarded: bool },
    /// The value of a field, the base that it would be taken from otherwise, and the type.
    Field { name: String, base: Range<usize>, of: Range<usize> },
}

/// The text with all of `mutants` that could be put in. `path` is the path of the switch in this file.
pub fn rewrite(text: &str, mutants: &[&Mutant], path: &str) -> String {
    let mut by_place: HashMap<_, Vec<_>> = HashMap::new();
    for mutant in mutants {
        by_place.entry((mutant.genre.as_str(), mutant.at)).or_default().push(*mutant);
    }
    let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut finder = Finder { text, lines, by_place, sites: Vec::new(), at_compile_time: 0 };
    finder.visit_file(&syn::parse_file(text).expect("the source can be parsed"));
    let mut sites = finder.sites;
    sites.sort_by_key(|site| (site.range.start, std::cmp::Reverse(site.range.end)));
    Writer { text, path }.between(0..text.len(), &sites)
}

/// What surrounds the text of a mutant, or a site: where it doesn't compile, the compiler's message tells of a place in between.
pub fn mark(kind: char, numbers: &str, text: &str) -> String {
    format!("/*{kind}{numbers}<*/{text}/*>{kind}*/")
}

struct Finder<'t, 'm> {
    text: &'t str,
    lines: Vec<usize>,
    by_place: HashMap<(&'m str, (usize, usize)), Vec<&'m Mutant>>,
    sites: Vec<Site<'m>>,
    at_compile_time: usize,
}

impl<'m> Finder<'_, 'm> {
    fn offset(&self, place: LineColumn) -> usize {
        let line = self.lines[place.line - 1];
        let rest = &self.text[line..];
        line + rest.char_indices().nth(place.column).map_or(rest.len(), |(at, _)| at)
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.offset(span.start())..self.offset(span.end())
    }

    /// The mutants of the genre that begin where the span does. None at compile time: there is nothing to switch.
    fn take(&mut self, genre: &'static str, span: Span) -> Vec<&'m Mutant> {
        let LineColumn { line, column } = span.start();
        if self.at_compile_time > 0 { Vec::new() } else { self.by_place.remove(&(genre, (line, column + 1))).unwrap_or_default() }
    }

    fn add(&mut self, range: Range<usize>, kind: Kind, mutants: Vec<&'m Mutant>) {
        if !mutants.is_empty() {
            self.sites.push(Site { range, kind, mutants });
        }
    }

    fn function(&mut self, block: &syn::Block) {
        if let Some(first) = block.stmts.first() {
            let mutants = self.take("FnValue", first.span());
            self.add(self.range(block.brace_token.span.join()), Kind::Function, mutants);
        }
    }

    fn constant(&mut self, is_constant: bool, visit: impl FnOnce(&mut Self)) {
        self.at_compile_time += usize::from(is_constant);
        visit(self);
        self.at_compile_time -= usize::from(is_constant);
    }
}

impl<'ast> Visit<'ast> for Finder<'_, '_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.constant(item.sig.constness.is_some(), |finder| {
            finder.function(&item.block);
            visit::visit_item_fn(finder, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.constant(item.sig.constness.is_some(), |finder| {
            finder.function(&item.block);
            visit::visit_impl_item_fn(finder, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_expr_repeat(&mut self, array: &'ast syn::ExprRepeat) {
        self.visit_expr(&array.expr);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        // `||` in a chain with `let` doesn't compile.
        if !has_let(&binary.left) && !has_let(&binary.right) {
            let mutants = self.take("BinaryOperator", binary.op.span());
            self.add(self.range(binary.span()), Kind::Binary(self.range(binary.op.span())), mutants);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let mutants = self.take("UnaryOperator", unary.op.span());
        self.add(self.range(unary.span()), Kind::Unary(self.range(unary.expr.span())), mutants);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let mut mutants = self.take("MatchArm", arm.span());
        let end = self.range(arm.pat.span()).end;
        let range = match &arm.guard {
            Some((_, guard)) => {
                mutants.append(&mut self.take("MatchArmGuard", guard.span()));
                self.range(guard.span())
            }
            None => end..end,
        };
        self.add(range, Kind::Arm { guarded: arm.guard.is_some() }, mutants);
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        if let Some(base) = &expression.rest {
            for field in expression.fields.iter().filter(|field| field.colon_token.is_some()) {
                let mutants = self.take("StructField", field.span());
                let name = name_of(&field.member);
                let kind = Kind::Field { name, base: self.range(base.span()), of: self.range(expression.path.span()) };
                self.add(self.range(field.expr.span()), kind, mutants);
            }
        }
        visit::visit_expr_struct(self, expression);
    }
}

fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn name_of(field: &syn::Member) -> String {
    match field {
        syn::Member::Named(name) => name.to_string(),
        syn::Member::Unnamed(index) => index.index.to_string(),
    }
}

struct Writer<'t> {
    text: &'t str,
    path: &'t str,
}

impl Writer<'_> {
    /// The text of the range, with its sites, outer ones first.
    fn between(&self, range: Range<usize>, mut sites: &[Site]) -> String {
        let (mut written, mut at) = (String::new(), range.start);
        while let Some((site, rest)) = sites.split_first() {
            let inner = rest.iter().take_while(|other| other.range.start < site.range.end).count();
            written += &self.text[at..site.range.start];
            written += &self.site(site, &rest[..inner]);
            at = site.range.end;
            sites = &rest[inner..];
        }
        written + &self.text[at..range.end]
    }

    fn site(&self, site: &Site, inner: &[Site]) -> String {
        let original = self.between(site.range.clone(), inner);
        let switch = |mutant: &Mutant| format!("{}({})", self.path, mutant.number);
        let choice = |original: &str, changed: &dyn Fn(&Mutant) -> String| {
            let branch = |mutant: &&Mutant| {
                let changed = mark('M', &mutant.number.to_string(), &format!(" {} ", changed(mutant)));
                format!("if {} {{ {changed} }} else ", switch(mutant))
            };
            let branches: String = site.mutants.iter().map(branch).collect();
            format!("({branches}{{ {original} }})")
        };
        let text = match &site.kind {
            Kind::Function => {
                let early = |mutant: &&Mutant| {
                    let early = mark('M', &mutant.number.to_string(), &format!(" return {}; ", mutant.replacement));
                    format!("if {} {{ {early} }} ", switch(mutant))
                };
                let early: String = site.mutants.iter().map(early).collect();
                format!("{{ {early}{}", &original[1..])
            }
            Kind::Binary(operator) => choice(&original, &|mutant| {
                let (left, right) = (site.range.start..operator.start, operator.end..site.range.end);
                format!("{} {} {}", &self.text[left], mutant.replacement, &self.text[right])
            }),
            Kind::Unary(operand) => choice(&original, &|_| self.text[operand.clone()].to_owned()),
            Kind::Field { name, base, of } => choice(&original, &|_| {
                format!("let base: {} = {}; base.{name}", &self.text[of.clone()], &self.text[base.clone()])
            }),
            Kind::Arm { guarded } => {
                let mut guard = if *guarded { format!("({original})") } else { "true".to_owned() };
                for mutant in site.mutants.iter().filter(|mutant| mutant.genre == "MatchArmGuard") {
                    guard = format!("(if {} {{ {} }} else {{ {guard} }})", switch(mutant), mutant.replacement);
                }
                for mutant in site.mutants.iter().filter(|mutant| mutant.genre == "MatchArm") {
                    guard = format!("!{} && {guard}", switch(mutant));
                }
                if *guarded { guard } else { format!(" if {guard}") }
            }
        };
        let numbers: Vec<_> = site.mutants.iter().map(|mutant| mutant.number.to_string()).collect();
        mark('S', &numbers.join(","), &text)
    }
}
