//! What the documents tell people to type, and where their links lead: every invocation of a program is one that the program's own
//! command line accepts, every relay configuration is one, and every link has a target.

use anyhow::{Context, Result, bail, ensure};
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use sixfold_engine::Failure;
use sixfold_netns_tests::air_cli::Cli;
use sixfold_netns_tests::workspace;
use sixfold_profile::coap::Code;
use sixfold_relay::config::{Config, Listen};
use std::fs;
use std::path::{Path, PathBuf};

fn programs() -> Vec<(&'static str, Command)> {
    let names = ["sixfold-relay", "sixfold-device", "sixfold-publish"];
    let air = ("sixfold-air", Cli::command().name("sixfold-air").version("0"));
    names.into_iter().zip(sixfold_pages::programs()).chain([air]).collect()
}

/// One place where a document says what to type.
#[derive(Debug, PartialEq)]
struct Saying {
    text: String,
    /// In a block of its own: to be typed as it is. In a sentence parts may be left out.
    is_whole: bool,
}

/// Everything between back quotes, and every line of blocks that are not of a language, with its continuations.
fn sayings(document: &str) -> Vec<Saying> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    let mut joined = String::new();
    for line in document.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() { Some(language.to_owned()) } else { None };
            continue;
        }
        match block.as_deref() {
            Some("" | "sh") => {
                if let Some(start) = line.strip_suffix('\\') {
                    joined += start;
                    continue;
                }
                let text = std::mem::take(&mut joined) + line.trim();
                found.push(Saying { text: text.trim().to_owned(), is_whole: true });
            }
            Some(_) => {}
            None => {
                let spans = line.split('`').skip(1).step_by(2);
                found.extend(spans.map(|text| Saying { text: text.to_owned(), is_whole: false }));
            }
        }
    }
    found
}

/// The words of an invocation of one of the programs, after its name; behind whatever starts it.
fn invocation(saying: &Saying, name: &str) -> Option<Vec<String>> {
    let words = shlex::split(&saying.text)?;
    let is_program = |word: &String| Path::new(word).file_name().is_some_and(|file| file == name);
    let at = words.iter().position(is_program)?;
    let starters = ["sudo", "cargo", "run", "--release", "--quiet", "--bin", "$"];
    if !words[..at].iter().all(|word| starters.contains(&word.as_str())) {
        return None;
    }
    let words = words.into_iter().skip(at + 1);
    let words = words.skip_while(|word| word == "--").take_while(|word| !is_operator(word));
    Some(words.collect())
}

fn is_operator(word: &str) -> bool {
    ["|", "&&", ";", "&"].contains(&word) || word.starts_with('>')
}

/// What is wrong with what somebody would type; `None` if it is accepted.
fn fault(program: &Command, name: &str, words: &[String], is_whole: bool) -> Option<String> {
    let left_out = |word: &String| word == "…" || word == "...";
    let is_cut = !is_whole || words.iter().any(left_out);
    let words = words.iter().filter(|word| !left_out(word)).cloned();
    let error = program.clone().try_get_matches_from(std::iter::once(name.to_owned()).chain(words)).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        // The name of a command alone, or an option without its value, in a sentence about it.
        ErrorKind::MissingRequiredArgument
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::InvalidValue
            if is_cut =>
        {
            None
        }
        _ => Some(error.to_string()),
    }
}

fn documents() -> Result<Vec<(PathBuf, String)>> {
    let root = workspace::root();
    let mut folders: Vec<PathBuf> =
        ["docs", "grafana", "config/openwrt", "device-client/c-api", "device-client/firmware", "profile"]
            .map(|folder| root.join(folder))
            .to_vec();
    folders.extend([root.clone(), root.join("profile/vectors")]);
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path)?;
                found.push((path, text));
            }
        }
    }
    ensure!(found.len() > 15, "{} documents", found.len());
    Ok(found)
}

