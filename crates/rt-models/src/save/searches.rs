//! What a model's folder holds of searches: the words that have rows, and each user's last searches with their times.

use super::{Parsed, Tensor, read_words, words};
use crate::model::Model;
use rt_data::{Searches, Vocab};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

/// The readable part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SearchInfo {
    /// What `data.search_time` counts its seconds from.
    time_origin: i64,
    /// Words and pairs of words, from row 1 on.
    tokens: Vec<String>,
}

impl Model {
    pub(super) fn search_info(&self) -> Option<SearchInfo> {
        let searches = self.kept_searches()?;
        let time_origin = searches.time.iter().min().unwrap_or(0);
        Some(SearchInfo { time_origin, tokens: searches.tokens.iter().map(str::to_owned).collect() })
    }

    pub(super) fn search_tensors(&self) -> Vec<Tensor> {
        let Some(searches) = self.kept_searches() else { return Vec::new() };
        let origin = searches.time.iter().min().unwrap_or(0);
        // A time further than 136 years from the first is kept as the last that fits.
        let since = |t: i64| u32::try_from(t.saturating_sub(origin)).unwrap_or(u32::MAX);
        let times: Vec<u32> = searches.time.iter().map(since).collect();
        let arrays = [
            ("data.search_token", &searches.token),
            ("data.search_start", &searches.start),
            ("data.search_user_start", &searches.user_start),
            ("data.search_time", &times),
        ];
        arrays.map(|(name, values)| (name.into(), Dtype::U32, vec![values.len()], words(values))).into()
    }

    /// Each user's last searches: what recommending needs, and what going on with the model starts from.
    pub(crate) fn kept_searches(&self) -> Option<Searches> {
        self.searches.as_ref().map(|all| all.last(self.config.searches_read()))
    }
}

/// The searches of a folder, for `users` rows of users.
pub(super) fn read(info: &SearchInfo, tensors: &SafeTensors<'_>, users: usize) -> Parsed<Searches> {
    let mut tokens = Vocab::new();
    info.tokens.iter().for_each(|token| _ = tokens.insert(token));
    let array = |name: &str| read_words(tensors, &format!("data.search_{name}"));
    let (token, start, user_start) = (array("token")?, array("start")?, array("user_start")?);
    let time = array("time")?.iter().map(|t| info.time_origin.saturating_add(i64::from(*t))).collect();
    let searches = Searches { tokens, token, start, time, user_start, ..Searches::default() };
    let Searches { tokens, token, start, user_start, .. } = &searches;
    let runs = |ends: &[u32], len: usize| {
        ends.first() == Some(&0) && ends.windows(2).all(|w| w[0] <= w[1]) && ends.last() == Some(&(len as u32))
    };
    let n = searches.len();
    if start.len() != n + 1 || !runs(start, token.len()) || user_start.len() != users + 1 || !runs(user_start, n) {
        return Err("searches and users do not fit each other".into());
    }
    if token.iter().any(|token| *token as usize >= tokens.rows()) {
        return Err("a word of a search lies past the vocabulary".into());
    }
    Ok(searches)
}
