//! Every mistake has its line, key and remedy; the reference file says what the code does.

use super::*;
use std::path::Path;
use std::time::Duration;

const REFERENCE: &str = include_str!("../../../../config/relay.toml");

fn parse(text: &str) -> Result<Config, Mistakes> {
    read(text, Path::new("f.toml"), Files::NONE)
}

/// The mistakes as (line, key).
fn mistakes(text: &str) -> Vec<(usize, String)> {
    let mistakes = parse(text).unwrap_err();
    mistakes.list.into_iter().map(|mistake| (mistake.line, mistake.key)).collect()
}

/// In the reference, `#key = value` is a default that may be uncommented; `# text` is prose.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    REFERENCE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_is_the_defaults() {
    let config = parse(&uncommented()).unwrap();
    let Config { routes, cache, proxy, .. } = &config;
    assert_eq!(routes.len(), 1, "one example");
    assert!(cache.disk.is_some() && proxy.forward.len() == 1, "examples of what is off by default");
    let mut plain = config.clone();
    plain.routes.clear();
    assert_eq!(plain.link.len(), 1, "one example");
    assert_eq!(plain.link.remove(0).pacing, LinkConfig::default());
    plain.cache.disk = None;
    plain.proxy.forward.clear();
    assert_eq!(plain, Config::default());
    assert_eq!(parse(REFERENCE).unwrap(), Config::default(), "nothing is on that is not a default");
}

