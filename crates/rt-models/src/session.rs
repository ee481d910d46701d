//! The running session: the user's last events with no longer pause between two of them than the configuration's `session`.
//!
//! Sessions are made of events before the request alone: how long ago the last event was is not known here, and what is
//! predicted may be the session's next event or the first of another one.

use crate::schema::Schema;
use rt_data::Dataset;

/// The category of a session's length: the number of its bits, at most 9.
pub(crate) const LENGTH: &str = "session_length";
/// The category of the time between the last two events: 1 + the number of bits of the seconds.
pub(crate) const PAUSE: &str = "session_pause";
/// Categories of [`LENGTH`].
pub(crate) const LENGTHS: usize = 10;
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

    /// Category of the length.
    pub(crate) fn length_category(self) -> u32 {
        (32 - self.length.leading_zeros()).min(LENGTHS as u32 - 1)
    }
}

/// The session before each event.
pub(crate) fn before_events(data: &Dataset, seconds: usize) -> Vec<Session> {
    let mut sessions = Vec::with_capacity(data.event_item.len());
    for user in 0..data.users.rows() as u32 {
        let events = data.events_of(user);
        let times = data.clock_times(events);
        let limit = i64::try_from(seconds).unwrap_or(i64::MAX);
        // The length grows from event to event; looking back each time would be quadratic in a long session.
        let mut length = 0u32;
        for i in 0..times.len() {
            let tail = &times[i.saturating_sub(2)..i];
            length = match i {
                0 => 0,
                1 => 1,
                _ if tail[1].saturating_sub(tail[0]) <= limit => length + 1,
                _ => 1,
            };
            sessions.push(Session { length, ..Session::after(tail, seconds) });
        }
    }
    sessions
}

/// Slices (start, length) of each event's session in the items, `[events, 2]`, at most `schema.history` long.
pub(crate) fn slices(schema: &Schema, data: &Dataset, seconds: usize) -> Vec<u32> {
    let slice = |(event, s): (usize, Session)| {
        let length = s.length.min(schema.history as u32);
        [event as u32 - length, length]
    };
    before_events(data, seconds).into_iter().enumerate().flat_map(slice).collect()
}

/// The session of a request; a time before its predecessor's counts as the same.
pub(crate) fn of_request(history: &[u32], times: &[i64], seconds: usize) -> Session {
    if times.is_empty() { Session::of_unknown(history.len()) } else { Session::after(times, seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(Session { length: 1 << 20, pause: 0 }.length_category(), LENGTHS as u32 - 1);
    }

    #[test]
    fn each_event_sees_what_came_before_it() {
        let times = [("a", 0), ("a", 10), ("a", 20), ("a", 500), ("b", 500), ("b", 501)];
        let events = times.iter().enumerate().map(|(i, (user, t))| (user.to_string(), format!("i{i}"), *t));
        let data = Dataset::from_events(events);
        let got = before_events(&data, 60);
        assert_eq!(got.iter().map(|s| s.length).collect::<Vec<_>>(), [0, 1, 2, 3, 0, 1]);
        for (event, session) in got.iter().enumerate() {
            let start = data.user_start[data.user_of(event) as usize] as usize;
            assert_eq!(*session, Session::after(&data.clock_times(start..event), 60), "event {event}");
        }
    }
}
