//! The command line.

use crate::ops::admin_url;
use crate::ops::status::Page;
use clap::{ArgGroup, Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sixfold-relay check --config /etc/sixfold/relay.toml
  sixfold-relay serve --config /etc/sixfold/relay.toml
  sixfold-relay doctor --config /etc/sixfold/relay.toml
  sixfold-relay status
  sixfold-relay status --json | jq .links
  sixfold-relay prefetch /fw/lamp-1.4.bin
  sixfold-relay ban /fw/lamp-1.3.bin
  sixfold-relay sessions revoke meter-17

Files (Debian; on OpenWrt the configuration is /etc/config/sixfold):
  /etc/sixfold/relay.toml                 the configuration
  /usr/share/sixfold/relay.toml           its manual: every key and its default
  /usr/share/doc/sixfold-relay/examples   samples for border routers

Signals (serve): SIGHUP reads the configuration again, SIGTERM and SIGINT finish what is under way and exit.

Exit codes: 0 all is well; 1 something failed, or purge, unban or sessions revoke found nothing of that name; 2 the \
command line or the configuration is wrong.";

/// Fetches firmware once over HTTPS and feeds every device behind a border router over CoAP.
#[derive(Debug, Parser)]
#[command(name = "sixfold-relay", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM.
    Serve(ServeOptions),
    /// Look for mistakes in a configuration, and the files that it names, without serving.
    Check(ConfigFile),
    /// Look for what keeps a relay with this configuration from serving on this machine: clock, interface, addresses,
    /// groups, ports, origins, disk, memory. Says what to do.
    Doctor(ConfigFile),
    /// Show what a running relay is doing: refreshing on a terminal, once otherwise.
    Status(StatusOptions),
    /// Have a running relay fetch images before devices ask for them, and wait until all bytes are there.
    Prefetch(Resources),
    /// Have a running relay forget the bytes of images, in memory and on disk: it fetches them anew when they are asked for.
    Purge(PurgeOptions),
    /// Have a running relay refuse images to all devices, with 4.03, until unban or its restart.
    Ban(Resources),
    /// Have a running relay serve images again.
    Unban(Resources),
    /// Show which devices have sessions with a running relay, or end such sessions.
    #[command(subcommand)]
    Sessions(SessionsCommand),
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// Show them, the oldest agreement first.
    List(SessionListOptions),
    /// End those of a device, or all: it has to agree anew, which it may as long as its certificate is trusted.
    Revoke(RevokeOptions),
}

/// Which relay, and which part of the list.
#[derive(Args, Debug)]
pub struct SessionListOptions {
    /// Which relay.
    #[command(flatten)]
    pub relay: Running,
    /// How many at most, up to 1000.
    #[arg(long, default_value_t = Page::default().limit, value_parser = rows, value_name = "N")]
    pub limit: usize,
    /// How many are left out before them.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub skip: usize,
}

/// Which relay, and whose sessions.
#[derive(Args, Debug)]
pub struct RevokeOptions {
    /// Which relay.
    #[command(flatten)]
    pub relay: Running,
    /// The device, as the list calls it.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub name: Option<String>,
    /// Of all devices.
    #[arg(long)]
    pub all: bool,
}

/// Which configuration.
#[derive(Args, Debug)]
pub struct ConfigFile {
    /// The configuration file. Its manual is /usr/share/sixfold/relay.toml, or config/relay.toml in the source.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// How to serve.
#[derive(Args, Debug)]
pub struct ServeOptions {
    /// With which configuration.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Write the log without times, warnings and errors to standard error, and all else to standard output: for service managers, such
    /// as procd, that know by the stream how bad a line is. Under systemd the journal is told, without this.
    #[arg(long)]
    pub two_streams: bool,
}

/// Which relay.
#[derive(Args, Debug)]
pub struct Running {
    /// The admin address of the relay: its admin.listen.
    #[arg(
        long,
        default_value = "http://[::1]:9683",
        env = "SIXFOLD_URL",
        hide_env_values = true,
        value_parser = admin_url,
        value_name = "URL"
    )]
    pub url: String,
}

