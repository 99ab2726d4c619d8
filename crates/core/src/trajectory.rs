//! Trajectories of language models: tokens, segments, named reward channels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Behaviour, ShapeError, StepEnd};

/// What a segment of a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SegmentKind {
    /// A reasoning step.
    Step,
    /// Several steps that belong together.
    Thought,
    /// A turn of a dialogue.
    Turn,
    /// An attempt at a solution.
    Solve,
    /// A check of an attempt.
    Verify,
    /// Everything.
    Whole,
}

/// A span of response tokens with its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Positions in the response (prompt excluded), end exclusive, not empty.
    pub span: Range<usize>,
    /// What it is.
    pub kind: SegmentKind,
}

/// Name of a reward channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Channel(Cow<'static, str>);

impl Channel {
    /// Whether the final answer is right.
    pub const OUTCOME: Self = Self(Cow::Borrowed("outcome"));
    /// Quality of each step.
    pub const PROCESS: Self = Self(Cow::Borrowed("process"));
    /// Whether the response keeps the required form.
    pub const FORMAT: Self = Self(Cow::Borrowed("format"));
    /// Divergence from a reference policy.
    pub const KL: Self = Self(Cow::Borrowed("kl"));

    /// A channel of one's own.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Rewards of one channel, attached to segments by index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelRewards {
    /// One number per segment.
    PerSegment(Vec<f64>),
    /// One number for the trajectory.
    PerTrajectory(f64),
}

/// The tokens of a trajectory do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrajectoryError {
    /// Column lengths disagree.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Segments must tile the response: in order, without gap, overlap or empty span.
    #[error("segment {index} is {start}..{end}, expected a non-empty span starting at {expected_start}")]
    Segment {
        /// Which segment.
        index: usize,
        /// Where it starts.
        start: usize,
        /// Where it ends.
        end: usize,
        /// Where it should start.
        expected_start: usize,
    },
    /// The last segment does not end where the response ends.
    #[error("segments end at token {got}, the response has {expected} tokens")]
    Coverage {
        /// Response length.
        expected: usize,
        /// End of the last segment.
        got: usize,
    },
}

/// A prompt with a response, cut into segments, with rewards in named channels.
///
/// Valid by construction: segments tile the response and each per-segment channel has one number per segment, so
/// that a reward is never attached to a token position computed in a loop.
///
/// ```
/// use tdrm_core::{Channel, ChannelRewards, StepEnd, Trajectory};
/// let mut t = Trajectory::new(vec![5, 6], vec![7, 8, 9], StepEnd::Terminated).with_step_ends(&[2, 3])?;
/// t.set_channel(Channel::PROCESS, ChannelRewards::PerSegment(vec![0.5, 1.0]))?;
/// t.set_channel(Channel::OUTCOME, ChannelRewards::PerTrajectory(1.0))?;
/// assert_eq!(t.segment_of_token(2), Some(1));
/// assert_eq!(t.segment_rewards(&Channel::OUTCOME), Some(vec![0.0, 1.0]));
/// # Ok::<(), tdrm_core::TrajectoryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Trajectory {
    prompt: Vec<u32>,
    response: Vec<u32>,
    end: StepEnd,
    segments: Vec<Segment>,
    behaviour: Option<Behaviour>,
    channels: BTreeMap<Channel, ChannelRewards>,
}

impl Trajectory {
    /// A response as one segment (none if it is empty), without rewards.
    #[must_use]
    pub fn new(prompt: Vec<u32>, response: Vec<u32>, end: StepEnd) -> Self {
        let whole = Segment { span: 0..response.len(), kind: SegmentKind::Whole };
        let segments = if response.is_empty() { vec![] } else { vec![whole] };
        Self { prompt, response, end, segments, behaviour: None, channels: BTreeMap::new() }
    }

    /// Cuts the response into steps that end (exclusively) at these positions; drops all channels.
    ///
    /// # Errors
    /// If the ends do not increase strictly or the last is not the response's length.
    pub fn with_step_ends(self, ends: &[usize]) -> Result<Self, TrajectoryError> {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let span = |(start, &end)| Segment { span: start..end, kind: SegmentKind::Step };
        let segments = starts.zip(ends).map(span).collect();
        self.with_segments(segments)
    }

    /// Cuts the response into segments; drops all channels.
    ///
    /// # Errors
    /// If the segments do not tile the response.
    pub fn with_segments(mut self, segments: Vec<Segment>) -> Result<Self, TrajectoryError> {
        check_tiling(&segments, self.response.len())?;
        self.segments = segments;
        self.channels.clear();
        Ok(self)
    }

    /// Adds how the response was drawn.
    ///
    /// # Errors
    /// If there is not one log-probability per response token.
    pub fn with_behaviour(mut self, behaviour: Behaviour) -> Result<Self, TrajectoryError> {
        ShapeError::check("log_probs", self.response.len(), behaviour.log_probs.len())?;
        self.behaviour = Some(behaviour);
        Ok(self)
    }

    /// Sets one channel, replacing what it held.
    ///
    /// # Errors
    /// If a per-segment channel does not have one number per segment.
    pub fn set_channel(&mut self, channel: Channel, rewards: ChannelRewards) -> Result<(), TrajectoryError> {
        if let ChannelRewards::PerSegment(r) = &rewards {
            ShapeError::check("channel", self.segments.len(), r.len())?;
        }
        self.channels.insert(channel, rewards);
        Ok(())
    }

