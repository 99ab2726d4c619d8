//! Laws on random input: true identities, perturbations, symmetry, transitivity, fixed points, no panic.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use tdrm_core::Verifier;
use tdrm_verify::{MathVerifier, Options};

/// A random formula in `x`, `y`, integers, π and square roots.
#[derive(Debug, Clone)]
enum E {
    Int(i64),
    X,
    Y,
    Pi,
    Root(u8),
    Add(Box<E>, Box<E>),
    Mul(Box<E>, Box<E>),
    Over(Box<E>, i64),
    Pow(Box<E>, u8),
    Neg(Box<E>),
    Sin(Box<E>),
}

impl E {
    fn latex(&self) -> String {
        match self {
            E::Int(n) if *n < 0 => format!("({n})"),
            E::Int(n) => n.to_string(),
            E::X => "x".into(),
            E::Y => "y".into(),
            E::Pi => "\\pi".into(),
            E::Root(n) => format!("\\sqrt{{{n}}}"),
            E::Add(a, b) => format!("\\left({}+{}\\right)", a.latex(), b.latex()),
            E::Mul(a, b) => format!("{}\\cdot {}", a.latex(), b.latex()),
            E::Over(a, n) => format!("\\frac{{{}}}{{{n}}}", a.latex()),
            E::Pow(a, k) => format!("\\left({}\\right)^{{{k}}}", a.latex()),
            E::Neg(a) => format!("\\left(-{}\\right)", a.latex()),
            E::Sin(a) => format!("\\sin\\left({}\\right)", a.latex()),
        }
    }

    fn boxed(self) -> Box<E> {
        Box::new(self)
    }
}

fn formula() -> impl Strategy<Value = E> {
    let leaf =
        prop_oneof![(-9_i64..10).prop_map(E::Int), Just(E::X), Just(E::Y), Just(E::Pi), (2_u8..13).prop_map(E::Root)];
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| E::Add(a.boxed(), b.boxed())),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| E::Mul(a.boxed(), b.boxed())),
            (inner.clone(), 1_i64..7).prop_map(|(a, n)| E::Over(a.boxed(), n)),
            (inner.clone(), 1_u8..4).prop_map(|(a, k)| E::Pow(a.boxed(), k)),
            inner.clone().prop_map(|a| E::Neg(a.boxed())),
            inner.prop_map(|a| E::Sin(a.boxed())),
        ]
    })
}

/// Rewrites by true identities, chosen by the bits of `seed`.
fn rewrite(e: &E, seed: &mut u64) -> E {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let choice = (*seed >> 40) % 4;
    let mut go = |e: &E| rewrite(e, seed);
    match (e, choice) {
        // a + b = b + a
        (E::Add(a, b), 0) => E::Add(go(b).boxed(), go(a).boxed()),
        // a + b = -(-a - b)
        (E::Add(a, b), 1) => E::Neg(E::Add(E::Neg(go(a).boxed()).boxed(), E::Neg(go(b).boxed()).boxed()).boxed()),
        // a(b + c) = ab + ac
        (E::Mul(a, b), 0 | 1) => match &**b {
            E::Add(x, y) => {
                let a = go(a);
                let (x, y) = (go(x), go(y));
                E::Add(E::Mul(a.clone().boxed(), x.boxed()).boxed(), E::Mul(a.boxed(), y.boxed()).boxed())
            }
            _ => E::Mul(go(b).boxed(), go(a).boxed()),
        },
        // a/n = 3a/(3n)
        (E::Over(a, n), 0) => E::Over(E::Mul(E::Int(3).boxed(), go(a).boxed()).boxed(), 3 * n),
        // a^k = a · a^(k-1)
        (E::Pow(a, k), 0 | 1) if *k > 1 => {
            let a = go(a);
            E::Mul(E::Pow(a.clone().boxed(), k - 1).boxed(), a.boxed())
        }
        // n = (n + 5) - 5
        (E::Int(n), 0) => E::Add(E::Int(n + 5).boxed(), E::Int(-5).boxed()),
        // √n = n/√n = n·√n/n
        (E::Root(n), 0) => E::Over(E::Mul(E::Int(i64::from(*n)).boxed(), E::Root(*n).boxed()).boxed(), i64::from(*n)),
        // √n = √(4n)/2
        (E::Root(n), 1) => E::Over(E::Root(4 * n).boxed(), 2),
        // sin a = -sin(-a)
        (E::Sin(a), 0) => E::Neg(E::Sin(E::Neg(go(a).boxed()).boxed()).boxed()),
        // x = 7x/7
        (E::X | E::Y | E::Pi, 0) => E::Over(E::Mul(e.clone().boxed(), E::Int(7).boxed()).boxed(), 7),
        (E::Add(a, b), _) => E::Add(go(a).boxed(), go(b).boxed()),
        (E::Mul(a, b), _) => E::Mul(go(a).boxed(), go(b).boxed()),
        (E::Over(a, n), _) => E::Over(go(a).boxed(), *n),
        (E::Pow(a, k), _) => E::Pow(go(a).boxed(), *k),
        (E::Neg(a), _) => E::Neg(go(a).boxed()),
        (E::Sin(a), _) => E::Sin(go(a).boxed()),
        (leaf, _) => leaf.clone(),
    }
}

fn exact() -> MathVerifier {
    MathVerifier::with(Options::EXACT).fuel(2_000_000)
}

