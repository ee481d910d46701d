//! A data set from what an app has in memory.

use crate::Dataset;
use crate::builder::Builder;

impl Dataset {
    /// A data set from (user, item, time) in any order; times in seconds, raw ids as text. Features and titles may be set
    /// afterwards: rows by dense id ([`Dataset::users`], [`Dataset::items`]), row 0 for "unknown".
    ///
    /// ```
    /// use rt_data::Dataset;
    ///
    /// let data = Dataset::from_events([("ann", "tea", 30), ("bob", "tea", 10), ("ann", "rye", 20)]);
    /// let ann = data.users.get("ann").unwrap();
    /// let items: Vec<&str> = data.events_of(ann).map(|e| data.items.raw(data.event_item[e])).collect();
    /// assert_eq!(items, ["rye", "tea"]); // in the order of time
    /// ```
    pub fn from_events<U: AsRef<str>, I: AsRef<str>>(events: impl IntoIterator<Item = (U, I, i64)>) -> Self {
        let mut builder = Builder::default();
        for (user, item, time) in events {
            builder.user.push(builder.users.vocab.insert(user.as_ref()));
            builder.item.push(builder.items.vocab.insert(item.as_ref()));
            builder.time.push(time);
        }
        builder.finish("memory".to_owned(), false)
    }
}
