//! Columns with a meaning: labels, weights, ratings, dwell times, sources, impressions.

mod common;

use common::{Folder, csv, events, file_error, relative};
use rt_data::{Dataset, LeftOut, ReadOptions, SplitKind, SplitOptions, read, read_files, split};

fn col(name: &str) -> Option<String> {
    Some(name.to_owned())
}

/// `item: shown items, last first` of every event.
fn shown(data: &Dataset) -> Vec<String> {
    let exposed = data.exposed.as_ref().unwrap();
    let line = |event: usize| {
        let own = exposed.of(event as u32).rev().map(|place| data.items.raw(exposed.items[place]));
        format!("{}: {}", data.items.raw(data.event_item[event]), own.collect::<Vec<_>>().join(" "))
    };
    (0..data.event_item.len()).map(line).collect()
}

#[test]
fn label_0_is_no_positive_but_an_explicit_negative() {
    let options = ReadOptions { label_col: col("click"), ..ReadOptions::default() };
    let text = "user,item,time,click\nu,a,1,1\nu,x,2,0\nv,z,1,0\nu,b,3,1\nu,y,3,false\nu,w,9,0\nu,x,4,0\nu,c,5,2\nv,a,7,true\n";
    let data = csv("d.csv", text, &options);
    assert_eq!(events(&data), ["u a 1", "u b 3", "u c 5", "v a 7"]);
    // The nearest before (or at) the event stand last; another user's and later ones are none of it.
    assert_eq!(shown(&data), ["a: ", "b: y x", "c: x y x", "a: z"]);
    assert_eq!(data.left_out, LeftOut { label: 5, ..LeftOut::default() });
    // Items that were never clicked have an id, and no place in the catalogue.
    let catalogue: Vec<&str> = data.catalogue.iter().map(|&item| data.items.raw(item)).collect();
    assert_eq!(catalogue, ["a", "b", "c"]);
    assert!(data.items.get("w").is_some());
    let cut = split(&data, SplitKind::LeaveLastOut, SplitOptions::default()).unwrap_err();
    assert!(cut.to_string().contains("nothing to learn from"), "shown rows are no events: u has 3, v has 1");

    // Without times all that the user was shown; in three files, of the same part alone.
    let data = csv("d.csv", "user,item,click\nu,x,0\nu,a,1\nu,y,0\nv,b,1\n", &options);
    assert_eq!(shown(&data), ["a: y x", "b: "]);
    // Lines in order: what was shown before the event, whatever the times say, and nothing that came after it.
    let lines = ReadOptions { order_input: true, ..options.clone() };
    let text = "user,item,time,click\nu,x,9,0\nu,a,8,1\nv,z,1,0\nu,y,1,0\nu,b,7,1\nu,w,1,0\nv,c,1,1\n";
    let data = csv("d.csv", text, &lines);
    assert_eq!(shown(&data), ["a: x", "b: y x", "c: z"]);
    let folder = Folder::new();
    let head = "user,item,time,click";
    let paths = [
        folder.put("a.csv", format!("{head}\nu,x,1,0\nu,a,2,1\nu,b,3,1\n")),
        folder.put("b.csv", format!("{head}\nu,c,4,1\n")),
        folder.put("c.csv", format!("{head}\nu,y,1,0\nu,d,5,1\n")),
    ];
    let data = read_files(&paths[0], &paths[1], &paths[2], &options).unwrap();
    assert_eq!(shown(&data), ["a: x", "b: x", "c: ", "d: y"]);

    let error = |text: &str| file_error("d.csv", text, &options);
    assert_eq!(error("user,item,click\nu,a,1\nu,b,\n"), "d.csv, line 3, column click: the label is missing");
    assert_eq!(
        error("user,item,click\nu,a,-1\n"),
        "d.csv, line 2, column click: `-1` is no label; 0 (shown, not clicked) or above 0 is wanted"
    );
    assert_eq!(error("user,item,click\nu,a,x\n"), "d.csv, line 2, column click: `x` is not a finite number");
    assert_eq!(error("user,item\nu,a\n"), "d.csv, line 1: no column `click`; the header has: user, item");
    assert_eq!(
        error("user,item,click\nu,a,0\n"),
        "d.csv: no positive in the file: all 1 rows are below the label, rating or dwell time asked for, or have no id"
    );
}

#[test]
fn rows_of_an_impression_form_a_list() {
    let options = ReadOptions { label_col: col("y"), impression_col: col("req"), ..ReadOptions::default() };
    // Two lists of one second, a list of another user with the same id, an event in no list, two clicks in one list.
    let text = "user,item,time,y,req\nu,a,1,1,r1\nu,x,1,0,r1\nu,y,1,0,r2\nu,b,1,1,r2\nu,z,1,0,r2\nv,c,1,1,r1\nv,w,1,0,r1\n\
                u,d,2,1,\nu,x,2,0,\nu,e,3,1,7\nu,f,3,1,7\nu,y,3,0,7\n";
    let data = csv("d.csv", text, &options);
    assert_eq!(shown(&data), ["a: x", "b: z y", "d: ", "e: y", "f: y", "c: w"]);
    assert_eq!(data.event_bytes(), 6 * (4 + 4 + 8) + 4 * 6);
}