/// Which images of a running relay.
#[derive(Args, Debug)]
pub struct Resources {
    /// Which relay.
    #[command(flatten)]
    pub relay: Running,
    /// Paths on the relay such as /fw/lamp.bin, coap URIs with such a path, or URLs at an origin.
    #[arg(required = true, value_name = "URI|PATH")]
    pub names: Vec<String>,
}

/// What a running relay is to forget.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["names", "all"])))]
pub struct PurgeOptions {
    /// Which relay.
    #[command(flatten)]
    pub relay: Running,
    /// Paths on the relay such as /fw/lamp.bin, coap URIs with such a path, or URLs at an origin.
    #[arg(value_name = "URI|PATH")]
    pub names: Vec<String>,
    /// Everything.
    #[arg(long)]
    pub all: bool,
}

/// What to show of a running relay.
#[derive(Args, Debug)]
pub struct StatusOptions {
    /// Which relay.
    #[command(flatten)]
    pub relay: Running,
    /// Print JSON, as /api/status has it.
    #[arg(long)]
    pub json: bool,
    /// Print it once, also on a terminal, where it is refreshed otherwise.
    #[arg(long, conflicts_with = "watch")]
    pub once: bool,
    /// Print it again and again, also into a file or pipe, where it is printed once otherwise. With --json: an object a line.
    #[arg(long)]
    pub watch: bool,
    /// The time between two refreshes, at least 100 ms.
    #[arg(long, default_value = "1s", value_parser = interval, value_name = "TIME")]
    pub interval: Duration,
    /// How many devices and how many images at most, up to 1000.
    #[arg(long, default_value_t = Page::default().limit, value_parser = rows, value_name = "N")]
    pub limit: usize,
    /// How many devices are left out before them.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub skip: usize,
    /// How many images are.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub skip_images: usize,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).ok();
    interval
        .filter(|interval| (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(interval))
        .ok_or("give a time from 100 ms to a day, like 500ms or 5s".into())
}

fn rows(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok().filter(|rows| (1..=Page::MOST).contains(rows));
    rows.ok_or_else(|| format!("give a number from 1 to {}", Page::MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_to_forget_is_said_and_only_once() {
        for (arguments, possible) in
            [(&["/a", "/b"][..], true), (&["--all"], true), (&[], false), (&["/a", "--all"], false)]
        {
            let line = ["sixfold-relay", "purge"].iter().chain(arguments);
            assert_eq!(Cli::try_parse_from(line).is_ok(), possible, "{arguments:?}");
        }
        let complaint = Cli::try_parse_from(["sixfold-relay", "purge"]).unwrap_err().to_string();
        assert!(complaint.contains("URI|PATH") && complaint.contains("--all"), "{complaint}");
    }

    #[test]
    fn what_is_no_admin_address_is_a_mistake_of_the_command_line() {
        for command in [&["status"][..], &["ban", "/a"], &["sessions", "list"], &["sessions", "revoke", "a"]]
        {
            for (url, possible) in
                [("http://[::1]:9683", true), ("foo", false), ("https://[::1]:9683", false)]
            {
                let parsed = Cli::try_parse_from([&["sixfold-relay"], command, &["--url", url]].concat());
                assert_eq!(parsed.is_ok(), possible, "{command:?} {url}");
                let complaint = parsed.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(possible || complaint.contains("http://"), "{complaint}");
            }
        }
    }

    #[test]
    fn refuses_impossible_views() {
        for arguments in
            [&["--limit", "0"][..], &["--limit", "1001"], &["--interval", "1ms"], &["--once", "--watch"]]
        {
            let line = ["sixfold-relay", "status"].iter().chain(arguments);
            assert!(Cli::try_parse_from(line).is_err(), "{arguments:?}");
        }
    }
}
