#!/usr/bin/env python3
"""Writes dashboard.json to standard output, with Grafana's own SDK (netns-tests/requirements.txt has its version).

    target/venv/bin/python grafana/dashboard.py >grafana/dashboard.json

Names with colons are recorded by recording.yml. A test compares the two files, and asks a real Prometheus for every query.
"""

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models import dashboard as models

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# The job that README.md, the rules and the alerts know; whoever calls it otherwise chooses that at the top.
JOB = "sixfold"
# Which relays are looked at.
HERE = 'job=~"$job", instance=~"$instance"'
# What config/scale-out/prometheus-central.yml calls the sites that it asks.
SITES = '{job="sixfold-sites"}'


def query(expression, legend=""):
    """{} in an expression stands for the choice of relays."""
    expression = expression.replace("{}", "{" + HERE + "}").replace("{,", "{" + HERE + ",")
    builder = prometheus.Dataquery().expr(expression).legend_format(legend or "{{instance}}").datasource(SOURCE)
    return builder.range()


def last():
    """Of a series, its value of now."""
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def thresholds(*steps):
    """(value, colour), from the lowest; the first value is None."""
    steps = [models.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def number(title, description, expression, unit="short", steps=((None, "green"),), legend="", none="no relay"):
    """One number, of now; `none` is what stands there where there is nothing to count, or to divide by."""
    panel = stat.Panel().title(title).description(description).unit(unit).height(4).span(4).datasource(SOURCE)
    panel = panel.thresholds(thresholds(*steps)).graph_mode(BigValueGraphMode.NONE)
    panel = panel.reduce_options(last()).no_value(none)
    if legend:
        panel = panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
    return panel.with_target(query(expression, legend).instant().ref_id("A"))


def bars(title, description, unit, expression, legend, highest=None):
    """The state of now, one bar a series."""
    panel = bargauge.Panel().title(title).description(description).unit(unit).height(8).span(8).datasource(SOURCE)
    panel = panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC).min(0)
    panel = panel.thresholds(thresholds((None, "blue"))).reduce_options(last()).no_value("none")
    if highest is not None:
        panel = panel.max(highest)
    return panel.with_target(query(expression, legend).instant().ref_id("A"))


def chart(title, description, unit, *queries, stacked=False, span=12):
    panel = timeseries.Panel().title(title).description(description).unit(unit).height(8).span(span).datasource(SOURCE)
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = panel.legend(legend.show_legend(True)).min(0).fill_opacity(20 if stacked else 0)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for letter, item in zip("ABCDEF", queries):
        panel = panel.with_target(item.ref_id(letter))
    return panel


def jobs():
    builder = dashboard.QueryVariable("job").label("Job").datasource(SOURCE).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    builder = builder.query("label_values(up, job)").multi(True)
    return builder.current(models.VariableOption(text=[JOB], value=[JOB], selected=True))


def relays():
    """Out of `up`, which a relay that is down still has: by a metric of its own it would be forgotten, and not be counted as down."""
    builder = dashboard.QueryVariable("instance").label("Relay").datasource(SOURCE).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return builder.query('label_values(up{job=~"$job"}, instance)').multi(True).include_all(True)