    /// Prompt tokens.
    #[must_use]
    pub fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    /// Response tokens.
    #[must_use]
    pub fn response(&self) -> &[u32] {
        &self.response
    }

    /// How the response ended: a stop token terminates, a length limit truncates.
    #[must_use]
    pub const fn end(&self) -> StepEnd {
        self.end
    }

    /// Segments in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How the response was drawn, if known.
    #[must_use]
    pub const fn behaviour(&self) -> Option<&Behaviour> {
        self.behaviour.as_ref()
    }

    /// All channels by name.
    #[must_use]
    pub const fn channels(&self) -> &BTreeMap<Channel, ChannelRewards> {
        &self.channels
    }

    /// The segment that holds response token `t`.
    #[must_use]
    pub fn segment_of_token(&self, t: usize) -> Option<usize> {
        let k = self.segments.partition_point(|s| s.span.end <= t);
        (k < self.segments.len()).then_some(k)
    }

    /// The channel as one number per segment; a per-trajectory reward is paid at the last one.
    #[must_use]
    pub fn segment_rewards(&self, channel: &Channel) -> Option<Vec<f64>> {
        Some(match self.channels.get(channel)? {
            ChannelRewards::PerSegment(r) => r.clone(),
            ChannelRewards::PerTrajectory(r) => {
                let mut rewards = vec![0.0; self.segments.len()];
                *rewards.last_mut()? = *r;
                rewards
            }
        })
    }
}

fn check_tiling(segments: &[Segment], len: usize) -> Result<(), TrajectoryError> {
    let mut expected_start = 0;
    for (index, Segment { span, .. }) in segments.iter().enumerate() {
        if span.start != expected_start || span.is_empty() {
            let (start, end) = (span.start, span.end);
            return Err(TrajectoryError::Segment { index, start, end, expected_start });
        }
        expected_start = span.end;
    }
    if expected_start == len { Ok(()) } else { Err(TrajectoryError::Coverage { expected: len, got: expected_start }) }
}

/// What a trajectory looks like in a file, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    prompt: Vec<u32>,
    response: Vec<u32>,
    end: StepEnd,
    segments: Vec<Segment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behaviour: Option<Behaviour>,
    #[serde(default)]
    channels: BTreeMap<Channel, ChannelRewards>,
}

impl TryFrom<Unchecked> for Trajectory {
    type Error = TrajectoryError;

    fn try_from(u: Unchecked) -> Result<Self, TrajectoryError> {
        let mut t = Self::new(u.prompt, u.response, u.end).with_segments(u.segments)?;
        if let Some(behaviour) = u.behaviour {
            t = t.with_behaviour(behaviour)?;
        }
        for (channel, rewards) in u.channels {
            t.set_channel(channel, rewards)?;
        }
        Ok(t)
    }
}

impl From<Trajectory> for Unchecked {
    fn from(t: Trajectory) -> Self {
        let Trajectory { prompt, response, end, segments, behaviour, channels } = t;
        Self { prompt, response, end, segments, behaviour, channels }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::Temperature;

    fn five_tokens() -> Trajectory {
        Trajectory::new(vec![1], vec![2, 3, 4, 5, 6], StepEnd::Terminated)
    }

    #[test]
    fn segments_must_tile_the_response() {
        assert!(five_tokens().with_step_ends(&[2, 5]).is_ok());
        let gap = five_tokens().with_step_ends(&[2, 4]).unwrap_err();
        assert_eq!(gap.to_string(), "segments end at token 4, the response has 5 tokens");
        let empty = five_tokens().with_step_ends(&[2, 2, 5]).unwrap_err();
        assert_eq!(empty.to_string(), "segment 1 is 2..2, expected a non-empty span starting at 2");
    }

    #[test]
    fn an_empty_response_has_no_segments() {
        let t = Trajectory::new(vec![1], vec![], StepEnd::Truncated);
        assert!(t.segments().is_empty());
        assert!(t.with_step_ends(&[]).is_ok());
    }

    #[test]
    fn each_token_belongs_to_the_segment_that_spans_it() {
        let t = five_tokens().with_step_ends(&[2, 5]).unwrap();
        let owners: Vec<_> = (0..6).map(|i| t.segment_of_token(i)).collect();
        assert_eq!(owners, [Some(0), Some(0), Some(1), Some(1), Some(1), None]);
    }

    #[test]
    fn a_channel_of_the_wrong_length_is_refused() {
        let mut t = five_tokens().with_step_ends(&[2, 5]).unwrap();
        let error = t.set_channel(Channel::PROCESS, ChannelRewards::PerSegment(vec![1.0])).unwrap_err();
        assert_eq!(error.to_string(), "`channel` has 1 entries, expected 2");
    }

    #[test]
    fn a_trajectory_survives_a_file_and_a_broken_one_does_not_load() {
        let behaviour =
            Behaviour { log_probs: [-0.5; 5].into_iter().collect(), temperature: Temperature::ONE, policy_version: 3 };
        let t = five_tokens().with_step_ends(&[2, 5]).unwrap().with_behaviour(behaviour).unwrap();
        let json = serde_json::to_string(&t).unwrap();
        assert_eq!(serde_json::from_str::<Trajectory>(&json).unwrap(), t);
        let broken = json.replace(r#""end":5"#, r#""end":4"#);
        assert!(serde_json::from_str::<Trajectory>(&broken).unwrap_err().to_string().contains("segments end at"));
    }
}
