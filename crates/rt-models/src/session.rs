//! The running session: the user's last events with no longer pause between two of them than the configuration's `session`.
//!
//! Sessions are made of events before the request alone: how long ago the last event was is not known here, and what is
//! predicted may be the session's next event or the first of another one.

use rt_kernels::kernels::Sessions;

/// The category of a session's length: the number of its bits, at most 9.
pub(crate) const LENGTH: &str = "session_length";
/// The category of the time between the last two events: 1 + the number of bits of the seconds.
pub(crate) const PAUSE: &str = "session_pause";
/// Categories of [`LENGTH`].
pub(crate) const LENGTHS: usize = Sessions::BITS as usize + 1;
/// Categories of [`PAUSE`].
pub(crate) const PAUSES: usize = 34;

/// What the user tower reads of a history's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// Events of the running session: the last ones of the history.
    pub length: u32,
    /// Category of the time between the last two events; 0 where there are not two.
    pub pause: u32,
}

impl Session {
    /// The session that runs after events at these times (ascending seconds).
    pub(crate) fn after<T: Copy + Into<i64>>(times: &[T], seconds: usize) -> Self {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let pause = |i: usize| times[i].into().saturating_sub(times[i - 1].into()).max(0);
        let mut length = times.len().min(1);
        while length > 0 && length < times.len() && pause(times.len() - length) <= seconds {
            length += 1;
        }
        let bits = |n: i64| 64 - n.leading_zeros();
        let pause = if times.len() < 2 { 0 } else { 1 + bits(pause(times.len() - 1)).min(PAUSES as u32 - 2) };
        Self { length: length as u32, pause }
    }

    /// A history whose times are not known counts as one session.
    pub(crate) fn of_unknown(items: usize) -> Self {
        Self { length: items as u32, pause: u32::from(items > 1) }
    }

    /// Categories of the length and of the pause.
    pub(crate) fn categories(self) -> [u32; 2] {
        [(32 - self.length.leading_zeros()).min(Sessions::BITS), self.pause]
    }
}

/// The session of a request; a time before its predecessor's counts as the same.
pub(crate) fn of_request(history: &[u32], times: &[i64], seconds: usize) -> Session {
    if times.is_empty() { Session::of_unknown(history.len()) } else { Session::after(times, seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_data::Dataset;
    use rt_kernels::{CpuIo, Kernel, Mat, MatMut, Step};

    #[test]
    fn a_session_ends_at_a_longer_pause() {
        let after = |times: &[i64]| {
            let s = Session::after(times, 60);
            (s.length, s.pause)
        };
        assert_eq!(after(&[]), (0, 0));
        assert_eq!(after(&[5]), (1, 0));
        assert_eq!(after(&[5, 5]), (2, 1));
        assert_eq!(after(&[0, 60]), (2, 1 + 6));
        assert_eq!(after(&[0, 61]), (1, 1 + 6));
        assert_eq!(after(&[0, 1_000, 1_001, 1_061]), (3, 1 + 6));
        assert_eq!(after(&[0, i64::from(u32::MAX) * 4]), (1, PAUSES as u32 - 1));
        assert_eq!(Session { length: 1 << 20, pause: 7 }.categories(), [LENGTHS as u32 - 1, 7]);
    }

    #[test]
    fn a_step_makes_the_sessions_of_requests() {
        let mut times: Vec<i64> = (0..400).map(|i| i / 3 * 20).collect();
        times.extend([9_000, 9_061, 9_061, 9_121, 1 << 30]);
        let single = [("b", 500), ("b", 501), ("c", 7)];
        let events = times.iter().map(|t| ("a", *t)).chain(single).enumerate();
        let data = Dataset::from_events(events.map(|(i, (user, t))| (user.to_string(), format!("i{i}"), t)));
        let (seconds, history) = (crate::history::seconds(&data.event_time).unwrap(), 50);
        let rows = data.event_item.len();
        let (mut slice, mut user) = (Vec::new(), Vec::new());
        for event in 0..rows {
            let of = data.user_of(event);
            let length = (event - data.user_start[of as usize] as usize).min(history);
            slice.extend([(event - length) as u32, length as u32]);
            user.push(of);
        }
        let (mut slices, mut categories) = (vec![0; rows * 2], vec![0; rows * 2]);
        let mat = |words, cols| Some(Mat::new(words, rows, cols, cols));
        let starts = Mat::new(&data.user_start, data.user_start.len(), 1, 1);
        let reads = vec![mat(seconds, 1), mat(&slice[..], 2), mat(&user[..], 1), Some(starts)];
        let writes =
            [&mut slices, &mut categories].map(|words| Some(MatMut::new(words.as_mut_slice(), rows, 2, 2))).into();
        let step = Step::default();
        Sessions { rows, history, pause: 60 }.run(&mut CpuIo::new(&step, reads, writes));
        for event in 0..rows {
            let start = data.user_start[data.user_of(event) as usize] as usize;
            let want = Session::after(&data.clock_times(start..event), 60);
            assert_eq!(categories[event * 2..][..2], want.categories(), "event {event}");
            let length = want.length.min(history as u32);
            assert_eq!(slices[event * 2..][..2], [event as u32 - length, length], "event {event}");
        }
    }
}