def overview(board):
    saved = "1 - sum(instance:sixfold_origin_bytes:increase1d{}) / (sum(instance:sixfold_sent_bytes:increase1d{}) > 0)"
    hits = "sum(instance:sixfold_cache_hits:rate1h{}) / (sum(instance:sixfold_cache_requests:rate1h{}) > 0)"
    good = ((None, "red"), (0.5, "orange"), (0.9, "green"))
    return (
        board.with_row(dashboard.Row("Overview"))
        .with_panel(
            number("Relays up", "Relays that Prometheus reaches.", "sum(up{})", steps=((None, "red"), (1, "green")))
        )
        .with_panel(
            number("Relays down", "Relays that Prometheus does not reach.", "count(up{}) - sum(up{})", steps=((None, "green"), (1, "red")))
        )
        .with_panel(
            number(
                "Links absent",
                "Interfaces that a relay's configuration names and that are not there, or not up: nobody behind them is served.",
                "count(sixfold_interface_up{}) - sum(sixfold_interface_up{})",
                steps=((None, "green"), (1, "red")),
                none="none named",
            )
        )
        .with_panel(
            number(
                "Sites down",
                "Sites whose Prometheus the centre does not reach: their relays are not counted anywhere here. At a site there are none to ask.",
                f"count(up{SITES}) - sum(up{SITES})",
                steps=((None, "green"), (1, "red")),
                none="no sites",
            )
        )
        .with_panel(
            number(
                "Alerts firing",
                "Of the relays, by name, and how often each; docs/operations.md says what each wants.",
                'count by (alertname) (ALERTS{,alertstate="firing"})',
                steps=((None, "red"),),
                legend="{{alertname}}",
                none="none",
            )
        )
        .with_panel(
            number(
                "Versions",
                "Which versions run, on how many relays each.",
                "count by (version) (sixfold_build_info{})",
                legend="{{version}}",
            )
        )
        .with_panel(number("Devices updating", "In the middle of an image.", "sum(sixfold_transfers_active{})"))
        .with_panel(
            number("Done today", "Images delivered to the last block.", 'sum(increase(sixfold_transfers_total{,outcome="finished"}[1d]))')
        )
        .with_panel(
            number(
                "Failed today",
                "Devices that fell silent, or turned to another version, before the end.",
                'sum(increase(sixfold_transfers_total{,outcome="abandoned"}[1d]))',
                steps=((None, "green"), (1, "orange")),
            )
        )
        .with_panel(
            number("Hit ratio", "Requests for images in the last hour that complete images in memory answered.", hits, "percentunit", good, none="no requests")
        )
        .with_panel(
            number("Bytes saved today", "Of what left towards devices, what the origin did not have to send.", saved, "percentunit", good, none="nothing sent")
        )
        .with_panel(
            number("Fetched today", "What origins sent.", "sum(instance:sixfold_origin_bytes:increase1d{})", "bytes")
        )
        .with_panel(
            chart(
                "Delivered and fetched",
                "What leaves towards devices (to a group each block counts once), against what the origin sends: the distance is what the relay is for.",
                "Bps",
                query("sum(instance:sixfold_sent_bytes:rate5m{})", "to devices"),
                query("sum(instance:sixfold_origin_bytes:rate5m{})", "from origins"),
            )
        )
        .with_panel(
            chart(
                "Hits and savings",
                "By relay: requests that complete images in memory answered, in an hour; and bytes that the origin did not have to send, in a day.",
                "percentunit",
                query("instance:sixfold_cache_hits:ratio1h{}", "hits {{instance}}"),
                query("instance:sixfold_bytes_saved:ratio1d{}", "saved {{instance}}"),
            )
        )
    )


