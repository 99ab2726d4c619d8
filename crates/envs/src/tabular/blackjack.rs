//! Blackjack.

use serde::{Deserialize, Serialize};
use tdrm_core::Outcome;

use super::{Table, TableError};

/// Blackjack with an infinite deck against a dealer who sticks on 17 (Sutton & Barto, 2018, example 5.1).
///
/// Actions: 0 stick, 1 hit. State `hand · 10 + (dealer's card − 1)`, the ace being card 1; hands are numbered hard
/// 4 … 21, soft 12 … 21, natural (an ace and a ten dealt): see [`Blackjack::state`]. The natural has a number of its
/// own because the rules reward it apart: Gymnasium's observation hides it. Gymnasium 1.4, `Blackjack-v1`
/// (registered with the rules of the book).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blackjack {
    /// What a natural is worth.
    pub rules: BlackjackRules,
}

/// What a natural is worth when the dealer has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlackjackRules {
    /// It wins 1 at once (Gymnasium's `sab`).
    #[default]
    SuttonBarto,
    /// It is any other 21.
    Plain,
    /// A win with it pays 1.5, but another 21 of the dealer still draws (Gymnasium's `natural`).
    NaturalPaysMore,
}

/// A player's hand: its sum with an ace as 11 where that does not bust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
    Hard(usize),
    Soft(usize),
    Natural,
}

const CARDS: std::ops::RangeInclusive<usize> = 1..=10;
const HANDS: usize = 18 + 10 + 1;
const DEALER_STICKS: usize = 17;

/// P(card): ten, jack, queen and king count 10.
fn chance(card: usize) -> f64 {
    if card == 10 { 4.0 / 13.0 } else { 1.0 / 13.0 }
}

impl Hand {
    /// The sum, if it is at most 21, of cards worth `sum` with aces as 1.
    fn of(sum: usize, has_ace: bool) -> Option<Self> {
        match sum {
            22.. => None,
            ..=11 if has_ace => Some(Self::Soft(sum + 10)),
            _ => Some(Self::Hard(sum)),
        }
    }

    fn hit(self, card: usize) -> Option<Self> {
        match self {
            Self::Hard(sum) => Self::of(sum + card, card == 1),
            Self::Soft(sum) => Self::of(sum - 10 + card, true),
            Self::Natural => Self::of(11 + card, true),
        }
    }

    const fn sum(self) -> usize {
        match self {
            Self::Hard(sum) | Self::Soft(sum) => sum,
            Self::Natural => 21,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Hard(sum) => sum - 4,
            Self::Soft(sum) => 18 + sum - 12,
            Self::Natural => HANDS - 1,
        }
    }

    const fn numbered(index: usize) -> Self {
        match index {
            0..18 => Self::Hard(index + 4),
            18..28 => Self::Soft(index - 18 + 12),
            _ => Self::Natural,
        }
    }
}

/// Where the dealer ends: by sum (0 for a bust), and how much of 21 is a natural.
#[derive(Debug, Clone, Default)]
struct Dealer {
    sums: [f64; 22],
    natural: f64,
}

impl Dealer {
    fn showing(card: usize) -> Self {
        let mut dealer = Self::default();
        for hidden in CARDS {
            if card + hidden == 11 && (card == 1 || hidden == 1) {
                dealer.natural += chance(hidden);
            }
            dealer.play(card + hidden, card == 1 || hidden == 1, chance(hidden));
        }
        dealer
    }

    fn play(&mut self, sum: usize, has_ace: bool, probability: f64) {
        match Hand::of(sum, has_ace).map(Hand::sum) {
            None => self.sums[0] += probability,
            Some(best) if best >= DEALER_STICKS => self.sums[best] += probability,
            Some(_) => CARDS.for_each(|c| self.play(sum + c, has_ace || c == 1, probability * chance(c))),
        }
    }
}

impl Blackjack {
    /// The number of a state: the player's sum, whether an ace counts 11, the dealer's card (1 … 10).
    ///
    /// 21 with an ace means a hand of three cards or more; a natural is [`Blackjack::natural`]. `None` for what
    /// cannot be held.
    #[must_use]
    pub fn state(sum: usize, usable_ace: bool, dealer: usize) -> Option<usize> {
        let hand = match (sum, usable_ace) {
            (4..=21, false) => Hand::Hard(sum),
            (12..=21, true) => Hand::Soft(sum),
            _ => return None,
        };
        CARDS.contains(&dealer).then(|| hand.index() * 10 + dealer - 1)
    }

    /// The number of the state with an ace and a ten dealt against this card (1 … 10).
    #[must_use]
    pub fn natural(dealer: usize) -> Option<usize> {
        CARDS.contains(&dealer).then(|| Hand::Natural.index() * 10 + dealer - 1)
    }

    /// The transitions, 290 states.
    ///
    /// # Errors
    /// Never; the signature is that of every environment here.
    pub fn table(&self) -> Result<Table, TableError> {
        let dealers: Vec<_> = CARDS.map(Dealer::showing).collect();
        Table::from_fn(HANDS * 10, 2, deal(), |s, a| {
            let hand = Hand::numbered(s / 10);
            if a == 1 { hit(hand, s) } else { self.stick(hand, &dealers[s % 10], s) }
        })
    }

