//! Searches as a second bag of the user tower: what an example sees, the same on every device, worth something, saved.

use super::config;
use approx::abs_diff_eq;
use rt_data::{Dataset, Mask, Searches, Split, SplitKind, SplitOptions, Synthetic, split};
use rt_models::eval::{Scorer as _, figures};
use rt_models::{
    Config, Device, Model, ModelKind, ModelScorer, Query, SearchTime, evaluate, extend, train, train_from,
};
use rt_tests::{devices, is_fast_cpu};
use std::ops::ControlFlow;
use std::sync::Arc;

fn go(_: &rt_models::Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn made(text: &str) -> (Dataset, Split) {
    let (data, _) = Synthetic::parse(text).unwrap().generate();
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    (data, split)
}

fn hr(model: &Model, data: &Dataset, split: &Split) -> f64 {
    let context = model.event_context(data);
    let scorer = ModelScorer::new(model, data, &context);
    let ranks = evaluate(model.device(), data, &split.test, &scorer, &[Mask::History]).unwrap();
    figures(&ranks[0]).0.get("HR@10").unwrap()
}

fn trained(device: &Device, config: &Config, data: &Arc<Dataset>, split: &Split) -> Model {
    train(device, config, data.clone(), split, 3, &mut go).unwrap().0
}

/// Four events of one user, the middle two at the same second, and a search at and around each; a second user with the same items.
fn by_hand() -> (Dataset, Split) {
    let events = [("a", "x", 100), ("a", "y", 200), ("a", "z", 200), ("a", "v", 300), ("a", "w", 400), ("b", "x", 100)];
    let mut data = Dataset::from_events(
        events.iter().chain(&[("b", "y", 150), ("b", "z", 160), ("b", "w", 170)]).map(|(u, i, t)| (*u, *i, *t)),
    );
    let rows = [(99, "s99"), (100, "s100"), (101, "s101"), (199, "s199"), (200, "s200"), (299, "s299"), (300, "s300")];
    let late = [(301, "s301"), (399, "s399"), (400, "s400")];
    let all = rows.iter().chain(&late).map(|(t, query)| (1, *t, *query));
    data.searches = Some(Searches::from_rows(data.users.rows(), all));
    let split = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    (data, split)
}

/// The words of a slice (start, length) of the tokens on the device.
fn seen(model: &Model, slices: &[u32], event: usize, words: &[&str]) -> Vec<String> {
    let tokens = model.store().read("search.tokens").unwrap();
    let (start, length) = (slices[2 * event] as usize, slices[2 * event + 1] as usize);
    let raw = |token: &u32| {
        let known = |word: &&&str| model.searches_of(0, &[**word]) == [*token];
        words.iter().find(known).map_or_else(|| "?".to_owned(), |word| (*word).to_owned())
    };
    tokens[start..start + length].iter().map(raw).collect()
}

#[test]
fn an_example_sees_the_searches_up_to_the_last_event_before_it() {
    let words = ["s99", "s100", "s101", "s199", "s200", "s299", "s300", "s301", "s399", "s400"];
    let device = &devices()[0];
    let see = |settings: &[&str]| {
        let (data, split) = by_hand();
        let config = config(ModelKind::Dssm, &[&["epochs=1", "batch=4", "history_dropout=0"], settings].concat());
        let model = trained(device, &config, &Arc::new(data), &split);
        let slices = model.store().read("event.searches").unwrap();
        (0..9).map(|e| seen(&model, &slices, e, &words).join(" ")).collect::<Vec<_>>()
    };
    // User a trains on its first three events, which is where the words with rows come from: the event after the first (time
    // 200) sees what was searched at or before 100, the next one what was searched up to 200, its own second included, since
    // that is the second of the event before. Later events see the same words, the others having no row.
    let all = "s99 s100 s101 s199 s200";
    assert_eq!(see(&[]), ["", "s99 s100", all, all, all, "", "", "", ""]);
    assert_eq!(see(&["searches=2"]), ["", "s99 s100", "s199 s200", "s199 s200", "", "", "", "", ""]);
    // Up to the target's own time: all that is strictly before it.
    let exact = &["search_time=target"];
    let before_200 = "s99 s100 s101 s199";
    assert_eq!(see(exact), ["s99", before_200, before_200, before_200, before_200, "", "", "", ""]);
}

#[test]
fn a_case_sees_what_its_history_allows_and_no_more() {
    let device = &devices()[0];
    let (data, split) = by_hand();
    let config = config(ModelKind::Dssm, &["epochs=1", "batch=4"]);
    let model = trained(device, &config, &Arc::new(data.clone()), &split);
    let score = |data: &Dataset, case: usize| {
        let context = model.event_context(data);
        let mut out = vec![0.0; data.items.rows()];
        ModelScorer::new(&model, data, &context).scores(&[&split.test[case]], &mut out).unwrap();
        out
    };
    // Case 0 is user a at time 400 after an event at 300: what is searched at 300 counts, at 301 it does not.
    let with = |more: &[(u32, i64, &str)]| {
        let some = [&[(1, 99, "s99"), (1, 100, "s100")], more].concat();
        Dataset { searches: Some(Searches::from_rows(data.users.rows(), some)), ..data.clone() }
    };
    let plain = score(&with(&[]), 0);
    assert_ne!(score(&with(&[(1, 300, "s200")]), 0), plain);
    assert_eq!(score(&with(&[(1, 301, "s200")]), 0), plain);
    assert_eq!(score(&with(&[(2, 100, "s200")]), 0), plain, "another user's");
    // Words without a row change nothing but the number of searches.
    assert_eq!(score(&with(&[(1, 300, "never heard")]), 0), plain);
}

#[test]
fn the_same_bits_on_any_threads_and_close_on_every_device() {
    let (data, split) = made("synthetic:users=150,items=120,events=14,searches=12,seed=5");
    let data = Arc::new(data);
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let config = config(kind, &["searches=7", "search_dim=12", "epochs=2"]);
        let mut first: Option<(String, f64)> = None;
        for device in devices() {
            let model = trained(device, &config, &data, &split);
            let own = (model.sha256().unwrap(), hr(&model, &data, &split));
            let (sha, figure) = first.get_or_insert_with(|| own.clone());
            assert!(
                abs_diff_eq!(own.1, *figure, epsilon = 0.03),
                "{kind:?} on {device:?}: HR@10 {} against {figure}",
                own.1
            );
            if is_fast_cpu(device) {
                assert_eq!(own.0, *sha, "{kind:?} on {device:?}");
            }
        }
    }
}

