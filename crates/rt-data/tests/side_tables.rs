//! Tables of items and users beside a log.

mod common;

use common::{Folder, events, relative, value};
use rt_data::{Dataset, FeatureSpec, ReadOptions, read, read_files};

const LOG: &str = "user,item,time,price\nu,b,2,7\nu,a,1,8\nv,b,3,9\n";

fn options(folder: &Folder, items: &str, users: &str) -> ReadOptions {
    ReadOptions {
        item_table: (!items.is_empty()).then(|| folder.put("items.csv", items)),
        user_table: (!users.is_empty()).then(|| folder.put("users.csv", users)),
        ..ReadOptions::default()
    }
}

fn with(items: &str, users: &str, change: impl Fn(&mut ReadOptions)) -> Result<Dataset, String> {
    let folder = Folder::new();
    let mut options = options(&folder, items, users);
    change(&mut options);
    read(&folder.put("log.csv", LOG), &options).map_err(|e| relative(folder.path(), &e.to_string()))
}

fn items(data: &Dataset, list: &[u32]) -> String {
    list.iter().map(|item| data.items.raw(*item)).collect::<Vec<_>>().join(" ")
}

#[test]
fn columns_titles_and_items_without_an_interaction() {
    let table = "id,name,brand,tags,weight,note,released\nb.0,x,x,x|y,1,x,x\n";
    assert!(with(table, "", |_| {}).unwrap_err().starts_with("items.csv, line 2, column released: `x` is no time"));
    let brand = |n: usize| ["p", "q"][n % 2];
    let rows: String = (0..30)
        .map(|n| {
            format!(
                "i{n},T{n},{},{},{n}.5,text {n},2020-01-{:02}\n",
                brand(n),
                if n % 3 == 0 { "x|y" } else { "x" },
                1 + n
            )
        })
        .collect();
    let table = format!("id,name,brand,tags,weight,note,released\nb,Bee,q,y,0.5,text,1577836800\n{}", "");
    let error = with(&format!("{table}{rows}"), "", |_| {}).unwrap_err();
    assert!(error.contains("is a date, and the times before it are numbers"), "{error}");
    let table = format!("{}{rows}NA,No,p,x,1,t,\n", table.replace("1577836800", ""));
    let data = with(&table, "user,land\nv,x\nw,y\nv,y\n", |_| {}).unwrap();
    assert_eq!(events(&data), ["u a 1", "u b 2", "v b 3"]);
    assert_eq!((items(&data, &data.catalogue), data.offered.len()), ("b a".into(), 32));
    assert_eq!((data.ranked(), data.offered().len(), data.items.rows()), (&data.catalogue[..], 32, 33));
    let b = data.items.get("b").unwrap();
    let last = data.items.get("i29").unwrap();
    assert_eq!((data.title(b), data.title(last)), ("Bee", "T29"));
    let of = |item: u32, name| value(&data.item_features, name, item as usize);
    assert_eq!((of(b, "brand"), of(last, "tags"), of(last, "weight")), ("q".into(), "x".into(), "29.5".into()));
    assert_eq!(of(data.items.get("a").unwrap(), "brand"), "", "a is not in the table");
    assert_eq!(
        data.item_features.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["brand", "tags", "weight"]
    );
    assert_eq!((data.item_release[b as usize], data.item_release[last as usize]), (None, Some(1_580_342_400)));
    assert_eq!(value(&data.user_features, "land", 2), "x", "the first row of v");
    assert!(data.users.get("w").is_some());
    for note in [
        "items.csv: the columns brand, tags:bag, weight:number are taken as features; not note,",
        "users.csv: 1 rows are of ids that have one already",
        "1 rows without the id of an item",
    ] {
        assert!(data.notes.iter().any(|own| own.starts_with(note)), "{note}: {:?}", data.notes);
    }
    let mut all = data;
    all.rank_all_items();
    assert_eq!(all.ranked().len(), 32);
}

#[test]
fn columns_that_are_named_are_of_the_table_where_it_has_them() {
    let spec = |text: &str| FeatureSpec::parse(text).unwrap();
    let table = "item,price,brand\na,1,p\nb,2,q\nc,3,q\n";
    let named = |specs: &[&str]| {
        let specs: Vec<FeatureSpec> = specs.iter().map(|text| spec(text)).collect();
        with(table, "", |options| options.item_features.clone_from(&specs))
    };
    let data = named(&["price:number"]).unwrap();
    assert_eq!(value(&data.item_features, "price", data.items.get("b").unwrap() as usize), "2");
    assert_eq!(data.item_features.columns.len(), 1);
    // One that only the log has, and one that none has.
    let data =
        with("item,brand\na,p\nb,q\n", "", |o| o.item_features = vec![spec("price:number"), spec("brand")]).unwrap();
    assert_eq!(value(&data.item_features, "price", data.items.get("b").unwrap() as usize), "7");
    assert_eq!(value(&data.item_features, "brand", data.items.get("b").unwrap() as usize), "q");
    assert!(named(&["size"]).unwrap_err().starts_with("log.csv, line 1: no column `size`"));
    assert!(
        with("what,brand\na,p\n", "", |_| {}).unwrap_err().starts_with("items.csv, line 1: no column for the item")
    );

    // Types of RecBole say what a column holds.
    let folder = Folder::new();
    let item_table =
        Some(folder.put("toy.item", "item_id:token\tgenre:token_seq\tyear:token\nb\tx y\t1999\na\tx\t2000\n"));
    let data = read(&folder.put("log.csv", LOG), &ReadOptions { item_table, ..ReadOptions::default() }).unwrap();
    assert_eq!(
        (value(&data.item_features, "genre", 1), value(&data.item_features, "year", 1)),
        ("x|y".into(), "1999".into())
    );

    // Beside three files, and not beside MovieLens.
    let folder = Folder::new();
    let parts = ["1.csv", "2.csv", "3.csv"].map(|name| folder.put(name, LOG));
    let data = read_files(&parts[0], &parts[1], &parts[2], &options(&folder, table, "")).unwrap();
    assert_eq!(items(&data, data.offered()), "b a c");
    let movies = Folder::new();
    movies.put("u.data", "1\t2\t3\t4\n");
    let error = read(movies.path(), &options(&folder, table, "")).unwrap_err().to_string();
    assert!(error.contains("is a MovieLens folder, which has tables of its own"), "{error}");
}
