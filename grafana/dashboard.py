#!/usr/bin/env python3
"""Writes dashboard.json to standard output, with Grafana's own SDK (netns-tests/requirements.txt has its version).

    target/venv/bin/python grafana/dashboard.py >grafana/dashboard.json

A test compares the two, and asks a real Prometheus for every query.
"""

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueGraphMode, LegendDisplayMode, LegendPlacement, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models import dashboard as models

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# Which relays are looked at.
HERE = 'job=~"$job", instance=~"$instance"'


def query(expression, legend=""):
    """{} in an expression stands for the choice of relays."""
    expression = expression.replace("{}", "{" + HERE + "}").replace("{,", "{" + HERE + ",")
    builder = prometheus.Dataquery().expr(expression).legend_format(legend or "{{instance}}").datasource(SOURCE)
    return builder.range()


def thresholds(*steps):
    """(value, colour), from the lowest; the first value is None."""
    steps = [models.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def number(title, description, expression, unit="short", steps=((None, "green"),)):
    panel = stat.Panel().title(title).description(description).unit(unit).height(4).span(4).datasource(SOURCE)
    panel = panel.thresholds(thresholds(*steps)).graph_mode(BigValueGraphMode.AREA)
    return panel.with_target(query(expression).ref_id("A"))


def chart(title, description, unit, *queries, stacked=False, span=12):
    panel = timeseries.Panel().title(title).description(description).unit(unit).height(8).span(span).datasource(SOURCE)
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = panel.legend(legend.show_legend(True)).min(0).fill_opacity(20 if stacked else 0)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for letter, item in zip("ABCDEF", queries):
        panel = panel.with_target(item.ref_id(letter))
    return panel


def choice(name, label, metric_label, within=""):
    builder = dashboard.QueryVariable(name).label(label).datasource(SOURCE).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return builder.query(f"label_values(sixfold_build_info{within}, {metric_label})").multi(True).include_all(True)


def overview(board):
    saved = "1 - sum(increase(sixfold_origin_bytes_total{}[1d])) / sum(increase(sixfold_block_bytes_sent_total{}[1d]))"
    hits = 'sum(rate(sixfold_cache_requests_total{,result="hit"}[1h])) / sum(rate(sixfold_cache_requests_total{}[1h]))'
    return (
        board.with_row(dashboard.Row("Overview"))
        .with_panel(
            number("Relays up", "Relays that Prometheus reaches.", "sum(up{})", steps=((None, "red"), (1, "green")))
        )
        .with_panel(number("Versions", "Different versions that run.", "count(count by (version) (sixfold_build_info{}))"))
        .with_panel(number("Devices updating", "In the middle of an image.", "sum(sixfold_transfers_active{})"))
        .with_panel(
            number("Finished today", "Images delivered to the last block.", 'sum(increase(sixfold_transfers_total{,outcome="finished"}[1d]))')
        )
        .with_panel(
            number(
                "Abandoned today",
                "Devices that fell silent, or turned to another version, before the end.",
                'sum(increase(sixfold_transfers_total{,outcome="abandoned"}[1d]))',
                steps=((None, "green"), (1, "orange")),
            )
        )
        .with_panel(number("Bytes saved today", "Of what devices got, what the origin did not have to send.", saved, "percentunit"))
        .with_panel(
            chart(
                "Delivered and fetched",
                "What devices get, against what the origin sends: the distance is what the relay is for.",
                "Bps",
                query("sum(rate(sixfold_block_bytes_sent_total{}[$__rate_interval]))", "delivered to devices"),
                query("sum(rate(sixfold_origin_bytes_total{}[$__rate_interval]))", "fetched from origins"),
            )
        )
        .with_panel(
            chart(
                "Share of hits",
                "Requests that complete images in memory answered.",
                "percentunit",
                query(hits, "hits"),
            )
        )
    )


def devices(board):
    rate = "[$__rate_interval]"
    retransmitted = f"sum(rate(sixfold_retransmitted_requests_total{{}}{rate})) / sum(rate(sixfold_requests_total{{}}{rate}))"
    quantile = "histogram_quantile({}, sum by (le) (rate(sixfold_transfer_duration_seconds_bucket{{}}[1h])))"
    return (
        board.with_row(dashboard.Row("Devices"))
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
                "The answer, or the request, was lost or late: loss on the radio side.",
                "percentunit",
                query(retransmitted, "repeated"),
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
            chart("Loss", "Share of the last answers that were lost.", "percentunit", query("sixfold_link_loss_ratio{}", named))
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
                "Airtime",
                "How much may be on its way (window), and how much is.",
                "s",
                query("sixfold_link_window_seconds{}", "window " + named),
                query("sixfold_link_in_flight_seconds{}", "in flight " + named),
            )
        )
        .with_panel(
            chart(
                "Busy",
                "Share of the time in which the relay sent; duty_cycle limits it.",
                "percentunit",
                query("sixfold_link_busy_ratio{}", named),
            )
        )
        .with_panel(
            chart(
                "Devices on links",
                "Served, missing (they should have asked again), and answers that wait for their turn.",
                "short",
                query("sixfold_link_devices{}", "served " + named),
                query("sixfold_link_missing_devices{}", "missing " + named),
                query("sixfold_link_queue{}", "waiting " + named),
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
        board.with_row(dashboard.Row("Images and origins"))
        .with_panel(
            chart(
                "Requests for images",
                "By how they met the cache.",
                "reqps",
                query("sum by (result) (rate(sixfold_cache_requests_total{}[$__rate_interval]))", "{{result}}"),
                stacked=True,
            )
        )
        .with_panel(chart("Memory of images", "The limit is cache.memory.", "bytes", query("sixfold_cache_bytes{}")))
        .with_panel(
            chart(
                "Images fetched and changed",
                "Versions fetched to the last byte, and those that took the place of an older one.",
                "short",
                query("sum(increase(sixfold_images_fetched_total{}[1h]))", "fetched"),
                query("sum(increase(sixfold_images_changed_total{}[1h]))", "changed"),
            )
        )
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
                "Trouble with origins",
                "Requests made again after a failure, and transfers that went on in their middle.",
                "short",
                query("sum(increase(sixfold_origin_retries_total{}[1h]))", "retries"),
                query("sum(increase(sixfold_origin_resumes_total{}[1h]))", "resumes"),
            )
        )
        .with_panel(
            chart("Observers", "Devices registered to hear of new versions.", "short", query("sixfold_observers{}"))
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
        .with_panel(
            number("Youngest relay", "Time since the last start of any.", "time() - max(process_start_time_seconds{})", "s")
        )
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
        .with_variable(choice("job", "Job", "job"))
        .with_variable(choice("instance", "Relay", "instance", '{job=~"$job"}'))
    )
    for part in (overview, devices, links, sessions, images, process):
        board = part(board)
    print(JSONEncoder(sort_keys=True, indent=2).encode(board.build()))


main()