#[test]
fn words_that_tell_the_taste_lift_recall_and_those_of_others_do_not() {
    // Histories are short and say little.
    let (mut data, split) = made(
        "synthetic:users=1500,items=300,events=5,dim=12,taste=16,drift=0,sequence=0,popularity=0.3,searches=40,seed=7",
    );
    let device = &devices()[1];
    for kind in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        // A larger step and tower than other tests have: at their size the figures of two seeds differ by more than searches give.
        let size = ["batch=512", "dim=32", "user_hidden=64"];
        let config = |searches: &str| {
            let settings = ["epochs=12", "patience=12", "user_id=off", "user_features=off", "lr=5e-3", searches];
            config(kind, &[&size[..], &settings].concat())
        };
        let own = Arc::new(data.clone());
        let with = hr(&trained(device, &config("searches=auto"), &own, &split), &own, &split);
        let without = hr(&trained(device, &config("searches=0"), &own, &split), &own, &split);
        // Every user has another one's searches.
        let all = data.searches.clone().unwrap();
        let users = all.users() as u32 - 1;
        let query = |s: usize| {
            let words = all.token[all.tokens_of(s..s + 1)].iter().map(|t| all.tokens.raw(*t));
            words.filter(|token| !token.contains(' ')).collect::<Vec<_>>().join(" ")
        };
        let rows: Vec<(u32, i64, String)> = (1..=users)
            .flat_map(|user| {
                let other = (user + 611) % users + 1;
                let events = data.events_of(user);
                let (n, span) = (all.of(other).len(), (data.time(events.start), data.time(events.end - 1)));
                let at = move |i: usize| span.0 + (span.1 - span.0) * i as i64 / n as i64;
                all.of(other).enumerate().map(move |(i, s)| (user, at(i), s)).collect::<Vec<_>>()
            })
            .map(|(user, time, s)| (user, time, query(s)))
            .collect();
        let rows = rows.iter().map(|(user, time, query)| (*user, *time, query.as_str()));
        data.searches = Some(Searches::from_rows(all.users(), rows));
        let others = Arc::new(data.clone());
        let shuffled = hr(&trained(device, &config("searches=auto"), &others, &split), &others, &split);
        data.searches = Some(all);
        println!("{kind:?}: HR@10 {without:.4} without, {with:.4} with, {shuffled:.4} with others' searches");
        assert!(with > 1.06 * without, "{kind:?}: HR@10 {without} without, {with} with searches");
        assert!(shuffled < 1.04 * without, "{kind:?}: HR@10 {without} without, {shuffled} with others' searches");
    }
}

