//! Settings as people write them, and errors that name them.

use super::*;

#[test]
fn toml_round_trips() {
    for model in [ModelKind::Dssm, ModelKind::YoutubeDnn] {
        let mut config = Config::new(model);
        config.set("windows", "1,3,all").unwrap();
        config.set("lr", "0.0125").unwrap();
        let mut again = Config::new(model);
        again.read_toml(&config.to_toml()).unwrap();
        assert_eq!(again, config);
    }
}

#[test]
fn toml_files_are_read_as_people_write_them() {
    let mut config = Config::new(ModelKind::Dssm);
    let file = "# a comment\nlr = 1e-3\nuser_hidden = [\n  256, # wide\n  64,\n]\nwindows = [1, \"all\"]\nloss = 'full'\nskip = false\n";
    config.read_toml(file).unwrap();
    let mut want = Config::new(ModelKind::Dssm);
    for pair in ["lr=1e-3", "user_hidden=256,64", "windows=1,all", "loss=full", "skip=false"] {
        want.set_pair(pair).unwrap();
    }
    assert_eq!(config, want);
    let refuse = |text: &str| Config::new(ModelKind::Dssm).read_toml(text).unwrap_err().to_string();
    assert!(refuse("lr = 1e-3\nepochs = = 4").contains("line 2"));
    assert!(refuse("[training]\nlr = 1").contains("`training`"));
    assert!(refuse("lr = nan").contains("`lr"));
}

#[test]
fn errors_name_the_key_and_what_would_be_right() {
    let mut config = Config::new(ModelKind::Dssm);
    let text = |r: Result<()>| r.unwrap_err().to_string();
    assert!(text(config.set("dropuot", "1")).contains("nearest is `dropout`"));
    assert!(text(config.set("lr", "banana")).contains("`lr = banana`: has to be a number"));
    assert!(text(config.set("lr", "NaN")).contains("has to be a number"));
    assert!(text(config.set("loss", "triplet")).contains("one of in-batch full"));
    assert!(text(config.set_pair("epochs")).contains("key=value"));
    for key in ["epochs", "batch", "patience"] {
        assert!(text(config.set(key, "0")).contains("at least 1, or auto"));
        config.set(key, "7").unwrap();
        config.set(key, "auto").unwrap();
        assert!(config.to_toml().contains(&format!("{key} = \"auto\"")), "{}", config.to_toml());
    }
    config.set("history", "0").unwrap();
    assert!(text(config.check()).contains("`history = 0`: has to be at least 1"));
    let mut config = Config::new(ModelKind::Dssm);
    config.set("windows", "5,1").unwrap();
    assert!(text(config.check()).contains("ascending"));
}

#[test]
fn widths_of_columns_are_names_and_numbers() {
    let mut config = Config::new(ModelKind::Dssm);
    config.set_pair("column_dims= item_id = 16, a=b=8 ,").unwrap();
    assert_eq!(config.column_dims, [("item_id".to_owned(), 16), ("a=b".to_owned(), 8)]);
    let mut again = Config::new(ModelKind::Dssm);
    again.read_toml("column_dims = [\"item_id=16\", \"a=b=8\"]").unwrap();
    assert_eq!(again, config);
    assert!(config.to_toml().contains("column_dims = \"item_id=16,a=b=8\"\n"));
    for (text, want) in [
        ("genre", "such as item_id=16,genre=8"),
        ("genre:8", "such as item_id=16,genre=8"),
        ("genre=wide", "such as item_id=16,genre=8"),
        ("genre=0", "`column_dims = genre=0`: has to be a column's name"),
        ("genre=5000", "a width from 1 to 4096"),
        ("=8", "a column's name"),
        ("a=1,a=2", "given once for each column"),
    ] {
        let error = config.set("column_dims", text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
    config.column_dims = vec![("a,b".into(), 3)];
    assert!(config.check().unwrap_err().to_string().contains("without commas"));
    config.set("column_dims", "").unwrap();
    assert_eq!(config, Config::new(ModelKind::Dssm));
    let error = config.set("last_activation", "softmax").unwrap_err().to_string();
    assert!(error.contains("one of none relu"), "{error}");
}

#[test]
fn fields_that_hold_no_number_are_refused_like_text() {
    let check = |set: fn(&mut Config)| {
        let mut config = Config::new(ModelKind::YoutubeDnn);
        set(&mut config);
        config.check().unwrap_err().to_string()
    };
    assert!(check(|c| c.lr = f32::NAN).contains("`lr = NaN`: has to be a number"));
    assert!(check(|c| c.clip = f32::INFINITY).contains("`clip = inf`"));
    assert!(check(|c| c.dropout = Some(f32::NAN)).contains("`dropout = NaN`"));
    assert!(check(|c| c.margin = f32::NAN).contains("`margin = NaN`"));
}
