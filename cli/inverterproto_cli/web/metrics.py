"""Which metrics there are: each declared once, for the scrape and for the documentation.

Names go by the conventions of Prometheus: counters end in `_total`, others in their unit. The name
of a quantity is in the name of its metric as it is.
"""

from typing import NamedTuple

from inverterproto.quantity import QUANTITIES, lookup

MOST_VALUES = 100
"""Values that a label may have; what comes beyond is counted as `OTHER`."""
OTHER = "other"


class Metric(NamedTuple):
    """A metric.

    Attributes:
        name: of it, in full.
        meaning: one line in plain words.
        label: what each of its values is of, or None.
    """

    name: str
    meaning: str
    label: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it only grows, while the program runs."""
        return self.name.endswith("_total")


COUNTED = {
    "connections": Metric("inverterproto_connections_total", "connections that devices made"),
    "connections now": Metric("inverterproto_open_connections", "connections that are open"),
    "connections refused": Metric(
        "inverterproto_connections_refused_total", "connections that were not let in"
    ),
    "devices refused": Metric(
        "inverterproto_devices_refused_total", "messages of devices that are not let in"
    ),
    "records committed": Metric(
        "inverterproto_records_committed_total", "records that were written to the store"
    ),
    "commits": Metric("inverterproto_commits_total", "transactions in which that was done"),
    "records dropped": Metric(
        "inverterproto_records_dropped_total", "records for which there was no room"
    ),
    "relayed connections": Metric(
        "inverterproto_relayed_connections_total", "connections passed on to a cloud"
    ),
    "relayed connections now": Metric(
        "inverterproto_open_relayed_connections", "connections that are passed on now"
    ),
    "relayed bytes of devices": Metric(
        "inverterproto_relayed_device_bytes_total", "bytes of devices that were passed on"
    ),
    "relayed bytes of clouds": Metric(
        "inverterproto_relayed_cloud_bytes_total", "bytes of clouds that were passed on"
    ),
    "answered in the cloud's place": Metric(
        "inverterproto_stand_ins_total", "connections answered here while their cloud was away"
    ),
    "held from the cloud": Metric(
        "inverterproto_held_messages_total", "messages of clouds that were kept from devices"
    ),
    "copies given up": Metric(
        "inverterproto_copies_given_up_total", "copies to a second server that came to an end"
    ),
    "faults": Metric(
        "inverterproto_faults_total", "connections that were heard no more for a fault"
    ),
}
"""What becomes of the program's counters, by their names."""

COUNTED_BY = {
    "record": Metric("inverterproto_records_total", "records that devices sent", "kind"),
    "event": Metric("inverterproto_events_total", "what happened, as the log calls it", "event"),
    "ended": Metric("inverterproto_connections_ended_total", "connections that ended", "reason"),
    "failed": Metric(
        "inverterproto_requests_failed_total", "what a device was asked for in vain", "request"
    ),
    "records removed": Metric(
        "inverterproto_records_removed_total", "records that were removed from the store", "reason"
    ),
}
"""The same for those that are called `THIS: VALUE`."""
UNNAMED = Metric("inverterproto_others_total", "what has no metric of its own", "name")

ANSWERS = Metric(
    "inverterproto_main_thread_answers",
    "1: the main thread told what it counts; 0: it did not in time, and that is left out",
)
STORE_BYTES = Metric("inverterproto_store_bytes", "size of the store's file and its log")
STORE_TROUBLE = Metric("inverterproto_store_trouble", "1: the store cannot be written")
STORE_PENDING = Metric("inverterproto_store_pending_bytes", "what waits to be written to the store")

SINK_BEHIND = Metric("inverterproto_sink_behind_records", "records that it has not had", "sink")
SINK_BEHIND_SECONDS = Metric(
    "inverterproto_sink_behind_seconds", "since the first record came that it has not had", "sink"
)
SINK_DELIVERED = Metric("inverterproto_sink_delivered_total", "readings that arrived", "sink")
SINK_LEFT_OUT = Metric(
    "inverterproto_sink_left_out_total", "readings that it cannot take: of no known time", "sink"
)
SINK_SET_ASIDE = Metric(
    "inverterproto_sink_set_aside_total", "readings that were refused for good", "sink"
)
SINK_TROUBLE = Metric("inverterproto_sink_trouble", "1: nothing can be delivered there", "sink")
SINK_LAST = Metric(
    "inverterproto_sink_last_delivery_timestamp_seconds", "when something arrived last", "sink"
)

READING_TIME = Metric(
    "inverterproto_reading_timestamp_seconds", "when a device measured what is shown of it last"
)
"""Of a device, as all quantities are: they have the labels of `OF_DEVICE`."""
OF_DEVICE = ("device", "family")

DECLARED = (
    *COUNTED.values(),
    *COUNTED_BY.values(),
    UNNAMED,
    ANSWERS,
    STORE_BYTES,
    STORE_TROUBLE,
    STORE_PENDING,
    SINK_BEHIND,
    SINK_BEHIND_SECONDS,
    SINK_DELIVERED,
    SINK_LEFT_OUT,
    SINK_SET_ASIDE,
    SINK_TROUBLE,
    SINK_LAST,
)
"""All but those of devices."""

UNITS = {
    None: "",
    "W": "_watts",
    "VA": "_voltamperes",
    "var": "_vars",
    "kWh": "_kilowatthours",
    "V": "_volts",
    "A": "_amperes",
    "Hz": "_hertz",
    "°C": "_celsius",
    "%": "_percent",
    "h": "_hours",
}
"""What a metric's name ends in, by the unit of its quantity."""


def metric_of(key: str) -> Metric:
    """Return the metric of a quantity, by its key or, for the documentation, its template."""
    quantity = QUANTITIES.get(key) or lookup(key)
    return Metric(f"inverterproto_{key}{UNITS[quantity.unit]}", quantity.meaning)
