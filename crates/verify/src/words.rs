//! Words with a mathematical meaning: names of functions, constants, units, connectives.

/// True if a run of letters in plain text belongs to an expression rather than to prose.
pub(crate) fn is_mathematical(word: &str) -> bool {
    function(word) || connective(word) || unit(word).is_some() || is_product(word)
}

/// True for names of functions and constants written without a backslash.
pub(crate) fn function(word: &str) -> bool {
    matches!(
        word,
        "sin"
            | "cos"
            | "tan"
            | "cot"
            | "sec"
            | "csc"
            | "arcsin"
            | "arccos"
            | "arctan"
            | "asin"
            | "acos"
            | "atan"
            | "sinh"
            | "cosh"
            | "tanh"
            | "ln"
            | "log"
            | "exp"
            | "sqrt"
            | "cbrt"
            | "pi"
            | "abs"
            | "floor"
            | "ceil"
            | "min"
            | "max"
            | "gcd"
            | "lcm"
            | "inf"
            | "infinity"
            | "infty"
            | "oo"
            | "frac"
            | "binom"
            | "factorial"
            | "lg"
            | "det"
            | "mod"
            | "arccot"
    )
}

/// True for words that join parts of an answer.
pub(crate) fn connective(word: &str) -> bool {
    matches!(
        word,
        "or" | "and" | "in" | "union" | "where" | "if" | "percent" | "pct" | "percentage" | "AM" | "PM" | "am" | "pm"
    )
}

/// True for a run that is more likely a product of variables than a word: at most three letters, no English word.
fn is_product(word: &str) -> bool {
    let short = word.len() <= 3 && !word.bytes().any(|b| matches!(b, b'\''));
    let upper = word.len() <= 4 && word.bytes().all(|b| b.is_ascii_uppercase());
    let english = matches!(
        word,
        "is" | "to"
            | "of"
            | "the"
            | "we"
            | "it"
            | "be"
            | "by"
            | "at"
            | "on"
            | "as"
            | "an"
            | "so"
            | "no"
            | "he"
            | "me"
            | "my"
            | "up"
            | "us"
            | "do"
            | "go"
            | "for"
            | "are"
            | "was"
            | "has"
            | "had"
            | "not"
            | "but"
            | "all"
            | "can"
            | "one"
            | "two"
            | "six"
            | "ten"
            | "per"
            | "get"
            | "its"
            | "his"
            | "her"
            | "she"
            | "you"
            | "out"
            | "did"
            | "now"
            | "our"
            | "any"
            | "yes"
            | "odd"
            | "sum"
            | "let"
            | "way"
            | "The"
            | "We"
            | "It"
            | "So"
            | "He"
            | "No"
            | "In"
            | "If"
            | "To"
            | "As"
            | "By"
            | "For"
            | "And"
            | "But"
            | "Or"
            | "She"
            | "Let"
            | "Yes"
            | "How"
            | "The's"
            | "use"
            | "she's"
            | "who"
            | "why"
            | "how"
            | "new"
            | "old"
            | "boy"
            | "red"
            | "box"
            | "day"
    );
    (short || upper) && !english
}

/// What a unit measures, and its size in the base unit of that dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Name of the base unit.
    pub(crate) base: &'static str,
    /// `numerator / denominator` of the size.
    pub(crate) size: (i64, i64),
}

/// The unit that a word names.
pub(crate) fn unit(word: &str) -> Option<Unit> {
    let (base, n, d) = match word {
        "m" | "meter" | "meters" | "metre" | "metres" => ("m", 1, 1),
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => ("m", 1, 100),
        "mm" | "millimeter" | "millimeters" => ("m", 1, 1000),
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => ("m", 1000, 1),
        "inch" | "inches" => ("inch", 1, 1),
        "ft" | "foot" | "feet" => ("inch", 12, 1),
        "yd" | "yard" | "yards" => ("inch", 36, 1),
        "mile" | "miles" | "mi" => ("inch", 63_360, 1),
        "s" | "sec" | "secs" | "second" | "seconds" => ("s", 1, 1),
        "min" | "mins" | "minute" | "minutes" => ("s", 60, 1),
        "h" | "hr" | "hrs" | "hour" | "hours" => ("s", 3600, 1),
        "day" | "days" => ("s", 86_400, 1),
        "week" | "weeks" => ("s", 604_800, 1),
        "month" | "months" => ("month", 1, 1),
        "year" | "years" => ("month", 12, 1),
        "g" | "gram" | "grams" => ("g", 1, 1),
        "kg" | "kilogram" | "kilograms" => ("g", 1000, 1),
        "mg" | "milligram" | "milligrams" => ("g", 1, 1000),
        "dollar" | "dollars" | "USD" => ("dollar", 1, 1),
        "cent" | "cents" => ("dollar", 1, 100),
        "euro" | "euros" | "EUR" => ("euro", 1, 1),
        "pound" | "pounds" | "lb" | "lbs" => ("pound", 1, 1),
        "liter" | "liters" | "litre" | "litres" => ("l", 1, 1),
        "ml" | "mL" | "milliliters" | "milliliter" => ("l", 1, 1000),
        "gallon" | "gallons" => ("gallon", 1, 1),
        "mph" => ("mph", 1, 1),
        _ => return None,
    };
    Some(Unit { base, size: (n, d) })
}

/// Numbers written out.
pub(crate) fn number(word: &str) -> Option<i64> {
    let names =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    names.iter().position(|n| n.eq_ignore_ascii_case(word)).map(|n| n as i64)
}