#[test]
fn a_saved_model_keeps_each_users_last_searches() {
    let folder = tempfile::tempdir().unwrap();
    let (data, split) = made("synthetic:users=150,items=120,events=14,searches=12,seed=5");
    let data = Arc::new(data);
    let model = trained(&devices()[0], &config(ModelKind::Dssm, &["searches=4"]), &data, &split);
    let path = folder.path().join("m");
    model.save(&path).unwrap();
    for device in devices() {
        let loaded = Model::load(device, &path).unwrap();
        assert_eq!(loaded.config(), model.config());
        assert_eq!(hr(&loaded, &data, &split), hr(&model, &data, &split), "evaluation takes the data's searches");
        let mut changed = 0;
        for user in 1..40 {
            let searches = model.searches_of::<&str>(user, &[]);
            assert_eq!(loaded.searches_of::<&str>(user, &[]), searches);
            let history = model.history_of(user);
            let query = Query { user, history, searches: &searches, ..Query::default() };
            let (want, got) =
                (model.recommend(&query, history, 5).unwrap(), loaded.recommend(&query, history, 5).unwrap());
            for (a, b) in want.iter().zip(&got) {
                assert!(abs_diff_eq!(a.score, b.score, epsilon = 1e-4), "{device:?}: {a:?} {b:?}");
            }
            let without = loaded.recommend(&Query { searches: &[], ..query }, history, 5).unwrap();
            changed += usize::from((without[0].score - got[0].score).abs() > 1e-4);
        }
        assert!(changed > 20, "searches count at serving: {changed} of 39");
    }
    // Of four searches, the newest: two that are kept and two of now, whose unknown words are left out.
    let all = data.searches.as_ref().unwrap();
    let user = (1..40).find(|user| all.of(*user).len() > 4).unwrap();
    let last = all.of(user).end;
    let words = |s: usize| all.token[all.tokens_of(s..s + 1)].iter().map(|t| all.tokens.raw(*t)).collect::<Vec<_>>();
    let want: Vec<u32> = [last - 2, last - 1].into_iter().flat_map(words).flat_map(|w| one(&model, w)).collect();
    let now = model.searches_of(0, &["baza", "never baza heard"]);
    assert_eq!(model.searches_of(user, &["baza", "", "never baza heard"]), [want, now.clone()].concat());
    assert_eq!(now, [one(&model, "baza"), one(&model, "baza")].concat());
    // What a folder holds is held against each other.
    let file = path.join("model.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"baza\""), "words are there to be read");
    let asked = Query { user: 1, searches: &[1_000_000], ..Query::default() };
    assert!(model.user_tower(&[asked]).unwrap_err().to_string().contains("search token `1000000`"));
    let plain = trained(&devices()[0], &config(ModelKind::Dssm, &["searches=0"]), &data, &split);
    let error = plain.user_tower(&[Query { searches: &[1], ..asked }]).unwrap_err().to_string();
    assert!(error.contains("trained without searches"), "{error}");
    assert!(plain.searches_of(1, &["baza"]).is_empty());
}

/// The row of a word or a pair, where it has one: a pair alone is what its query has beside its words.
fn one(model: &Model, token: &str) -> Vec<u32> {
    let mut rows = model.searches_of(0, &[token]);
    if let Some((a, b)) = token.split_once(' ') {
        for word in [a, b] {
            if let Some(row) = model.searches_of(0, &[word]).first() {
                let place = rows.iter().position(|r| r == row).unwrap();
                rows.remove(place);
            }
        }
    }
    rows
}