    fn stick(self, hand: Hand, dealer: &Dealer, state: usize) -> Vec<Outcome> {
        let sum = hand.sum();
        let win: f64 = dealer.sums[..sum].iter().sum();
        let lose: f64 = dealer.sums[sum + 1..].iter().sum();
        let draw = dealer.sums[sum];
        let wins = match (hand, self.rules) {
            (Hand::Natural, BlackjackRules::SuttonBarto) => {
                return ended(state, &[(1.0 - dealer.natural, 1.0), (dealer.natural, 0.0)]);
            }
            (Hand::Natural, BlackjackRules::NaturalPaysMore) => 1.5,
            _ => 1.0,
        };
        ended(state, &[(win, wins), (draw, 0.0), (lose, -1.0)])
    }
}

fn hit(hand: Hand, state: usize) -> Vec<Outcome> {
    let outcome = |card| {
        let (next_state, reward, terminated) = match hand.hit(card) {
            Some(next) => (next.index() * 10 + state % 10, 0.0, false),
            None => (state, -1.0, true),
        };
        Outcome { probability: chance(card), next_state, reward, terminated }
    };
    CARDS.map(outcome).collect()
}

fn ended(state: usize, listed: &[(f64, f64)]) -> Vec<Outcome> {
    let possible = listed.iter().filter(|(p, _)| *p > 0.0);
    possible
        .map(|&(probability, reward)| Outcome { probability, next_state: state, reward, terminated: true })
        .collect()
}

/// Two cards for the player, one for the dealer.
fn deal() -> Vec<f64> {
    let mut initial = vec![0.0; HANDS * 10];
    for (first, second) in CARDS.flat_map(|a| CARDS.map(move |b| (a, b))) {
        let ace = first == 1 || second == 1;
        let hand = if ace && first + second == 11 { Some(Hand::Natural) } else { Hand::of(first + second, ace) };
        for card in CARDS {
            initial[hand.map_or(0, Hand::index) * 10 + card - 1] += chance(first) * chance(second) * chance(card);
        }
    }
    initial
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use tdrm_core::{Discount, TabularMdp};

    use super::*;
    use crate::dp::{StateActions, evaluate, optimal};

    #[test]
    fn hands_are_numbered_both_ways() {
        assert!((0..HANDS).all(|i| Hand::numbered(i).index() == i));
        assert_eq!(Blackjack::state(21, true, 1), Some(270));
        assert_eq!((Blackjack::state(11, true, 1), Blackjack::natural(11)), (None, None));
    }

    #[test]
    fn cards_add_up_as_in_the_rules() {
        assert_eq!(Hand::Hard(10).hit(1), Some(Hand::Soft(21)));
        assert_eq!(Hand::Hard(11).hit(1), Some(Hand::Hard(12)));
        assert_eq!(Hand::Soft(17).hit(10), Some(Hand::Hard(17)));
        assert_eq!(Hand::Natural.hit(10), Some(Hand::Hard(21)));
        assert_eq!(Hand::Hard(12).hit(10), None);
    }

    #[test]
    fn a_dealer_with_a_ten_busts_with_the_known_chance() {
        // Infinite deck, stick on all 17: bust chance against a ten is 0.2121, natural 1/13
        let dealer = Dealer::showing(10);
        assert!((dealer.sums[0] - 0.2121).abs() < 1e-4, "{}", dealer.sums[0]);
        assert!((dealer.natural - 1.0 / 13.0).abs() < 1e-15);
        assert!((dealer.sums.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_best_policy_is_the_one_of_figure_5_2() {
        // with a usable ace stick on 19 and more (18 too, except against 9, 10 and the ace);
        // without, stick on 17 and more, against 2 to 6 on 13 (against 4 to 6 on 12)
        let best = optimal(&Blackjack::default().table().unwrap(), Discount::ONE).unwrap();
        let hits = |sum, ace, dealer| best.actions[Blackjack::state(sum, ace, dealer).unwrap()] == 1;
        for dealer in CARDS {
            assert_eq!(hits(18, true, dealer), matches!(dealer, 1 | 9 | 10), "soft 18 against {dealer}");
            assert!(!hits(19, true, dealer) && hits(17, true, dealer) && !hits(17, false, dealer));
            assert_eq!(hits(16, false, dealer), matches!(dealer, 1 | 7..=10), "hard 16 against {dealer}");
            assert_eq!(hits(12, false, dealer), !matches!(dealer, 4..=6), "hard 12 against {dealer}");
        }
    }

    #[test]
    fn rules_differ_in_the_natural_only() {
        let value = |rules| {
            let table = Blackjack { rules }.table().unwrap();
            let stick = StateActions::deterministic(&vec![0; table.n_states()], 2);
            let v = evaluate(&table, Discount::ONE, &stick).unwrap();
            (v[Blackjack::natural(10).unwrap()], v[Blackjack::state(20, false, 10).unwrap()])
        };
        let book = value(BlackjackRules::SuttonBarto);
        let plain = value(BlackjackRules::Plain);
        let more = value(BlackjackRules::NaturalPaysMore);
        assert!((book.0 - 12.0 / 13.0).abs() < 1e-14);
        assert!(plain.0 < book.0 && (more.0 / plain.0 - 1.5).abs() < 1e-12);
        assert!((book.1 - plain.1).abs() < 1e-15 && (book.1 - more.1).abs() < 1e-15);
    }
}
