//! Answers in words, clock times and dates: compared by what is left when the marks are taken away.

/// The letters of an answer without mark-up, white space and closing point; letters keep their case.
pub(crate) fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &text[i..];
        if bytes[i] == b'\\' {
            if let Some(mark) = WRAPPERS.iter().find(|m| rest[1..].starts_with(**m)) {
                i += 1 + mark.len();
                continue;
            }
            let next = bytes.get(i + 1).copied().unwrap_or(b' ');
            if matches!(next, b',' | b';' | b'!' | b' ' | b':' | b'(' | b')' | b'[' | b']') {
                i += 2;
                continue;
            }
            if matches!(next, b'%' | b'$' | b'\\') {
                i += 1;
                continue;
            }
        }
        let c = rest.chars().next().unwrap_or(' ');
        if !c.is_whitespace() && !matches!(c, '$' | '{' | '}' | '*' | '~' | '`') {
            out.push(c);
        }
        i += c.len_utf8();
    }
    while out.ends_with(['.', ',', ';', ':']) {
        out.pop();
    }
    out
}

/// True if nothing but mark-up is there.
pub(crate) fn bare_is_empty(text: &str) -> bool {
    !text.bytes().take(64).any(|b| b.is_ascii_alphanumeric() || b >= 0x80)
        && text.len() <= LONG
        && bare(text).is_empty()
}

/// Longer texts are compared as they stand.
const LONG: usize = 4096;

/// True if two answers are the same up to mark-up.
pub(crate) fn same(a: &str, b: &str) -> bool {
    if a.len().max(b.len()) > LONG {
        return a == b;
    }
    a == b || bare(a) == bare(b)
}

const WRAPPERS: [&str; 18] = [
    "textbf",
    "textit",
    "textrm",
    "text",
    "mathrm",
    "mathbf",
    "mbox",
    "left",
    "right",
    "displaystyle",
    "quad",
    "operatorname",
    "boxed",
    "dfrac",
    "tfrac",
    "mathit",
    "textnormal",
    "emph",
];

/// Like [`bare`], without regard to case and outer brackets: for words.
pub(crate) fn words(text: &str) -> String {
    let mut key = bare(text).to_lowercase();
    while key.starts_with('(') && key.ends_with(')') && key.len() > 2 {
        key = key[1..key.len() - 1].to_owned();
    }
    let key = key.trim_matches(['"', '\'', '.', '!', '’', '‘', '“', '”']);
    ["the", "a", "an"].iter().find_map(|article| article_off(text, key, article)).unwrap_or(key).to_owned()
}

fn article_off<'k>(text: &str, key: &'k str, article: &str) -> Option<&'k str> {
    let spaced = text.trim_start_matches(['\\', '{', '$', ' ']).trim_start_matches("text{").to_lowercase();
    let apart = spaced.strip_prefix(article)?.starts_with(' ');
    if apart { key.strip_prefix(article).filter(|k| !k.is_empty()) } else { None }
}

/// The letter of a multiple-choice answer: `C`, `(C)`, `C. 42`, `\text{(C)}`.
pub(crate) fn choice(text: &str) -> Option<char> {
    let key = text.replace("\\textbf", "").replace("\\text", "").replace("\\mathrm", "").replace("\\mathbf", "");
    let key = key.trim_matches(|c: char| c.is_whitespace() || matches!(c, '$' | '{' | '}' | '*' | '\\' | '"'));
    let inner = key.strip_prefix('(').unwrap_or(key);
    let letter = inner.chars().next().filter(|c| ('A'..='J').contains(c))?;
    let rest = inner[1..].trim_start_matches([' ', '}']);
    let bracketed = key.starts_with('(') && rest.starts_with(')');
    let listed =
        rest.is_empty() || (rest.starts_with(['.', ':', ')']) && !rest[1..].starts_with(|c: char| c.is_ascii_digit()));
    (bracketed || listed).then_some(letter)
}

/// A time of day in minutes, with the half of the day if it is said.
pub(crate) fn clock(text: &str) -> Option<(u32, Option<bool>)> {
    let key = bare(text).to_lowercase().replace('.', "");
    let (digits, half) = match key
        .strip_suffix("am")
        .map(|d| (d, Some(false)))
        .or_else(|| key.strip_suffix("pm").map(|d| (d, Some(true))))
    {
        Some(found) => found,
        None => (key.as_str(), None),
    };
    let (h, m) = digits.split_once(':').unwrap_or((digits, if half.is_some() { "00" } else { "" }));
    let good = (1..=2).contains(&h.len()) && m.len() == 2 && h.bytes().chain(m.bytes()).all(|b| b.is_ascii_digit());
    let (h, m): (u32, u32) = (h.parse().ok()?, m.parse().ok()?);
    (good && h < 25 && m < 60).then(|| (h * 60 + m, half))
}

/// A date: year if given, month, day.
pub(crate) fn date(text: &str) -> Option<(Option<u32>, u32, u32)> {
    let lower = text.replace("\\text", " ").replace("\\mathrm", " ").to_lowercase();
    let parts: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).collect();
    if let [y, m, d] = parts.as_slice()
        && y.len() == 4
        && lower.contains('-')
        && !lower.contains('+')
    {
        let (y, m, d) = (y.parse().ok()?, m.parse().ok()?, d.parse().ok()?);
        return ((1..=12).contains(&m) && (1..=31).contains(&d)).then_some((Some(y), m, d));
    }
    if parts.len() > 4 {
        return None;
    }
    let mut month = None;
    let (mut day, mut year) = (None, None);
    for part in parts {
        if let Some(m) = MONTHS.iter().position(|m| m.starts_with(part) && part.len() >= 3 || *m == part) {
            month = Some(m as u32 + 1);
            continue;
        }
        let digits = part.trim_end_matches(char::is_alphabetic);
        if !matches!(&part[digits.len()..], "" | "st" | "nd" | "rd" | "th") {
            if part == "of" || WEEKDAYS.contains(&part) {
                continue;
            }
            return None;
        }
        match digits.parse::<u32>().ok()? {
            d @ 1..=31 if day.is_none() => day = Some(d),
            y @ 1000..=2999 if year.is_none() => year = Some(y),
            _ => return None,
        }
    }
    Some((year, month?, day?))
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_do_not_count() {
        assert_eq!(bare(r"\text{odd}"), "odd");
        assert_eq!(words(r"\textbf{(C)}"), "c");
        assert_eq!(words("An ellipse."), "ellipse");
    }

    #[test]
    fn letters_of_choices_are_found() {
        assert_eq!(choice(r"\text{(C)}"), Some('C'));
        assert_eq!(choice("B. 42"), Some('B'));
        assert_eq!(choice("(D) none of these"), Some('D'));
        assert_eq!(choice("A + B"), None);
        assert_eq!(choice("AB"), None);
    }

    #[test]
    fn clocks_and_calendars() {
        assert_eq!(clock("2: 15 PM"), Some((135, Some(true))));
        assert_eq!(clock("12:00"), Some((720, None)));
        assert_eq!(clock("7:3"), None);
        assert_eq!(clock("3583814:00"), None);
        assert_eq!(clock("99999999:00"), None);
        assert_eq!(date("May 5, 2020"), date("2020-05-05"));
        assert_eq!(date("5th of May"), Some((None, 5, 5)));
        assert_eq!(date("5 - 3"), None);
    }
}