/// Pieces of LaTeX in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "1",
        "2",
        "10",
        "0",
        "3.5",
        "1,000",
        "x",
        "y",
        "e",
        "i",
        "+",
        "-",
        "*",
        "/",
        "^",
        "_",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "|",
        "=",
        "<",
        "\\le ",
        ",",
        ";",
        ":",
        "\\frac",
        "\\sqrt",
        "\\pi",
        "\\sin",
        "\\log",
        "\\text{",
        "cm",
        "\\pm",
        "\\infty",
        "\\cup",
        "\\in",
        "\\{",
        "\\}",
        "%",
        "\\%",
        "^\\circ",
        "!",
        " ",
        "\\boxed{",
        "$",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "&",
        "\\\\",
        " and ",
        " or ",
        "answer is ",
        "#### ",
        "\\sum_{k=1}^{3}",
        "\\binom",
        "f(x)",
        "\\left|",
        "\\right|",
        "\\lfloor",
        "\\rfloor",
        "12:30",
        "May 5",
        "é",
        "∞",
        "½",
        "\u{202e}",
        "\\mathbb{R}",
        "\\setminus ",
        "'",
        "\\overline{",
        "0.",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn true_identities_keep_an_answer_correct(e in formula(), seed in any::<u64>()) {
        let (mut s, mut t) = (seed, seed.rotate_left(17));
        let a = rewrite(&e, &mut s);
        let b = rewrite(&a, &mut t);
        for (l, r) in [(&e, &a), (&a, &b), (&e, &b)] {
            let verdict = exact().compare(&l.latex(), &r.latex());
            prop_assert!(verdict.is_correct(), "{} = {}: {verdict:?}", l.latex(), r.latex());
        }
    }

    #[test]
    fn perturbed_answers_are_incorrect(e in formula(), seed in any::<u64>(), shift in 1_i64..5) {
        let mut s = seed;
        let wrong = E::Add(rewrite(&e, &mut s).boxed(), E::Int(shift).boxed());
        let verdict = exact().compare(&e.latex(), &wrong.latex());
        prop_assert!(verdict.is_incorrect(), "{} = {}: {verdict:?}", e.latex(), wrong.latex());
    }

    #[test]
    fn canonical_forms_of_formulas_read_back_as_themselves(e in formula()) {
        let verdict = exact().compare(&e.latex(), "1");
        if let tdrm_core::Verdict::Correct { gold, .. } | tdrm_core::Verdict::Incorrect { gold, .. } = verdict {
            let again = exact().compare(&gold, "1");
            let (tdrm_core::Verdict::Correct { gold: form, .. } | tdrm_core::Verdict::Incorrect { gold: form, .. }) = again else {
                return Err(TestCaseError::fail(format!("{gold}: {again:?}")));
            };
            prop_assert_eq!(gold, form);
        }
    }

    #[test]
    fn canonicalisation_is_idempotent(text in soup()) {
        if let Ok(form) = exact().canonical(&text) {
            prop_assert_eq!(exact().canonical(&form).unwrap(), form);
        }
    }

    #[test]
    fn a_text_is_never_an_incorrect_answer_to_itself(text in soup()) {
        let verdict = MathVerifier::new().verify(&text, &text);
        prop_assert!(!verdict.is_incorrect(), "{verdict:?}");
        prop_assert!(!exact().compare(&text, &text).is_incorrect());
    }

    #[test]
    fn the_exact_comparison_is_symmetric(a in soup(), b in soup()) {
        prop_assert_eq!(exact().compare(&a, &b).is_correct(), exact().compare(&b, &a).is_correct());
    }

    #[test]
    fn arbitrary_text_is_judged_without_panic(a in "\\PC{0,60}", b in any::<String>()) {
        let _ = MathVerifier::new().verify(&a, &b);
        let _ = MathVerifier::new().verify(&b, &a);
    }
}

#[test]
fn hostile_input_runs_out_of_fuel_or_is_judged() {
    let verifier = MathVerifier::new();
    let long = |piece: &str, n: usize| piece.repeat(n);
    for response in [
        r"\boxed{2^{100000000}}".to_owned(),
        r"\boxed{10^{10^{10}}}".to_owned(),
        format!("\\boxed{{{}{}}}", long("{", 50_000), long("}", 50_000)),
        format!("\\boxed{{{}1}}", long("1+", 100_000)),
        format!("\\boxed{{{}1}}", long("x^2+", 100_000)),
        long("(", 100_000),
        long("\\frac{", 20_000),
        long("\\boxed{", 20_000),
        long("$", 100_000),
        long("\\sqrt", 50_000),
        long("^2", 50_000),
        format!("\\boxed{{{}}}", long("9", 100_000)),
        format!("\\boxed{}", long("{\\text", 30_000)),
        format!("\\boxed{{{}", long("\\text{", 30_000)),
        format!("\\boxed{{{}", long("\\begin{", 30_000)),
        format!("\\boxed{{{}", long("1.2\\overline{", 30_000)),
        "\\boxed{\u{fffd}\u{0}\\x\\u{d800}}".to_owned(),
    ] {
        let verdict = verifier.verify("5", &response);
        assert!(!verdict.is_correct(), "{verdict:?}");
    }
}

/// Each of these once broke something; found by fuzzing.
#[test]
fn what_fuzzing_found_stays_fixed() {
    for text in ["|3+8(", "|[2,(|"] {
        let verifier = MathVerifier::new();
        assert!(!verifier.verify(text, text).is_incorrect(), "{text:?}");
        let _ = verifier.verify("5", text);
        if let Ok(form) = exact().canonical(text) {
            assert_eq!(exact().canonical(&form).unwrap(), form);
        }
    }
}
