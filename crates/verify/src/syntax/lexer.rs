//! From text to tokens.

use super::number::literal;
use super::token::{Relation, Tok, Token};
use super::{Comma, Style};
use crate::fuel::{Fuel, Run};
use crate::rational::Rational;
use crate::words;

/// The tokens of an answer and what was ambiguous about them.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent observations, not a state")]
pub(crate) struct Lexed<'a> {
    pub(crate) tokens: Vec<Token<'a>>,
    /// A number was written with a decimal point.
    pub(crate) decimal: bool,
    /// A comma was read as a separator of thousands.
    pub(crate) grouped: bool,
    /// A comma between digits could be a decimal comma.
    pub(crate) decimal_comma: bool,
    /// `2e-1` was read as scientific notation.
    pub(crate) scientific: bool,
    /// A letter after a number could be a unit.
    pub(crate) unit_letter: bool,
    /// Words of prose.
    pub(crate) words: usize,
    /// Anything that is not a word.
    pub(crate) math: usize,
}

/// A closing brace further away is not looked for.
const LOOKAHEAD: usize = 1024;

struct Lexer<'a, 'f> {
    text: &'a str,
    at: usize,
    style: Style,
    fuel: &'f mut Fuel,
    /// Bytes that were looked at ahead and are still to be paid for.
    ahead: usize,
    out: Lexed<'a>,
    /// Open brackets.
    brackets: usize,
    /// End of the innermost `\text{…}`.
    prose_until: usize,
    /// That text may name functions: `\mathrm{lcm}`.
    prose_names: bool,
    /// One digit has followed `\frac`, a second one may.
    second_digit: bool,
}

/// Reads all tokens of a text.
pub(crate) fn lex<'a>(text: &'a str, style: Style, fuel: &mut Fuel) -> Run<Lexed<'a>> {
    let out = Lexed { tokens: Vec::with_capacity(text.len().min(64)), ..Lexed::default() };
    let mut lexer = Lexer {
        text,
        at: 0,
        style,
        fuel,
        ahead: 0,
        out,
        brackets: 0,
        prose_until: 0,
        prose_names: false,
        second_digit: false,
    };
    let mut spaced = false;
    while lexer.at < text.len() {
        let start = lexer.at;
        let looked = std::mem::take(&mut lexer.ahead) as u64;
        lexer.fuel.spend(1 + looked / 8)?;
        let before = lexer.out.tokens.len();
        let pending = lexer.second_digit;
        lexer.step()?;
        lexer.second_digit &= !pending;
        debug_assert!(lexer.at > start);
        if lexer.out.tokens.len() > before {
            lexer.out.tokens[before].spaced = spaced;
            spaced = false;
        } else {
            spaced = true;
        }
    }
    Ok(lexer.out)
}

impl<'a> Lexer<'a, '_> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, tok: Tok<'a>, length: usize) {
        match tok {
            Tok::Word(_) => self.out.words += 1,
            Tok::Comma | Tok::And | Tok::Or | Tok::Begin | Tok::End => {}
            _ => self.out.math += 1,
        }
        match tok {
            Tok::Open(_) => self.brackets += 1,
            Tok::Close(_) => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        self.out.tokens.push(Token { tok, start: self.at, end: self.at + length, spaced: false });
        self.at += length;
    }

    /// The next closing brace of a text not far ahead.
    fn closing(&mut self, text: &str) -> Option<usize> {
        let found = text.bytes().take(LOOKAHEAD).position(|b| b == b'}');
        self.ahead += found.unwrap_or(LOOKAHEAD);
        found
    }

    fn skip(&mut self, length: usize) {
        self.at += length;
    }