#[test]
fn training_goes_on_with_searches_old_and_new() {
    let (data, split) = made("synthetic:users=120,items=80,events=16,searches=12,seed=6");
    let device = &devices()[0];
    let data = Arc::new(data);
    let base = trained(device, &config(ModelKind::Dssm, &["searches=5"]), &data, &split);
    let again = base.config().clone();
    let mut words = data.searches.as_ref().unwrap().tokens.iter();
    let heard = words.find(|w| !w.contains(' ') && !base.searches_of(0, &[w]).is_empty()).unwrap();
    let query = format!("{heard} unheard");
    // New events of known users, a year later, after new searches.
    let year = 365 * 86_400;
    let rows = (1..60u32).flat_map(|user| {
        let last = data.time(data.events_of(user).end - 1) + year;
        let items = [1 + user % 80, 1 + (user * 7) % 80, 1 + (user * 11) % 80, 1 + (user * 13) % 80];
        items.into_iter().enumerate().map(move |(i, item)| (user, item, last + i as i64 * 10))
    });
    let raw =
        |(user, item, time): (u32, u32, i64)| (data.users.raw(user).to_owned(), data.items.raw(item).to_owned(), time);
    let mut new = Dataset::from_events(rows.map(raw));
    let times: Vec<i64> =
        (0..new.users.rows() as u32).map(|u| new.events_of(u).next().map_or(0, |e| new.time(e))).collect();
    let searched = (1..new.users.rows() as u32).map(|user| (user, times[user as usize] + 5, query.as_str()));
    new.searches = Some(Searches::from_rows(new.users.rows(), searched));
    let more = extend(&base, &new, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert!(more.notes.iter().any(|n| n.contains("118 of 177 words")), "{:?}", more.notes);
    let (model, _) = train_from(device, &base, &again, &more, 1, &mut go).unwrap();
    assert_eq!(model.config().searches, Some(5));
    let own = base.searches_of(0, &[heard]);
    assert_eq!(model.searches_of(0, &[heard]), own, "words keep their rows");
    // Of the new events the second sees the old searches alone (its history ends before the new search), the third the new one.
    let slices = model.store().read("event.searches").unwrap();
    let tokens = model.store().read("search.tokens").unwrap();
    let first = more.data.events_of(1).end - 4;
    let see = |event: usize| {
        let start = slices[2 * event] as usize;
        tokens[start..start + slices[2 * event + 1] as usize].to_vec()
    };
    assert_eq!(see(first + 1), base.searches_of::<&str>(1, &[]));
    assert_eq!(see(first + 2).last(), Some(&own[0]));
    assert!(see(first + 2).len() <= see(first + 1).len() + 1);

    // Without new searches the old ones stay; a model without searches refuses them.
    new.searches = None;
    let more = extend(&base, &new, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap();
    assert!(more.notes.iter().any(|n| n.contains("no searches were read")), "{:?}", more.notes);
    train_from(device, &base, &again, &more, 1, &mut go).unwrap();
    let plain = trained(device, &config(ModelKind::Dssm, &["searches=0"]), &data, &split);
    new.searches = Some(Searches::from_rows(new.users.rows(), [(1, 5, heard)]));
    let error = extend(&plain, &new, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap_err().to_string();
    assert!(error.contains("trained without searches"), "{error}");
}

#[test]
fn settings_that_can_do_nothing_are_refused() {
    let device = &devices()[0];
    let (data, split) = made("synthetic:users=60,items=60,events=10,seed=1");
    let error = |settings: &[&str], data: &Dataset| {
        let config = config(ModelKind::YoutubeDnn, settings);
        Model::new(device, &config, Arc::new(data.clone()), &split, 1).unwrap_err().to_string()
    };
    assert!(error(&["searches=5"], &data).contains("`searches = 5`: no searches were read"));
    assert!(error(&["searches=20000"], &data).contains("at most 10000"));
    assert!(error(&["search_tokens=0"], &data).contains("`search_tokens = 0`"));
    // Nobody's example sees a search that comes after everything: milliseconds, say.
    let searches = Searches::from_rows(data.users.rows(), [(1, 1_700_000_000_000, "late")]);
    let late = Dataset { searches: Some(searches), ..data.clone() };
    assert!(error(&[], &late).contains("no training example sees one"));
    let config = config(ModelKind::Dssm, &["search_time=target"]);
    let model = Model::new(device, &config, Arc::new(data), &split, 1).unwrap();
    assert_eq!(
        (model.config().searches, model.config().search_time),
        (Some(0), SearchTime::History),
        "without searches"
    );
}

#[test]
fn the_most_frequent_words_of_the_past_have_rows() {
    let (mut data, split) = by_hand();
    let rows = [(50, "often"), (60, "often once"), (70, "twice"), (80, "twice"), (350, "future"), (360, "future")];
    data.searches = Some(Searches::from_rows(data.users.rows(), rows.map(|(t, q)| (1, t, q))));
    let data = Arc::new(data);
    let model = |n: &str| {
        let settings = config(ModelKind::Dssm, &["batch=4", &format!("search_tokens={n}")]);
        Model::new(&devices()[0], &settings, data.clone(), &split, 1).unwrap()
    };
    let known = |model: &Model| {
        let words = ["often", "once", "twice", "future", "often once"];
        words.map(|word| model.searches_of(0, &[word]).len())
    };
    assert_eq!(known(&model("9")), [1, 1, 1, 0, 3]);
    assert_eq!(known(&model("2")), [1, 0, 1, 0, 1]);
    assert_eq!(known(&model("1")), [1, 0, 0, 0, 1], "of equals the one that came first");
}
