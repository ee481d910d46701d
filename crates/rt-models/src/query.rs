//! Requests: what is known of a user, and the user tower as a program.

use crate::config::Config;
use crate::model::{CHUNK, Model};
use crate::newcomers::UserRow;
use crate::schema::Schema;
use crate::searches::SearchInputs;
use crate::session;
use crate::towers::{Towers, UserInputs};
use crate::{Error, Result};
use rt_tensor::{Params, Step, Tape};

/// One user to make a vector for; `..Query::default()` stands for what is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// Dense user id; 0 for one whom the model does not know.
    pub user: u32,
    /// Dense items, oldest first; the tower takes the last ones.
    pub history: &'a [u32],
    /// Context categories in the order of the schema; shorter is padded with 0, "unknown".
    pub context: &'a [u32],
    /// Seconds of each item of the history, from any origin; empty where they are not known: then all count as simultaneous,
    /// as one session.
    pub times: &'a [i64],
    /// Tokens of the user's last searches, oldest first ([`Model::searches_of`]); empty where none
    /// are known.
    pub searches: &'a [u32],
    /// What is known of a user whom the model does not know, or knows otherwise ([`Model::user_rows`]); it stands for all of
    /// `user`'s own columns.
    pub features: Option<UserRow<'a>>,
}

impl Model {
    /// Vectors of users, `[queries, dim]`.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] for a user or item past the vocabularies, [`Error::Request`] for times that are not as many as the
    /// history's items, and for searches where the model reads none; device errors.
    pub fn user_tower(&self, queries: &[Query<'_>]) -> Result<Vec<f32>> {
        let dim = self.dim();
        let mut out = vec![0.0; queries.len() * dim];
        let given = |i: &usize| queries[*i].features.is_some() && !self.schema.user.is_empty();
        let (given, own): (Vec<usize>, Vec<usize>) = (0..queries.len()).partition(given);
        for (places, given) in [(own, false), (given, true)] {
            for places in places.chunks(user_chunk(&self.schema)) {
                let some: Vec<&Query<'_>> = places.iter().map(|place| &queries[*place]).collect();
                let vectors = self.some_users(&some, given)?;
                for (place, vector) in places.iter().zip(vectors.chunks(dim)) {
                    out[place * dim..][..dim].copy_from_slice(vector);
                }
            }
        }
        Ok(out)
    }

    /// Vectors of at most a chunk of users, `[chunk, dim]`; `given`: by the features of the queries.
    fn some_users(&self, queries: &[&Query<'_>], given: bool) -> Result<Vec<f32>> {
        let (history, columns) = (self.schema.history, self.schema.given_context().len());
        let chunk = user_chunk(&self.schema);
        let mut users = vec![0u32; chunk];
        // Histories stand one after the other: what is written follows their lengths, not the room that there is.
        let mut items = Vec::new();
        let mut slices = vec![0u32; chunk * 2];
        let mut context = vec![0u32; chunk * columns];
        let mut sessions = [vec![0u32; chunk * 2], vec![0u32; chunk * 2]];
        let room = self.schema.searches.as_ref().map_or(0, |shape| shape.room);
        let (mut tokens, mut searches) = (vec![0u32; chunk * room], vec![0u32; chunk * 2]);
        let mut seconds = Vec::new();
        for (i, q) in queries.iter().enumerate() {
            self.check_ids(q)?;
            let last = &q.history[q.history.len().saturating_sub(history)..];
            users[i] = q.user;
            let first = items.len();
            items.extend_from_slice(last);
            slices[i * 2..][..2].copy_from_slice(&[first as u32, last.len() as u32]);
            let given = q.context.len().min(columns);
            context[i * columns..][..given].copy_from_slice(&q.context[..given]);
            if self.config.session_seconds() > 0 {
                let session = session::of_request(q.history, q.times, self.config.session_seconds());
                let length = (session.length as usize).min(last.len());
                let start = (first + last.len() - length) as u32;
                sessions[0][i * 2..][..2].copy_from_slice(&[start, length as u32]);
                sessions[1][i * 2..][..2].copy_from_slice(&session.categories());
            }
            let last = &q.searches[q.searches.len().saturating_sub(room)..];
            tokens[i * room..][..last.len()].copy_from_slice(last);
            searches[i * 2..][..2].copy_from_slice(&[(i * room) as u32, last.len() as u32]);
            if self.config.decay_heads > 0 {
                let times = &q.times[q.times.len().saturating_sub(history)..];
                let since = crate::history::seconds_of_request(times);
                seconds.resize(items.len(), 0);
                seconds[first..].iter_mut().zip(since).for_each(|(to, s)| *to = s);
            }
        }
        let functions = self.schema.hashed_history();
        let again = if functions > 1 { self.item_rows(&items, 1) } else { Vec::new() };
        if functions > 0 {
            items = self.item_rows(&items, 0);
        }
        let programs = if given { Some(self.given_users()?) } else { None };
        let programs = programs.as_deref().unwrap_or(&self.user_programs);
        programs.take()?.with(|program| {
            if room > 0 {
                program.write_u32("query.tokens", &tokens)?;
                program.write_u32("query.searches", &searches)?;
            }
            if given {
                self.write_given(program, queries, chunk)?;
            } else if !self.schema.user.is_empty() {
                program.write_u32("query.user", &users)?;
            }
            if functions > 1 {
                program.write_u32("query.items again", &again)?;
            }
            program.write_u32("query.items", &items)?;
            program.write_u32("query.slice", &slices)?;
            if self.config.session_seconds() > 0 {
                program.write_u32("query.session", &sessions[0])?;
                program.write_u32("query.session_categories", &sessions[1])?;
            }
            if columns > 0 {
                program.write_u32("query.context", &context)?;
            }
            if self.config.decay_heads > 0 {
                program.write_u32("query.seconds", &seconds)?;
            }
            program.run(&Step::new(1, 0, 0, queries.len() as u32))?;
            Ok(program.read_f32("vectors")?)
        })
    }

    /// The rows of the item table that a hash function gives to items.
    fn item_rows(&self, items: &[u32], function: usize) -> Vec<u32> {
        items.iter().map(|item| self.schema.extra.item_row(&self.data.items, *item, function)).collect()
    }

    fn check_ids(&self, q: &Query<'_>) -> Result<()> {
        let unknown = |what, id: u32| Error::Unknown { what, id: id.to_string(), hint: " (dense id)".into() };
        if q.user as usize >= self.schema.user_rows {
            return Err(unknown("user", q.user));
        }
        if let Some(item) = q.history.iter().find(|i| **i as usize >= self.schema.item_rows) {
            return Err(unknown("item", *item));
        }
        if !q.times.is_empty() && q.times.len() != q.history.len() {
            let (times, items) = (q.times.len(), q.history.len());
            let what = format!("{times} times for a history of {items} items: give one for each item, or none");
            return Err(Error::Request(what));
        }
        let words = self.schema.searches.as_ref().map_or(0, |shape| shape.rows);
        if words == 0 && !q.searches.is_empty() {
            return Err(Error::Request("searches of a user: the model was trained without searches".into()));
        }
        if let Some(token) = q.searches.iter().find(|token| **token as usize >= words) {
            return Err(unknown("search token", *token));
        }
        for (value, category) in q.context.iter().zip(&self.schema.context) {
            if *value as usize >= category.rows {
                return Err(unknown("context category", *value));
            }
        }
        Ok(())
    }
}

/// Users that run together: fewer where histories or searches are long, so that a chunk's stay below 4 M items or tokens.
fn user_chunk(schema: &Schema) -> usize {
    let longest = schema.searches.as_ref().map_or(0, |shape| shape.room).max(schema.history);
    (4_194_304 / longest.max(1)).clamp(1, CHUNK)
}

/// The tape of the user tower; `given`: the columns of users are inputs.
pub(crate) fn user_tape(config: &Config, schema: &Schema, params: &Params, given: bool) -> Result<Tape> {
    let mut tape = Tape::with_params(params.clone());
    let mut towers = Towers { config, schema, training: false, draws: 0, built: crate::blocks::Built::default() };
    let rows = user_chunk(schema);
    let columns = schema.given_context().len();
    let context = (columns > 0).then(|| tape.input_ids("query.context", rows, columns));
    let inputs = UserInputs {
        user: (!given).then(|| tape.input_ids("query.user", rows, 1)),
        items: tape.input_ids("query.items", rows * schema.history, 1),
        again: (schema.hashed_history() > 1).then(|| tape.input_ids("query.items again", rows * schema.history, 1)),
        slice: tape.input_ids("query.slice", rows, 2),
        session: (config.session_seconds() > 0)
            .then(|| ["query.session", "query.session_categories"].map(|name| tape.input_ids(name, rows, 2))),
        hole: None,
        context,
        age: config.example_age.then(|| serving_age(&mut tape, config, rows)).transpose()?,
        searches: schema.searches.as_ref().map(|shape| SearchInputs {
            tokens: tape.input_ids("query.tokens", rows * shape.room, 1),
            slice: tape.input_ids("query.searches", rows, 2),
            longest: shape.room,
        }),
        times: (config.decay_heads > 0).then(|| tape.input_ids("query.seconds", rows * schema.history, 1)),
    };
    let vectors = towers.user(&mut tape, &inputs)?;
    tape.output("vectors", vectors);
    Ok(tape)
}

/// The Example Age that all queries have.
fn serving_age(tape: &mut Tape, config: &Config, rows: usize) -> Result<rt_tensor::Var> {
    let age = crate::age::inputs(config.example_age_serving);
    Ok(tape.constant(&age.repeat(rows), rows, age.len())?)
}