    fn last(&self) -> Option<&Tok<'a>> {
        self.out.tokens.last().map(|t| &t.tok)
    }

    fn step(&mut self) -> Run<()> {
        let b = self.text.as_bytes()[self.at];
        let next = self.text.as_bytes().get(self.at + 1).copied();
        let followed_by_digit = next.is_some_and(|b| b.is_ascii_digit());
        match b {
            b'0'..=b'9' => return self.number(),
            b'.' if followed_by_digit
                || self.rest().starts_with(".\\overline{")
                || self.rest().starts_with(".\\bar{") =>
            {
                return self.number();
            }
            b'a'..=b'z' | b'A'..=b'Z' => self.letters(),
            b'\\' => self.command(),
            0x80.. => self.unicode(),
            b'$' if followed_by_digit && self.out.tokens.is_empty() && !self.rest()[1..].contains('$') => {
                self.push(Tok::Unit("dollar"), 1);
            }
            b'+' if next == Some(b'-') => self.push(Tok::PlusMinus, 2),
            b'*' if next == Some(b'*') => self.push(Tok::Caret, 2),
            b'<' if next == Some(b'=') => self.push(Tok::Rel(Relation::Le), 2),
            b'>' if next == Some(b'=') => self.push(Tok::Rel(Relation::Ge), 2),
            b'!' if next == Some(b'=') => self.push(Tok::Rel(Relation::Ne), 2),
            b'=' | b':' if next == Some(b'=') => self.push(Tok::Rel(Relation::Eq), 2),
            b'.' if self.rest().starts_with("...") => self.push(Tok::Dots, 3),
            b'^' => self.caret(),
            b'{' => self.push(Tok::Begin, 1),
            b'}' if self.at == self.prose_until => self.skip(1),
            b'}' => self.push(Tok::End, 1),
            b',' => self.comma(followed_by_digit),
            _ => match single(b) {
                Some(tok) => self.push(tok, 1),
                None => self.skip(1),
            },
        }
        Ok(())
    }

    fn number(&mut self) -> Run<()> {
        // `\frac12` is one half
        if matches!(self.last(), Some(Tok::Cmd("frac" | "binom"))) || std::mem::take(&mut self.second_digit) {
            self.second_digit = matches!(self.last(), Some(Tok::Cmd(_)));
            let digit = i64::from(self.text.as_bytes()[self.at]) - i64::from(b'0');
            if digit >= 0 {
                self.push(Tok::Num(Rational::int(digit)), 1);
                return Ok(());
            }
        }
        let read = literal(self.text, self.at, self.brackets > 0, self.style, self.fuel)?;
        self.out.decimal |= read.decimal;
        self.out.grouped |= read.grouped_by_comma;
        self.out.scientific |= read.scientific;
        let length = (read.end - self.at).max(1);
        self.push(Tok::Num(read.value), length);
        Ok(())
    }

    fn comma(&mut self, followed_by_digit: bool) {
        let after_number =
            matches!(self.last(), Some(Tok::Num(_))) && self.out.tokens.last().is_some_and(|t| t.end == self.at);
        self.out.decimal_comma |= after_number && followed_by_digit && self.style.comma == Comma::Groups;
        self.push(Tok::Comma, 1);
    }

    /// `^`, or a degree sign in disguise.
    fn caret(&mut self) {
        let rest = &self.rest()[1..];
        let inner = rest.trim_start_matches([' ', '{', '\\']);
        let opened = rest[..rest.len() - inner.len()].contains('{');
        if let Some(after) =
            inner.strip_prefix("circ").or_else(|| inner.strip_prefix("degree")).or_else(|| inner.strip_prefix('°'))
        {
            let mut length = self.rest().len() - after.len();
            if opened {
                length += self.closing(after).map_or(0, |i| i + 1);
            }
            return self.push(Tok::Degree, length);
        }
        self.push(Tok::Caret, 1);
    }

    /// A run of letters outside of commands.
    fn letters(&mut self) {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let run = &rest[..length];
        let prose = self.at < self.prose_until;
        if let Some((tok, length)) = self.known_word(run, prose) {
            return self.push(tok, length);
        }
        if length == 1 {
            if matches!(self.last(), Some(Tok::Num(_))) && words::unit(run).is_some() {
                self.out.unit_letter = true;
                if self.style.unit_letters {
                    return self.push(Tok::Unit(run), 1);
                }
            }
            return self.push(Tok::Sym(run), 1);
        }
        let subscript = rest.as_bytes().get(length) == Some(&b'_');
        if prose || (length >= 4 && !subscript && !run.bytes().all(|b| b.is_ascii_uppercase())) {
            return self.push(Tok::Word(run), length);
        }
        for i in 0..length {
            self.push(Tok::Sym(&run[i..=i]), 1);
        }
    }

    fn known_word(&self, run: &'a str, prose: bool) -> Option<(Tok<'a>, usize)> {
        let all = run.len();
        let after_number = matches!(
            self.last(),
            Some(Tok::Num(_) | Tok::End | Tok::Close(_) | Tok::Unit(_) | Tok::Fun("pi" | "infinity"))
        );
        let tok = match run {
            "or" | "Or" | "OR" => Tok::Or,
            "and" | "And" => Tok::And,
            "union" => Tok::Cup,
            "in" if !after_number => Tok::Rel(Relation::In),
            "percent" | "pct" | "percentage" => Tok::Percent,
            "degree" | "degrees" | "deg" => Tok::Degree,
            "inf" | "infinity" | "oo" | "infty" | "Infinity" => Tok::Fun("infinity"),
            _ if after_number && (all > 1 || prose) && words::unit(run).is_some() => Tok::Unit(run),
            _ if prose && words::unit(run).is_some() && (all > 1 || self.last() == Some(&Tok::Slash)) => Tok::Unit(run),
            _ if words::number(run).is_some() => Tok::Num(Rational::int(words::number(run).unwrap_or(0))),
            _ if (!prose || self.prose_names) && words::function(run) => Tok::Fun(run),
            _ => return self.split_word(run, prose),
        };
        Some((tok, all))
    }

    /// `orW`, `sinx`: a known word with a variable glued to it.
    fn split_word(&self, run: &'a str, prose: bool) -> Option<(Tok<'a>, usize)> {
        if prose || run.len() < 3 {
            return None;
        }
        let after_value = matches!(self.last(), Some(Tok::Num(_) | Tok::Close(_)));
        if after_value && run.len() <= 4 {
            if run.starts_with("or") {
                return Some((Tok::Or, 2));
            }
            if run.starts_with("and") {
                return Some((Tok::And, 3));
            }
        }
        let names = ["arcsin", "arccos", "arctan", "sin", "cos", "tan", "cot", "sec", "csc", "ln", "log", "sqrt", "pi"];
        let name = names.iter().find(|n| run.starts_with(**n))?;
        (run.len() - name.len() <= 2).then(|| (Tok::Fun(&run[..name.len()]), name.len()))
    }

    fn command(&mut self) {
        let rest = self.rest();
        let name_length = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if name_length == 0 {
            return self.escaped();
        }
        let name = &rest[1..=name_length];
        let length = name_length + 1;
        match name {
            "left" | "right" | "bigl" | "bigr" | "Bigl" | "Bigr" | "big" | "Big" | "bigg" | "Bigg" | "biggl"
            | "biggr" | "Biggl" | "Biggr" | "middle" => {
                self.delimiter(name, length);
            }
            "text" | "textbf" | "textit" | "textrm" | "texttt" | "mbox" | "mathrm" | "operatorname" | "mathbf"
            | "mathit" | "mathsf" | "bf" | "rm" | "boldsymbol" | "mathcal" | "hbox" | "textnormal" | "bm" | "emph"
            | "mathtt" => self.wrapper(name, length),
            "begin" | "end" => self.environment(name, length),
            "overline" | "bar" | "vec" | "hat" | "widehat" | "tilde" | "dot" | "overrightarrow" | "underline"
            | "overset" | "underset" | "stackrel" => {
                self.push(Tok::Cmd("over"), length);
            }
            "mathbb" => self.double_struck(length),
            _ => match command_token(name) {
                Some(tok) => self.push(tok, length),
                None if is_silent(name) => self.skip(length),
                None if words::function(name) => self.push(Tok::Fun(name), length),
                None => self.unknown_command(name, length),
            },
        }
    }

    /// A Greek letter, a known command with a letter glued to it (`\quadx`), or a name of its own.
    fn unknown_command(&mut self, name: &'a str, length: usize) {
        if is_greek(name) {
            return self.push(Tok::Sym(name), length);
        }
        for known in ["quad", "qquad", "cdot", "times", "pi", "pm", "in", "cup", "infty", "circ", "degree"] {
            if let Some(tail) = name.strip_prefix(known)
                && tail.len() <= 2
            {
                return match command_token(known) {
                    Some(tok) => self.push(tok, 1 + known.len()),
                    None => self.skip(1 + known.len()),
                };
            }
        }
        self.push(Tok::Sym(name), length);
    }

    /// A backslash before something that is not a letter.
    fn escaped(&mut self) {
        let rest = self.rest();
        let tok = match rest.as_bytes().get(1) {
            Some(b'{') => Tok::Open('{'),
            Some(b'}') => Tok::Close('}'),
            Some(b'%') => Tok::Percent,
            Some(b'$') => Tok::Unit("dollar"),
            Some(b'|') => Tok::Bar,
            Some(b'&') => Tok::And,
            Some(b'\\') => return self.double_backslash(),
            Some(b'_') => Tok::Under,
            Some(other) => return self.skip(if other.is_ascii() { 2 } else { 1 }),
            None => return self.skip(1),
        };
        self.push(tok, 2);
    }

    /// A new row, or a backslash that was escaped once too often.
    fn double_backslash(&mut self) {
        let rest = &self.rest()[2..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let name = &rest[..letters];
        let known = letters > 1
            && (command_token(name).is_some()
                || is_silent(name)
                || words::function(name)
                || matches!(name, "text" | "left" | "right" | "begin" | "end" | "mathrm"));
        if known || rest.starts_with(['%', '$', '{', '}']) && self.brackets == 0 {
            return self.skip(1);
        }
        self.push(Tok::RowBreak, 2);
    }

    fn delimiter(&mut self, name: &str, length: usize) {
        self.skip(length);
        let space = self.rest().len() - self.rest().trim_start().len();
        self.skip(space);
        let bar = if name.ends_with('t') && name != "left" || name.ends_with('r') { Tok::RBar } else { Tok::LBar };
        if self.rest().starts_with('|') {
            self.push(bar, 1);
        } else if self.rest().starts_with("\\|") || self.rest().starts_with("\\vert") {
            let length = if self.rest().starts_with("\\|") { 2 } else { 5 };
            self.push(bar, length);
        } else if self.rest().starts_with('.') {
            self.skip(1);
        }
    }

    /// `\text{…}`: its content is read as prose or, for `\mathrm` and bold letters, as it stands.
    fn wrapper(&mut self, name: &str, length: usize) {
        self.skip(length);
        let space = self.rest().len() - self.rest().trim_start_matches(' ').len();
        self.skip(space);
        if let Some(inner) = self.rest().strip_prefix('{')
            && !matches!(name, "boldsymbol" | "mathbf" | "mathcal" | "bf" | "bm")
        {
            let end = self.at + 1 + self.closing(inner).unwrap_or(inner.len());
            self.prose_until = self.prose_until.max(end);
            self.prose_names = matches!(name, "mathrm" | "operatorname" | "rm");
            self.skip(1);
        }
    }

    fn environment(&mut self, name: &str, length: usize) {
        let rest = &self.rest()[length..];
        let trimmed = rest.trim_start();
        let body = trimmed.strip_prefix('{').unwrap_or("");
        let inner = self.closing(body).map(|end| &body[..end]);
        let Some(inner) = inner else { return self.skip(length) };
        let mut total = length + (rest.len() - trimmed.len()) + inner.len() + 2;
        if name == "end" {
            return self.push(Tok::EnvEnd, total);
        }
        if inner == "array"
            && let Some(columns) = self.rest()[total..].strip_prefix('{')
        {
            total += self.closing(columns).map_or(0, |end| end + 2);
        }
        self.push(Tok::EnvBegin(inner), total);
    }

    /// `\mathbb{R}`.
    fn double_struck(&mut self, length: usize) {
        let rest = &self.rest()[length..];
        let inner = rest.trim_start_matches([' ', '{']);
        let letter =
            &inner[..inner.len().min(usize::from(inner.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)))];
        if letter.is_empty() {
            return self.skip(length);
        }
        let name = match letter {
            "R" => "ℝ",
            "Z" => "ℤ",
            "Q" => "ℚ",
            "N" => "ℕ",
            "C" => "ℂ",
            other => other,
        };
        let mut total = length + (rest.len() - inner.len()) + 1;
        if rest.trim_start().starts_with('{') && inner[1..].starts_with('}') {
            total += 1;
        }
        self.push(Tok::Sym(name), total);
    }

    fn unicode(&mut self) {
        let Some(c) = self.rest().chars().next() else { return self.skip(1) };
        let tok = match c {
            'π' => Tok::Fun("pi"),
            '∞' => Tok::Fun("infinity"),
            '√' => Tok::Fun("sqrt"),
            '≤' | '⩽' | '≦' => Tok::Rel(Relation::Le),
            '≥' | '⩾' | '≧' => Tok::Rel(Relation::Ge),
            '≠' => Tok::Rel(Relation::Ne),
            '≈' | '＝' => Tok::Rel(Relation::Eq),
            '∈' => Tok::Rel(Relation::In),
            '∪' => Tok::Cup,
            '∩' => Tok::Cap,
            '∖' => Tok::Without,
            '±' => Tok::PlusMinus,
            '∓' => Tok::MinusPlus,
            '×' | '·' | '⋅' | '∙' => Tok::Times,
            '÷' => Tok::Slash,
            '−' | '–' => Tok::Minus,
            '°' => Tok::Degree,
            '∅' => Tok::EmptySet,
            '′' => Tok::Prime,
            '…' | '⋯' => Tok::Dots,
            '（' => Tok::Open('('),
            '）' => Tok::Close(')'),
            '，' => Tok::Comma,
            '：' => Tok::Colon,
            '％' => Tok::Percent,
            '⟨' => Tok::Open('<'),
            '⟩' => Tok::Close('>'),
            '€' => Tok::Unit("euro"),
            '£' => Tok::Unit("pound"),
            'ℝ' | 'ℤ' | 'ℚ' | 'ℕ' | 'ℂ' => Tok::Sym(&self.rest()[..c.len_utf8()]),
            '²' | '³' | '⁴' => return self.superscript(c),
            '½' => Tok::Num(Rational::new(1, 2).unwrap_or(Rational::ZERO)),
            '¼' => Tok::Num(Rational::new(1, 4).unwrap_or(Rational::ZERO)),
            '¾' => Tok::Num(Rational::new(3, 4).unwrap_or(Rational::ZERO)),
            c if greek_name(c).is_some() => Tok::Sym(greek_name(c).unwrap_or("alpha")),
            c if c.is_alphabetic() => {
                let length = self.rest().chars().take_while(|c| c.is_alphabetic()).map(char::len_utf8).sum();
                return self.push(Tok::Word(&self.rest()[..length]), length);
            }
            _ => return self.skip(c.len_utf8()),
        };
        self.push(tok, c.len_utf8());
    }

    fn superscript(&mut self, c: char) {
        let n = match c {
            '²' => 2,
            '³' => 3,
            _ => 4,
        };
        let length = c.len_utf8();
        self.push(Tok::Caret, 0);
        self.push(Tok::Num(Rational::int(n)), length);
    }
}