#[test]
fn low_ratings_and_short_looks_are_left_out() {
    let options = ReadOptions { min_rating: Some(4.0), min_dwell: Some(2.5), ..ReadOptions::default() };
    let text = "user,item,time,rating,dwell_time\nu,a,1,4,9\nu,b,2,3.5,9\nu,c,3,5,2\nu,d,4,1,1\nu,e,5,5,2.5\n";
    let data = csv("d.csv", text, &options);
    assert_eq!(events(&data), ["u a 1", "u e 5"]);
    assert_eq!(data.left_out, LeftOut { rating: 2, dwell: 1, ..LeftOut::default() });
    assert!(data.exposed.is_none(), "a low rating is no exposure");
    assert_eq!(
        file_error("d.csv", "user,item,rating\nu,a,4\n", &options),
        "d.csv, line 1: no column for the dwell time: the header has user, item, rating; rename one to `dwell` or name it \
         (`--dwell-col`)"
    );
    let named = ReadOptions { rating_col: col("r"), min_rating: Some(4.0), ..ReadOptions::default() };
    assert_eq!(events(&csv("d.csv", "user,item,r,rating\nu,a,4,1\nu,b,1,4\n", &named)), ["u a"]);
    assert_eq!(
        file_error("d.csv", "user,item,r\nu,a,4\nu,b,good\n", &named),
        "d.csv, line 3, column r: `good` is not a finite number"
    );

    // MovieLens formats know their rating, and nothing else.
    let stars = ReadOptions { min_rating: Some(4.0), ..ReadOptions::default() };
    let data = csv("u.data", "1\t2\t3\t50\n1\t3\t4\t40\n", &stars);
    assert_eq!((events(&data).join(","), data.left_out.rating), ("1 3 40".into(), 1));
    let folder = Folder::new();
    folder.put("ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.0,9\n1,3,3.5,8\n");
    folder.put("movies.csv", "movieId,title,genres\n2,A (1999),x\n3,B (1999),y\n");
    let data = read(folder.path(), &stars).unwrap();
    assert_eq!((events(&data).join(","), data.left_out.rating), ("1 2 9".into(), 1));
    let error = read(folder.path(), &ReadOptions { weight_col: col("w"), ..ReadOptions::default() }).unwrap_err();
    assert_eq!(
        relative(folder.path(), &error.to_string()),
        "ratings.csv: --weight-col: the format has no such column; a table with a header is wanted"
    );
    assert!(file_error("pairs.txt", "1 2\n", &stars).contains("--min-rating: the lines have no rating"));
}

#[test]
fn weights_and_sources_go_with_their_events() {
    let options = ReadOptions { weight_col: col("w"), source_col: col("page"), ..ReadOptions::default() };
    let text = "user,item,time,w,page\nu,d,4,0,home\nu,a,1,1.5,home\nv,z,1,2,shop\nu,b,2,3,shop\nu,c,3,0.5,home\n\
                v,y,2,1,home\nv,x,3,1,shop\n";
    let data = csv("d.csv", text, &options);
    assert_eq!(events(&data), ["u a 1", "u b 2", "u c 3", "u d 4", "v z 1", "v y 2", "v x 3"]);
    assert_eq!(data.event_weight, [1.5, 3.0, 0.5, 0.0, 2.0, 1.0, 1.0]);
    let sources: Vec<&str> = data.event_source.iter().map(|&source| data.sources.raw(source)).collect();
    assert_eq!(sources, ["home", "shop", "home", "home", "shop", "home", "shop"]);

    // All sources train; u's last event is of home, v's of shop.
    let of = |name: &str| {
        let options = SplitOptions { eval_source: data.sources.get(name), ..SplitOptions::default() };
        split(&data, SplitKind::LeaveLastOut, options).unwrap()
    };
    let users = |cases: &[rt_data::EvalCase]| cases.iter().map(|case| data.users.raw(case.user)).collect::<Vec<_>>();
    let (home, shop) = (of("home"), of("shop"));
    assert_eq!((users(&home.valid), users(&home.test)), (vec!["u", "v"], vec!["u"]));
    assert_eq!((users(&shop.valid), users(&shop.test)), (vec![], vec!["v"]));
    assert_eq!((home.examples.to_vec(), shop.examples.to_vec()), (vec![1], vec![1]));
    let plain = csv("d.csv", "user,item,time\nu,a,1\nu,b,2\nu,c,3\nu,d,4\n", &ReadOptions::default());
    let options = SplitOptions { eval_source: Some(1), ..SplitOptions::default() };
    let error = split(&plain, SplitKind::LeaveLastOut, options).unwrap_err().to_string();
    assert!(error.contains("has no source column"), "{error}");

    let weight = |value: &str| {
        let options = ReadOptions { weight_col: col("w"), ..ReadOptions::default() };
        file_error("d.csv", format!("user,item,w\nu,a,{value}\n"), &options)
    };
    for (value, what) in [("-1", "`-1` is no weight"), ("", "the weight is missing"), ("1e39", "e39"), ("NaN", "`NaN`")]
    {
        let error = weight(value);
        assert!(
            error.starts_with("d.csv, line 2, column w: ")
                && error.replace("1000000000000000000000000000000000000000", "1e39").contains(what),
            "{error}"
        );
    }
    let options = ReadOptions { source_col: col("s"), ..ReadOptions::default() };
    assert_eq!(file_error("d.csv", "user,item,s\nu,a,\n", &options), "d.csv, line 2, column s: the source is missing");
}