#[test]
fn every_command_of_the_documents_is_accepted_by_its_program() -> Result<()> {
    let (mut count, mut faults) = (0, Vec::new());
    for (path, text) in documents()? {
        for saying in sayings(&text) {
            for (name, program) in programs() {
                let Some(words) = invocation(&saying, name) else { continue };
                count += 1;
                if let Some(fault) = fault(&program, name, &words, saying.is_whole) {
                    faults.push(format!("{}: {}\n{fault}", path.display(), saying.text));
                }
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(count > 50, "{count} commands");
    Ok(())
}

/// The examples that `--help` ends with, of a program and its subcommands.
fn examples(command: &Command) -> String {
    let own = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let below: Vec<String> = command.get_subcommands().map(examples).collect();
    format!("{own}\n{}", below.join("\n"))
}

#[test]
fn every_example_of_help_is_accepted_by_its_program() -> Result<()> {
    let (mut count, mut faults) = (0, Vec::new());
    for (name, program) in programs() {
        let text = examples(&program).replace("\\\n", " ");
        for line in text.lines().filter(|line| line.trim_start().starts_with(&format!("{name} "))) {
            let saying = Saying { text: line.trim().to_owned(), is_whole: true };
            let words = invocation(&saying, name).with_context(|| line.to_owned())?;
            count += 1;
            faults.extend(fault(&program, name, &words, true).map(|fault| format!("{line}\n{fault}")));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(count > 20, "{count} examples");
    Ok(())
}

/// clap breaks lines where the terminal ends: a line that was broken before leaves a word alone there. And what is indented
/// (examples, exit statuses) is to be read, or copied, as it stands, on a terminal of 80 columns too.
#[test]
fn help_is_broken_into_lines_by_the_terminal_alone() -> Result<()> {
    let (mut count, mut faults) = (0, Vec::new());
    for (_, program) in programs() {
        let text = examples(&program);
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let [line, next] = [pair[0], pair[1]];
            let is_text = |line: &str| line.starts_with(|c: char| !c.is_whitespace());
            count += 1;
            if is_text(line) && is_text(next) {
                faults.push(format!("a paragraph in two lines: {line}\n{next}"));
            }
            if !is_text(line) && line.chars().count() > 80 {
                faults.push(format!("more than 80 columns: {line}"));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(count > 100, "{count} lines");
    Ok(())
}

#[test]
fn every_configuration_of_the_documents_is_one() -> Result<()> {
    let mut count = 0;
    for (path, text) in documents()? {
        for block in text.split("```toml\n").skip(1) {
            let (block, _) = block.split_once("```").context("a block that does not end")?;
            // Blocks in lists are indented.
            let block: String = block.lines().map(|line| format!("{}\n", line.trim_start())).collect();
            // Of another file, which sessions.contexts names.
            if block.contains("[[context]]") {
                continue;
            }
            count += 1;
            // Files that it names are not here: that is not about the document.
            if let Err(error) = Config::parse(&block, &path) {
                let mistakes = error.to_string();
                let others =
                    mistakes.lines().filter(|line| line.contains(": error") || line.contains("unknown"));
                let others: Vec<&str> = others.collect();
                ensure!(
                    mistakes.contains("check the path") && others.is_empty(),
                    "{}: {mistakes}",
                    path.display()
                );
            }
        }
    }
    ensure!(count >= 4, "{count} configurations");
    Ok(())
}

#[test]
fn every_link_of_the_documents_leads_somewhere() -> Result<()> {
    let mut count = 0;
    for (path, text) in documents()? {
        for target in
            text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = path.parent().unwrap_or(Path::new("/")).join(file);
            ensure!(file.exists(), "{}: {target} is not there", path.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&file)?;
                let has =
                    text.lines().filter_map(|line| line.strip_prefix('#')).any(|line| slug(line) == heading);
                ensure!(has, "{}: {target}: no such heading", path.display());
            }
            count += 1;
        }
    }
    ensure!(count > 80, "{count} links");
    Ok(())
}

/// What a heading is called in links.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

/// The words that begin so, of letters, digits and underscores.
fn words<'t>(text: &'t str, start: &'t str) -> impl Iterator<Item = &'t str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(move |word| word.starts_with(start) && word.len() > start.len())
}

#[test]
fn every_metric_and_alert_of_the_documents_exists_and_operators_know_every_alert() -> Result<()> {
    let root = workspace::root();
    let metrics = fs::read_to_string(root.join("docs/metrics.md"))?;
    let alerts = fs::read_to_string(root.join("grafana/alerts.yml"))?
        + &fs::read_to_string(root.join("grafana/alerts-central.yml"))?;
    let operations = fs::read_to_string(root.join("docs/operations.md"))?;
    for (path, text) in documents()? {
        let is_name =
            |name: &&str| ["_total", "_seconds", "_ratio", "_bytes"].iter().any(|end| name.ends_with(end));
        for name in words(&text, "sixfold_").filter(is_name) {
            ensure!(metrics.contains(&format!("| `{name}` |")), "{}: no metric {name}", path.display());
        }
    }
    let known: Vec<&str> = alerts.split("- alert: ").skip(1).filter_map(|rest| rest.lines().next()).collect();
    ensure!(known.len() >= 10, "{known:?}");
    for name in words(&operations, "Sixfold") {
        ensure!(known.contains(&name), "docs/operations.md: no alert {name}");
    }
    for name in known {
        ensure!(operations.contains(&format!("`{name}`")), "docs/operations.md does not know {name}");
    }
    Ok(())
}

/// The decision tree of docs/operations.md.
fn tree() -> Result<String> {
    let operations = fs::read_to_string(workspace::root().join("docs/operations.md"))?;
    let (_, rest) = operations.split_once("## A device does not update").context("no tree")?;
    Ok(rest.split("\n## ").next().unwrap_or(rest).to_owned())
}

/// Rust source of a folder and of those below.
fn sources(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            text += &sources(&path)?;
        } else {
            text += &fs::read_to_string(&path)?;
        }
    }
    Ok(text)
}

#[test]
fn the_tree_knows_every_error_a_device_gets_and_every_failure_of_an_origin() -> Result<()> {
    let tree = tree()?;
    let engine = sources(&workspace::root().join("relay/engine/src"))?;
    let errors = (4..6).flat_map(|class| (0..32).map(move |detail| Code(class << 5 | detail)));
    let mut count = 0;
    for code in errors {
        let Some(name) = code.name() else { continue };
        let constant = name.to_uppercase().replace([' ', '-'], "_");
        if engine.contains(&format!("Code::{constant}")) {
            count += 1;
            ensure!(tree.contains(&format!(" {code}")), "docs/operations.md: no {code} {name} in the tree");
        }
    }
    ensure!(count > 10, "{count} codes of errors");
    for outcome in Failure::LABELS {
        let is_there =
            tree.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == outcome);
        ensure!(is_there, "docs/operations.md: no {outcome} in the tree");
    }
    Ok(())
}

/// Boot programs ask another port than main programs.
#[test]
fn the_tree_looks_for_requests_at_every_port_of_the_relay() -> Result<()> {
    let ports: Vec<String> =
        Listen::default().coap.iter().map(|address| format!("udp port {}", address.port())).collect();
    let wanted = ports.join(" or ");
    ensure!(
        tree()?.contains(&format!("tcpdump -i INTERFACE {wanted} ")),
        "docs/operations.md: no {wanted:?}"
    );
    Ok(())
}

#[test]
fn wrong_commands_are_seen() -> Result<()> {
    let (name, program) = programs().into_iter().next().context("no program")?;
    let seen = |text: &str, is_whole: bool| -> Result<Option<String>> {
        let document = if is_whole { format!("```\n{text}\n```\n") } else { format!("See `{text}`.\n") };
        let saying = sayings(&document).into_iter().next().context("nothing said")?;
        let Some(words) = invocation(&saying, name) else { bail!("no invocation: {saying:?}") };
        Ok(fault(&program, name, &words, is_whole))
    };
    ensure!(seen("sixfold-relay check --config FILE   # all mistakes", true)?.is_none());
    ensure!(seen("sudo sixfold-relay prefetch \\\n  /fw/a", true)?.is_none());
    ensure!(seen("sixfold-relay prefetch", false)?.is_none());
    ensure!(seen("sixfold-relay prefetch", true)?.is_some(), "a name is missing");
    ensure!(seen("sixfold-relay check --confg FILE", false)?.is_some());
    ensure!(seen("sixfold-relay chek", false)?.is_some());
    Ok(())
}