fn single(b: u8) -> Option<Tok<'static>> {
    Some(match b {
        b'+' => Tok::Plus,
        b'-' => Tok::Minus,
        b'*' => Tok::Times,
        b'/' => Tok::Slash,
        b'!' => Tok::Bang,
        b'\'' => Tok::Prime,
        b'%' => Tok::Percent,
        b':' => Tok::Colon,
        b';' => Tok::Semicolon,
        b'&' => Tok::Amp,
        b'=' => Tok::Rel(Relation::Eq),
        b'<' => Tok::Rel(Relation::Lt),
        b'>' => Tok::Rel(Relation::Gt),
        b'(' => Tok::Open('('),
        b')' => Tok::Close(')'),
        b'[' => Tok::Open('['),
        b']' => Tok::Close(']'),
        b'|' => Tok::Bar,
        b'_' => Tok::Under,
        _ => return None,
    })
}

fn command_token(name: &str) -> Option<Tok<'static>> {
    Some(match name {
        "frac" | "dfrac" | "tfrac" | "cfrac" => Tok::Cmd("frac"),
        "sqrt" => Tok::Cmd("sqrt"),
        "binom" | "dbinom" | "tbinom" => Tok::Cmd("binom"),
        "choose" => Tok::Cmd("choose"),
        "over" => Tok::Cmd("divided"),
        "sum" => Tok::Cmd("sum"),
        "prod" => Tok::Cmd("prod"),
        "int" | "lim" | "oint" | "iint" => Tok::Cmd("limit"),
        "pi" => Tok::Fun("pi"),
        "infty" => Tok::Fun("infinity"),
        "cdot" | "times" | "ast" | "bullet" => Tok::Times,
        "div" => Tok::Slash,
        "pm" => Tok::PlusMinus,
        "mp" => Tok::MinusPlus,
        "le" | "leq" | "leqslant" | "leqq" => Tok::Rel(Relation::Le),
        "ge" | "geq" | "geqslant" | "geqq" => Tok::Rel(Relation::Ge),
        "lt" => Tok::Rel(Relation::Lt),
        "gt" => Tok::Rel(Relation::Gt),
        "ne" | "neq" => Tok::Rel(Relation::Ne),
        "approx" | "equiv" | "simeq" | "cong" | "doteq" => Tok::Rel(Relation::Eq),
        "in" => Tok::Rel(Relation::In),
        "notin" => Tok::Rel(Relation::NotIn),
        "subset" | "subseteq" => Tok::Rel(Relation::Subset),
        "sim" | "to" | "rightarrow" | "Rightarrow" | "implies" | "mapsto" | "parallel" | "perp" | "iff" | "propto"
        | "Leftrightarrow" => Tok::Rel(Relation::Other),
        "cup" | "bigcup" => Tok::Cup,
        "cap" | "bigcap" => Tok::Cap,
        "setminus" | "backslash" => Tok::Without,
        "degree" => Tok::Degree,
        "emptyset" | "varnothing" => Tok::EmptySet,
        "ldots" | "cdots" | "dots" | "dotsm" | "dotsc" | "dotsb" | "vdots" | "ddots" => Tok::Dots,
        "lvert" | "lVert" => Tok::LBar,
        "rvert" | "rVert" => Tok::RBar,
        "vert" | "mid" => Tok::Bar,
        "lfloor" => Tok::LFloor,
        "rfloor" => Tok::RFloor,
        "lceil" => Tok::LCeil,
        "rceil" => Tok::RCeil,
        "langle" => Tok::Open('<'),
        "rangle" => Tok::Close('>'),
        "lbrace" => Tok::Open('{'),
        "rbrace" => Tok::Close('}'),
        "lbrack" => Tok::Open('['),
        "rbrack" => Tok::Close(']'),
        "prime" => Tok::Prime,
        "colon" => Tok::Colon,
        "euro" => Tok::Unit("euro"),
        "pounds" => Tok::Unit("pound"),
        "wedge" | "land" => Tok::And,
        "lor" | "vee" => Tok::Or,
        "cr" => Tok::RowBreak,
        _ => return None,
    })
}