def devices(board):
    rate = "[$__rate_interval]"
    quantile = "histogram_quantile({}, sum by (le) (rate(sixfold_transfer_duration_seconds_bucket{{}}[1h])))"
    return (
        board.with_row(dashboard.Row("Devices"))
        .with_panel(
            bars(
                "Longest at it",
                "The ten devices that have taken longest for an image so far. The status page says which ones they are; zero stands for nobody.",
                "s",
                "topk(10, sixfold_longest_transfer_seconds{})",
                "{{instance}} #{{rank}}",
            )
        )
        .with_panel(
            bars(
                "How far these are",
                "The share of its image that each of the longest has been sent, by the same numbers.",
                "percentunit",
                "sixfold_longest_transfer_progress_ratio{} and topk(10, sixfold_longest_transfer_seconds{})",
                "{{instance}} #{{rank}}",
                highest=1,
            )
        )
        .with_panel(
            bars(
                "Relays with most devices updating",
                "The ten relays with the most devices in the middle of an image.",
                "short",
                "topk(10, sixfold_transfers_active{})",
                "{{instance}}",
            )
        )
        .with_panel(
            chart("Devices updating", "In the middle of an image.", "short", query("sixfold_transfers_active{}"))
        )
        .with_panel(
            chart(
                "Transfers that ended",
                "Each is an image to a device.",
                "short",
                query("sum by (outcome) (increase(sixfold_transfers_total{}[1h]))", "{{outcome}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Time for an image",
                "From a device's first request to its last block.",
                "s",
                query(quantile.format("0.5"), "median"),
                query(quantile.format("0.9"), "nine of ten"),
            )
        )
        .with_panel(
            chart(
                "Answers",
                "By response code: what devices are told.",
                "reqps",
                query(f"sum by (code) (rate(sixfold_responses_total{{}}{rate})) > 0", "{{code}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Requests that came again",
                "Of all requests. The answer, or the request, was lost or late: loss on the radio side, on any link.",
                "percentunit",
                query("instance:sixfold_requests_repeated:ratio5m{}"),
            )
        )
        .with_panel(
            chart(
                "Dropped datagrams",
                "Not processed, not answered, not sent or not acknowledged, by reason.",
                "pps",
                query(f"sum by (reason) (rate(sixfold_dropped_total{{}}{rate}))", "{{reason}}"),
                stacked=True,
            )
        )
    )


def links(board):
    rate = "[$__rate_interval]"
    named = "{{instance}} {{interface}}"
    return (
        board.with_row(dashboard.Row("Links"))
        .with_panel(
            chart("Rate", "Payload delivered on each link.", "Bps", query("sixfold_link_rate_bytes_per_second{}", named))
        )
        .with_panel(
            chart(
                "Loss",
                "Share of the last answers that were lost; and that of a relay's links together, in five minutes.",
                "percentunit",
                query("sixfold_link_loss_ratio{}", named),
                query("instance:sixfold_link_loss:ratio5m{}", "{{instance}} all"),
            )
        )
        .with_panel(
            chart(
                "Round trip",
                "From an answer to the next request, smoothed. Seconds are normal on Wi-SUN.",
                "s",
                query("sixfold_link_round_trip_seconds{}", named),
            )
        )
        .with_panel(
            chart(
                "Window",
                "How much airtime may be on its way, and how much is.",
                "s",
                query("sixfold_link_window_seconds{}", "window " + named),
                query("sixfold_link_in_flight_seconds{}", "in flight " + named),
            )
        )
        .with_panel(
            chart(
                "Queue",
                "Answers that wait for their turn. A queue while a fleet updates is what pacing is; one that never ends says that the link is too small.",
                "short",
                query("sixfold_link_queue{}", named),
            )
        )
        .with_panel(
            chart(
                "Airtime",
                "Share of the time in which the relay sent; duty_cycle limits it.",
                "percentunit",
                query("sixfold_link_busy_ratio{}", named),
            )
        )
        .with_panel(
            chart(
                "Devices on links",
                "Served, and missing: they should have asked again.",
                "short",
                query("sixfold_link_devices{}", "served " + named),
                query("sixfold_link_missing_devices{}", "missing " + named),
            )
        )
        .with_panel(
            chart(
                "What was heard of blocks",
                "Delivered, lost, late, or nothing within twice the usual round trip.",
                "cps",
                query(f"sum by (event) (rate(sixfold_link_answers_total{{}}{rate}))", "{{event}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Decisions of the pacer",
                "Queued is normal when many update. Refused come back later: many of them say that the link is too small.",
                "cps",
                query(f"sum by (decision) (rate(sixfold_link_decisions_total{{}}{rate}))", "{{decision}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Members of groups",
                "Devices that get an image as a stream, together.",
                "short",
                query("sixfold_fanout_members{}", "members {{instance}}"),
                query("sixfold_fanout_groups{}", "groups {{instance}}"),
            )
        )
        .with_panel(
            chart(
                "Streams",
                "Datagrams sent to groups, blocks and parity.",
                "pps",
                query(f"sum by (kind) (rate(sixfold_fanout_datagrams_total{{}}{rate}))", "{{kind}}"),
                stacked=True,
            )
        )
    )


def sessions(board):
    rate = "[$__rate_interval]"
    return (
        board.with_row(dashboard.Row("Sessions"))
        .with_panel(chart("Sessions in force", "Keys that devices and relays have agreed on.", "short", query("sixfold_sessions{}")))
        .with_panel(
            chart(
                "Agreements",
                "Connections to the session port and exchanges by EDHOC, by what became of them.",
                "short",
                query("sum by (result) (increase(sixfold_agreements_total{}[1h]))", "{{result}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Requests refused for the sake of sessions",
                "unknown_context after a restart without a store is normal; forged and replayed are attacks, or a broken device.",
                "reqps",
                query(f"sum by (reason) (rate(sixfold_session_refused_total{{}}{rate}))", "{{reason}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "What became of sessions",
                "Agreed on, replaced by newer ones, expired, or revoked by the operator.",
                "short",
                query("sum by (event) (increase(sixfold_session_events_total{}[1h]))", "{{event}}"),
                stacked=True,
            )
        )
    )


def images(board):
    return (
        board.with_row(dashboard.Row("Images"))
        .with_panel(
            chart(
                "Images",
                "That are known, by how they stand. Which ones they are is on the status page.",
                "short",
                query("sum by (state) (sixfold_images{})", "{{state}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Requests for images",
                "By how they met the cache. Many evicted: it is too small for what devices ask for.",
                "reqps",
                query("sum by (result) (rate(sixfold_cache_requests_total{}[$__rate_interval]))", "{{result}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Memory of images",
                "Complete images, and their limit: cache.memory.",
                "bytes",
                query("sixfold_cache_bytes{}", "{{instance}}"),
                query("sixfold_cache_limit_bytes{}", "limit {{instance}}"),
            )
        )
        .with_panel(
            chart(
                "Images fetched, changed and fetched anew",
                "Versions fetched to the last byte, those that took the place of an older one, and requests for what had to make room.",
                "short",
                query("sum(increase(sixfold_images_fetched_total{}[1h]))", "fetched"),
                query("sum(increase(sixfold_images_changed_total{}[1h]))", "changed"),
                query("sum(instance:sixfold_cache_evicted:increase1h{})", "evicted"),
            )
        )
        .with_panel(chart("Observers", "Devices registered to hear of new versions.", "short", query("sixfold_observers{}")))
    )


def origins(board):
    return (
        board.with_row(dashboard.Row("Origins"))
        .with_panel(
            chart(
                "Requests to origins",
                "By what became of them. clock_behind is this machine's clock, certificate the origin's.",
                "reqps",
                query("sum by (outcome) (rate(sixfold_origin_requests_total{}[$__rate_interval])) > 0", "{{outcome}}"),
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Failures of origins",
                "What could not be fetched or validated, by relay and reason.",
                "reqps",
                query("instance:sixfold_origin_failures:rate5m{}", "{{instance}} {{outcome}}"),
            )
        )
        .with_panel(chart("Traffic of origins", "Bytes of bodies received.", "Bps", query("instance:sixfold_origin_bytes:rate5m{}")))
        .with_panel(
            chart(
                "Trouble with origins",
                "Requests made again after a failure, and transfers that went on in their middle; and how many fetches from an origin have failed since it answered last.",
                "short",
                query("sum(increase(sixfold_origin_retries_total{}[1h]))", "retries"),
                query("sum(increase(sixfold_origin_resumes_total{}[1h]))", "resumes"),
                query("sixfold_origin_failed_fetches{}", "failed in a row {{instance}} {{origin}}"),
            )
        )
        .with_panel(
            bars(
                "Certificates of origins",
                "How long the certificate that each origin showed last is still valid.",
                "s",
                "min by (origin) (sixfold_origin_certificate_not_after_seconds{}) - time()",
                "{{origin}}",
            )
        )
    )


def process(board):
    return (
        board.with_row(dashboard.Row("Process"))
        .with_panel(
            chart(
                "Processor",
                "Share of one core.",
                "percentunit",
                query("rate(process_cpu_seconds_total{}[$__rate_interval])"),
                span=8,
            )
        )
        .with_panel(chart("Memory", "Held by the process.", "bytes", query("process_resident_memory_bytes{}"), span=8))
        .with_panel(
            chart(
                "File descriptors",
                "Share of those that are allowed.",
                "percentunit",
                query("process_open_fds{} / process_max_fds{}"),
                span=8,
            )
        )
        .with_panel(chart("Starts", "Within an hour, by relay.", "short", query("instance:sixfold_starts:changes1h{}"), span=8))
        .with_panel(chart("Threads", "Of the process.", "short", query("process_threads{}"), span=8))
        .with_panel(
            number(
                "Reloads refused today",
                "The file had mistakes, and the old configuration stayed.",
                'sum(increase(sixfold_config_reloads_total{,outcome="refused"}[1d]))',
                steps=((None, "green"), (1, "orange")),
            )
        )
    )


def main():
    board = (
        dashboard.Dashboard("Sixfold")
        .uid("sixfold")
        .description("Relays: what devices get, what origins send, and where it goes wrong.")
        .tags(["sixfold", "coap"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(jobs())
        .with_variable(relays())
    )
    for part in (overview, links, images, devices, sessions, origins, process):
        board = part(board)
    print(JSONEncoder(sort_keys=True, indent=2).encode(board.build()))


main()