#[test]
fn the_reference_has_every_key() {
    let text = uncommented();
    let source = Source::new(&text, Path::new("f.toml"));
    read_all(&source, source.parse().unwrap(), Files::NONE);
    assert_eq!(source.absent(), Vec::<String>::new());
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn all_mistakes_at_once() {
    let text = "[listen]\ncoap = [\"nowhere\"]\nblock_size = 100\ncolour = 1\n[[route]]\npath = \"fw\"\norigin = \"https://h/x\"\n[cache]\nmemroy = 1\n";
    let found = mistakes(text);
    let expected = [
        (2, "listen.coap"),
        (3, "listen.block_size"),
        (4, "listen.colour"),
        (6, "route.path"),
        (7, "route.origin"),
        (9, "cache.memroy"),
    ];
    assert_eq!(found, expected.map(|(line, key)| (line, key.to_owned())));
    let shown = parse(text).unwrap_err().to_string();
    assert!(shown.contains("f.toml:9: cache.memroy: no such key; did you mean \"memory\"?"), "{shown}");
    assert!(shown.contains("write \"https://h/x/\""), "{shown}");
}

#[test]
fn each_mistake_has_its_place() {
    let route = "[[route]]\npath = \"/a\"\norigin = \"https://h/\"\n";
    let table: &[(String, usize, &str)] = &[
        ("nonsense = 1".into(), 1, "nonsense"),
        ("[listen]\ncoap = []".into(), 2, "listen.coap"),
        ("[listen]\ncoap = [\"[::]:5683\", \"[::]:5683\"]".into(), 2, "listen.coap"),
        ("[listen]\ncoap = 5".into(), 2, "listen.coap"),
        ("listen = 5".into(), 1, "listen"),
        ("[[route]]\norigin = \"https://h/\"".into(), 1, "route.path"),
        ("[[route]]\npath = \"/a\"".into(), 1, "route.origin"),
        ("[[route]]\npath = \"/a/../b\"\norigin = \"https://h/\"".into(), 2, "route.path"),
        ("[[route]]\npath = \"/a%2fb\"\norigin = \"https://h/\"".into(), 2, "route.path"),
        (format!("{route}[[route]]\npath = \"/a\"\norigin = \"https://i/\""), 5, "route.path"),
        (
            format!("{route}[[route]]\npath = \"/b\"\norigin = \"https://h/\"\nmax_age = \"1 s\""),
            6,
            "route.origin",
        ),
        ("[[route]]\npath = \"/a\"\norigin = \"http://h/\"".into(), 3, "route.origin"),
        ("[[route]]\npath = \"/a\"\norigin = \"ftp://h/\"".into(), 3, "route.origin"),
        ("[[route]]\npath = \"/a\"\norigin = \"https://u:p@h/\"".into(), 3, "route.origin"),
        ("[[route]]\npath = \"/a\"\norigin = \"https://h/?q/\"".into(), 3, "route.origin"),
        (format!("{route}client_cert_file = \"c.pem\""), 4, "route.client_cert_file"),
        (format!("{route}client_key_file = \"k.pem\""), 4, "route.client_key_file"),
        (format!("{route}max_age = 5"), 4, "route.max_age"),
        (format!("{route}max_age = \"5 parsecs\""), 4, "route.max_age"),
        (format!("{route}max_age = \"900 years\""), 4, "route.max_age"),
        ("[proxy]\nforward = [\"https://h\"]".into(), 2, "proxy.forward"),
        ("[proxy]\nforward = [\"http://h/\"]".into(), 2, "proxy.forward"),
        ("[proxy]\nforward = [\"https://h/\", \"HTTPS://H:443/\"]".into(), 2, "proxy.forward"),
        ("[cache]\nmemory = \"1 MiB\"\nmax_object = \"2 MiB\"".into(), 3, "cache.max_object"),
        ("[cache]\nmemory = \"1 MiB\"".into(), 2, "cache.max_object"),
        ("[cache]\nmemory = \"lots\"".into(), 2, "cache.memory"),
        ("[cache]\nmax_object = 0".into(), 2, "cache.max_object"),
        ("[cache]\ndisk = { path = \"/tmp\" }".into(), 2, "cache.disk.limit"),
        ("[cache]\ndisk = { path = \"/dev/null\", limit = 1 }".into(), 2, "cache.disk.path"),
        ("[origin]\nretry_delay = \"20 s\"".into(), 2, "origin.retry_delay"),
        ("[origin]\nmax_retry_delay = \"1 s\"\nretry_delay = \"2 s\"".into(), 3, "origin.retry_delay"),
        ("[origin]\nmax_retry_delay = 1\nretry_delay = \"20 s\"".into(), 2, "origin.max_retry_delay"),
        ("[[link]]\ninterface = \"wpan0\"\nmtu = 100".into(), 3, "link.mtu"),
        ("[[link]]\ninterface = \"wpan0\"\nduty_cycle = 0".into(), 3, "link.duty_cycle"),
        ("[[link]]\ninterface = \"wpan0\"\nfanout = 1".into(), 3, "link.fanout"),
        ("[[link]]\ninterface = \"wpan0\"\ngroup = \"fe80::1\"".into(), 3, "link.group"),
        ("[[link]]\ninterface = \"wpan0\"\ngroup = \"ff01::1\"".into(), 3, "link.group"),
        ("[[link]]\ninterface = \"wpan0\"\ngroup = \"ff02::1\"".into(), 3, "link.group"),
        ("[[link]]\ninterface = \"wpan0\"\ngroup_port = 0".into(), 3, "link.group_port"),
        ("[[link]]\ninterface = \"wpan0\"\nhop_limit = 256".into(), 3, "link.hop_limit"),
        ("[[link]]\ninterface = \"wpan0\"\nstream_block_size = 32".into(), 3, "link.stream_block_size"),
        ("[[link]]\ninterface = \"wpan0\"\nfanout = false\nrepair = \"prayer\"".into(), 4, "link.repair"),
        ("[limits]\nexchanges = 0".into(), 2, "limits.exchanges"),
        ("[limits]\nclient_rate = -1".into(), 2, "limits.client_rate"),
        ("[limits]\nclient_rate = 5000000000".into(), 2, "limits.client_rate"),
        ("[limits]\npatience = \"0 s\"".into(), 2, "limits.patience"),
        ("[admin]\nlisten = \"[::]:9683\"".into(), 2, "admin.listen"),
        ("[admin]\nhosts = [\"relay.example\", \"http://relay.example:9683\"]".into(), 2, "admin.hosts"),
        ("[admin]\nhosts = [\"relay..example\"]".into(), 2, "admin.hosts"),
        ("[log]\nlevel = \"loud\"".into(), 2, "log.level"),
    ];
    for (text, line, key) in table {
        assert_eq!(mistakes(text), [(*line, (*key).to_owned())], "{text}");
    }
}

#[test]
fn numbers_that_are_out_of_range_are_told_their_range() {
    for (text, words) in [
        ("[origin]\nretries = -1", "-1 is out of range; give 0 to 1000000"),
        ("[limits]\nexchanges = -1", "-1 is out of range; give 1 to 1000000"),
        ("[[link]]\ninterface = \"a\"\nhop_limit = -1", "-1 is out of range; give 1 to 255"),
        ("[[link]]\ninterface = \"a\"\ngroup_port = 70000", "70000 is out of range; give 1 to 65535"),
        ("[cache]\nmemory = -1", "-1 is out of range; give a size"),
        ("[listen]\nblock_size = -1", "-1 is out of range; give 16, 32"),
    ] {
        let shown = parse(text).unwrap_err().to_string();
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn syntax_errors_have_a_line() {
    let found = mistakes("[listen]\ncoap = [\n\n[cache\n");
    assert!(found.len() == 1 && found[0].0 > 0, "{found:?}");
    // What the parser makes of the rest is no mistake of the operator.
    assert_eq!(mistakes("[cach\nmemory = 1\n"), [(1, String::new())]);
    assert_eq!(mistakes("colour = 1\n[listen]\nblock_size = = 64\n"), [(3, String::new())]);
}

#[test]
fn a_stream_goes_as_far_as_its_group_reaches() {
    let fanout = |keys: &str| {
        let text = format!("[[link]]\ninterface = \"wpan0\"\n{keys}");
        parse(&text).unwrap().link[0].pacing.fanout
    };
    let hops = |keys| fanout(keys).unwrap().hop_limit;
    assert_eq!([hops(""), hops("group = \"ff32::7\""), hops("group = \"ff03::fd\"")], [1, 1, 64]);
    assert_eq!(hops("group = \"ff03::fd\"\nhop_limit = 3"), 3);
    assert_eq!(fanout("fanout = false\nhop_limit = 3"), None);
    let blocks = fanout("repair = \"blocks\"\nstream_block_size = 256").unwrap();
    assert_eq!((blocks.repair, blocks.block_size.size()), (Repair::Blocks, 256));
}

#[test]
fn values_in_every_spelling() {
    let text = "[cache]\nmemory = \"64 MiB\"\nmax_object = 1000\nnegative_ttl = \"250 ms\"\n[admin]\nlisten = \"\"\n\
                [[route]]\npath = \"/\"\norigin = \"HTTPS://Host:443/Base/\"\nmax_age = \"5 min\"\nstale_if_error = \"7 d\"\n";
    let config = parse(text).unwrap();
    assert_eq!((config.cache.memory, config.cache.max_object), (64 << 20, 1000));
    assert_eq!(config.cache.negative_ttl, Duration::from_millis(250));
    assert_eq!(config.admin.listen, None);
    let route = &config.routes[0];
    assert_eq!((route.path.len(), route.origin.prefix.as_str()), (0, "https://host/Base/"));
    assert_eq!(
        (route.origin.max_age, route.origin.stale_if_error),
        (Some(Duration::from_secs(300)), Some(Duration::from_secs(604_800)))
    );
}

#[test]
fn each_entry_of_a_list_has_its_line() {
    let listen = "[listen]\ncoap = [\n  \"[::]:5683\",\n  \"bad\",\n  5,\n]\n";
    let proxy = "[proxy]\nforward = [\n  \"https://h/\",\n  \"ftp://h/\",\n  \"https://i\",\n]\n";
    for (text, key) in [(listen, "listen.coap"), (proxy, "proxy.forward")] {
        assert_eq!(mistakes(text), [(4, key.to_owned()), (5, key.to_owned())], "{text}");
    }
}

#[test]
fn one_mistake_is_not_reported_as_two() {
    let routes = "[[route]]\npath = \"a\"\norigin = \"https://h/\"\n[[route]]\norigin = \"https://i/\"\n\
                  [[route]]\npath = \"/\"\norigin = \"https://j/\"\n";
    assert_eq!(mistakes(routes), [(2, "route.path".to_owned()), (4, "route.path".to_owned())]);
    let cache = "[cache]\nmemory = \"lots\"\nmax_object = \"32 MiB\"";
    assert_eq!(mistakes(cache), [(2, "cache.memory".to_owned())]);
}

#[test]
fn images_end_where_block_numbers_end() {
    for (block_size, longest) in [(1024, 1 << 30), (64, 1 << 26)] {
        let text = |max_object: u64| {
            format!(
                "[listen]\nblock_size = {block_size}\n[cache]\nmemory = \"64 GiB\"\nmax_object = {max_object}"
            )
        };
        assert_eq!(parse(&text(longest)).unwrap().cache.max_object, longest);
        assert_eq!(mistakes(&text(longest + 1)), [(5, "cache.max_object".to_owned())]);
    }
}

#[test]
fn numbers_end_where_tables_would_not_fit() {
    let limits = ["client_rate", "client_burst", "exchanges", "exchanges_per_client", "observers", "fetches"];
    for key in limits.into_iter().chain(["resources", "transfers"]) {
        parse(&format!("[limits]\n{key} = 1000000")).unwrap();
        assert_eq!(mistakes(&format!("[limits]\n{key} = 1000001")), [(2, format!("limits.{key}"))]);
    }
}

#[test]
fn interfaces_have_names_that_linux_allows() {
    let interface = |name: &str| format!("[listen]\ninterface = \"{name}\"");
    for name in ["lowpan0", "br-lan.100", "fifteen-letters"] {
        assert_eq!(parse(&interface(name)).unwrap().listen.interface.as_deref(), Some(name));
    }
    for name in ["sixteen--letters", "a b", "a/b", "eth0:1", "..", "\\u0000"] {
        assert_eq!(mistakes(&interface(name)), [(2, "listen.interface".to_owned())], "{name}");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "[[route]]\npath = \"/a\"\norigin = \"https://h/\"\nca_file = \"ca.pem\"\n\
                client_cert_file = \"/absolute/c.pem\"\nclient_key_file = \"../k.pem\"\n\
                [cache]\ndisk = { path = \"spool\", limit = 1 }\n";
    let config = read(text, Path::new("/etc/sixfold/relay.toml"), Files::NONE).unwrap();
    let origin = &config.routes[0].origin;
    assert_eq!(origin.ca_file.as_deref(), Some(Path::new("/etc/sixfold/ca.pem")));
    assert_eq!(origin.client_cert_file.as_deref(), Some(Path::new("/absolute/c.pem")));
    assert_eq!(origin.client_key_file.as_deref(), Some(Path::new("/etc/sixfold/../k.pem")));
    assert_eq!(config.cache.disk.unwrap().path, Path::new("/etc/sixfold/spool"));
    let beside = read(text, Path::new("relay.toml"), Files::NONE).unwrap();
    assert_eq!(beside.routes[0].origin.ca_file.as_deref(), Some(Path::new("ca.pem")));
}

/// What a whole load finds, as (line, key), in a file with this route.
fn loaded(directory: &Path, route: &str) -> Vec<(usize, String)> {
    let file = directory.join("relay.toml");
    std::fs::write(&file, format!("[[route]]\npath = \"/a\"\norigin = \"https://h/\"\n{route}")).unwrap();
    let found = Config::load(&file).err().map_or(Vec::new(), |mistakes| mistakes.list);
    found.into_iter().map(|mistake| (mistake.line, mistake.key)).collect()
}

#[test]
fn every_file_of_an_origin_is_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let [one, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap());
    std::fs::write(path("cert.pem"), one.cert.pem()).unwrap();
    let secret = |name: &str, text: String| {
        crate::secret::write(&directory.path().join(name), text.as_bytes()).unwrap();
    };
    secret("key.pem", one.signing_key.serialize_pem());
    secret("other.pem", other.signing_key.serialize_pem());
    std::fs::write(path("empty.pem"), "nothing here").unwrap();
    let route = |ca: &str, cert: &str, key: &str| {
        let [ca, cert, key] = [ca, cert, key].map(path);
        format!("ca_file = \"{ca}\"\nclient_cert_file = \"{cert}\"\nclient_key_file = \"{key}\"\n")
    };
    let all = [(4, "route.ca_file"), (5, "route.client_cert_file"), (6, "route.client_key_file")]
        .map(|(line, key)| (line, key.to_owned()));
    let load = |ca, cert, key| loaded(directory.path(), &route(ca, cert, key));
    assert_eq!(load("cert.pem", "cert.pem", "key.pem"), []);
    assert_eq!(load("missing.pem", "empty.pem", "cert.pem"), all, "absent, no PEM, no key");
    let both = [&all[..1], &all[2..]].concat();
    assert_eq!(
        load("missing.pem", "cert.pem", "other.pem"),
        both,
        "absent, and the key of another certificate"
    );
    let alone =
        format!("ca_file = \"{}\"\nclient_cert_file = \"{}\"\n", path("missing.pem"), path("empty.pem"));
    assert_eq!(loaded(directory.path(), &alone), [&all[..2], &all[1..2]].concat(), "no key, no PEM");
    let file = directory.path().join("relay.toml");
    let text =
        format!("[[route]]\npath = \"/a\"\norigin = \"http://h\"\nca_file = \"{}\"", path("missing.pem"));
    std::fs::write(&file, text).unwrap();
    let shown = Config::load(&file).unwrap_err().to_string();
    for words in ["slash; write \"http://h/\"", "not encrypted", "route.ca_file"] {
        assert!(shown.contains(words), "{words} in\n{shown}");
    }
    assert_eq!(load("cert.pem", "cert.pem", "other.pem"), all[2..], "the key of another certificate");
}

#[test]
fn a_directory_is_a_coap_uri() {
    let read = |text: &str| parse(&format!("[resource_directory]\n{text}\n"));
    let directory = read("uri = \"coap://[2001:db8::5]:5999/rd/\"").unwrap().directory();
    let directory = directory.unwrap();
    assert_eq!((&*directory.host, directory.port, &*directory.path), ("[2001:db8::5]", 5999, "rd/"));
    assert_eq!(read("uri = \"coap://rd.example\"").unwrap().directory.uri.unwrap().port, 5683);
    assert!(read("uri = \"\"").unwrap().directory().is_none());
    for wrong in [
        "uri = \"http://h\"",
        "uri = \"rd.example\"",
        "uri = \"coap://\"",
        "uri = \"coap://h/?a\"",
        "lifetime = \"1 s\"",
        "base = \"coap://h/x\"",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    assert!(read(&format!("endpoint = \"{}\"", "a".repeat(64))).is_err());
}