/// Commands about spacing and looks.
fn is_silent(name: &str) -> bool {
    matches!(
        name,
        "quad"
            | "qquad"
            | "displaystyle"
            | "textstyle"
            | "limits"
            | "nolimits"
            | "hspace"
            | "vspace"
            | "hfill"
            | "hline"
            | "nonumber"
            | "scriptstyle"
            | "enspace"
            | "thinspace"
            | "phantom"
            | "noindent"
            | "large"
            | "Large"
            | "small"
            | "boxed"
            | "fbox"
            | "tag"
            | "label"
            | "ensuremath"
            | "quadtext"
            | "space"
            | "color"
            | "not"
    )
}

fn is_greek(name: &str) -> bool {
    greek_letters().iter().any(|(_, n)| *n == name)
        || matches!(
            name,
            "ell"
                | "hbar"
                | "varepsilon"
                | "varphi"
                | "vartheta"
                | "Re"
                | "Im"
                | "angle"
                | "triangle"
                | "mho"
                | "partial"
                | "nabla"
                | "square"
        )
}

fn greek_name(c: char) -> Option<&'static str> {
    greek_letters().iter().find(|(g, _)| *g == c).map(|(_, n)| *n)
}

const fn greek_letters() -> &'static [(char, &'static str)] {
    &[
        ('α', "alpha"),
        ('β', "beta"),
        ('γ', "gamma"),
        ('δ', "delta"),
        ('ε', "epsilon"),
        ('ζ', "zeta"),
        ('η', "eta"),
        ('θ', "theta"),
        ('ι', "iota"),
        ('κ', "kappa"),
        ('λ', "lambda"),
        ('μ', "mu"),
        ('ν', "nu"),
        ('ξ', "xi"),
        ('ρ', "rho"),
        ('σ', "sigma"),
        ('τ', "tau"),
        ('υ', "upsilon"),
        ('φ', "phi"),
        ('χ', "chi"),
        ('ψ', "psi"),
        ('ω', "omega"),
        ('Γ', "Gamma"),
        ('Δ', "Delta"),
        ('Θ', "Theta"),
        ('Λ', "Lambda"),
        ('Ξ', "Xi"),
        ('Π', "Pi"),
        ('Σ', "Sigma"),
        ('Φ', "Phi"),
        ('Ψ', "Psi"),
        ('Ω', "Omega"),
    ]
}
