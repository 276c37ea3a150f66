"""Fills pages with what the code declares, so that nothing stands twice.

A page asks by a comment on a line of its own, `<!-- table: WHAT -->` or `<!-- api: WHAT -->`; the
line is replaced by what one of the functions in `TABLES`, or `api`, makes of the words of WHAT.
MkDocs calls `on_page_markdown` for each page (see `hooks` in `mkdocs.yml`).
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import EnumMeta
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from inverterproto.alphaess.fields import FIELDS
from inverterproto.alphaess.fields import Field as AlphaField
from inverterproto.deye import bodies, messages, modbus, payloads
from inverterproto.deye.layouts import MODULES, head, layout_of
from inverterproto.layout import Field, Layout
from inverterproto.layout_keys import FIELD_KEYS, LAYOUT_KEYS, Key
from inverterproto.quantity import QUANTITIES, template_of
from inverterproto_cli.configuration import SinkOption
from inverterproto_cli.sinks import topics
from inverterproto_cli.sinks.registry import BUILT_IN
from inverterproto_cli.sinks.settings import COMMON, flag_of, variables_of
from inverterproto_cli.web import metrics

_MARKER = re.compile(r"^<!-- (table|api): (.+?) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return a page with its markers replaced."""
    return _MARKER.sub(_fill, markdown)


def _fill(marker: re.Match[str]) -> str:
    kind, words = marker[1], marker[2].split()
    if kind == "api":
        return api(words[0], words[1:])
    return TABLES[words[0]](*words[1:])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: object) -> str:
    return f"`{text}`" if str(text) else ""


# Deye


def layout_at(*words: str) -> Layout:
    """Return the layout that the words name: `0x5408`, `HANDSHAKE`, or `WIFI_FORMS 0x0C`."""
    name, *key = words
    if name.startswith("0x"):
        layout = layout_of(int(name, 16))
        assert layout is not None  # noqa: S101 - a page asks for what there is
        return layout
    found: Any = getattr(head if name == "HEAD_ONLY" else payloads, name)
    layout = found[int(key[0], 16)] if key else found
    assert isinstance(layout, Layout)  # noqa: S101 - a page asks for what there is
    return layout


def layout_table(*words: str) -> str:
    """Return what there is to say of a layout, and the table of its fields."""
    layout = layout_at(*words)
    if layout.size == 0:
        return "No field of it is known."
    checked = "Checked on real bytes." if layout.checked else "**Not checked on real bytes.**"
    text = f"Layout `{layout.name}`, {layout.size} bytes; sources: {layout.source}. {checked}"
    titles = ("offset", "type", "field", "value", "unit", "quantity", "conf.", "source", "private")
    rows = ((*_field_cells(field), field.meaning) for field in layout.fields)
    return f"{text}\n\n{_table((*titles, 'remarks'), rows)}"


def _field_cells(field: Field) -> tuple[str, ...]:
    quantity = ("−" if field.turned else "") + _code(field.quantity) if field.quantity else ""
    known = field.confidence if field.known else "–"
    private = str(field.private or "")
    return (
        str(field.offset),
        field.type_name,
        _code(field.name),
        field.formula,
        field.symbol,
        quantity,
        known,
        field.source,
        private,
    )


def layouts_table() -> str:
    """Return the table of all data layouts."""
    rows = []
    for sensor_type in sorted(MODULES):
        layout = layout_at(f"0x{sensor_type:04x}")
        fields = [field for field in layout.fields if field.known]
        checked = "yes" if layout.checked else "no"
        device, cells = layout.title, (str(len(fields)), layout.source, checked)
        rows.append((f"0x{sensor_type:04X}", device, _code(layout.name), *cells))
    head = ("sensor type", "device", "layout", "fields", "sources", "checked on real bytes")
    return _table(head, rows)


def messages_table() -> str:
    """Return the table of V5 message types."""
    rows = (
        (f"0x{code:02X}", _code(entry.name), entry.sender or "", _answer(code))
        for code, entry in sorted(messages.TYPES.items())
    )
    return _table(("type", "name", "sent by", "answered by"), rows)


def _answer(code: int) -> str:
    if code == bodies.COMMAND:
        replies = (bodies.COMMAND_REPLY, bodies.INTERIM_REPLY)
        return ", ".join(f"0x{reply:02X}" for reply in replies)
    return f"0x{code - messages.REPLY_STEP:02X}" if messages.is_request(code) else ""


def functions_table() -> str:
    """Return the table of Modbus functions."""
    rows = (
        (str(code), function.name, "writes" if function.writes else "reads", str(function.most))
        for code, function in modbus.FUNCTIONS.items()
    )
    return _table(("function", "name", "", "most values"), rows)


def exceptions_table() -> str:
    """Return the table of Modbus exceptions."""
    return _table(("code", "name"), ((str(c), name) for c, name in modbus.EXCEPTIONS.items()))


# AlphaESS


def keys_table(*names: str) -> str:
    """Return the table of the keys that occur in any of some messages."""
    where = ("in",) if len(names) > 1 else ()
    titles = ("key", "value", "unit", "quantity", "conf.", "source", "private", *where, "remarks")
    fields = [field for field in FIELDS if set(names) & set(field.messages)]
    return _table(titles, (_key_cells(field, names) for field in fields))


def _key_cells(field: AlphaField, names: tuple[str, ...]) -> tuple[str, ...]:
    quantity = _code(field.quantity) if field.quantity else ""
    if field.quantity and field.convert is not None:
        quantity += f" ({QUANTITIES[template_of(field.quantity)].unit}, converted)"
    where = ", ".join(_code(name) for name in names if name in field.messages)
    remarks = [field.meaning] if field.meaning else []
    remarks += ["a JSON number from the cloud"] if field.bare else []
    remarks += ["stands in no payload: read out of another value"] if field.derived else []
    return (
        _code(field.name),
        "" if field.derived else str(field.kind),
        field.symbol,
        quantity,
        field.confidence,
        field.source,
        str(field.private or ""),
        *((where,) if len(names) > 1 else ()),
        "; ".join(remarks),
    )


# Layout files


def layout_keys_table() -> str:
    """Return the table of the keys of a layout file."""
    return _keys_of_file(LAYOUT_KEYS, {"checked": False})


def field_keys_table() -> str:
    """Return the table of the keys of its fields."""
    return _keys_of_file(FIELD_KEYS, Field._field_defaults)


def _keys_of_file(keys: Mapping[str, Key], defaults: Mapping[str, object]) -> str:
    rows = (
        (_code(key.name), key.expected, _default(key, defaults.get(key.name)), key.meaning)
        for key in keys.values()
    )
    return _table(("key", "takes", "left out", "says"), rows)


def _default(key: Key, default: object) -> str:
    if key.required:
        return "**must be there**"
    if isinstance(default, bool):
        return _code(str(default).lower())
    return _code(default) if isinstance(default, int | str) else ""


# The vocabulary


def quantities_table() -> str:
    """Return the table of all quantities."""
    head = ("key", "unit", "meaning", "device class", "state class", "decimals", "possible values")
    rows = (
        (
            _code(entry.key),
            entry.unit or "",
            entry.meaning + (" (describes the device)" if entry.diagnostic else ""),
            entry.device_class or "",
            entry.state_class or "",
            "" if entry.precision is None else str(entry.precision),
            _range(entry.minimum, entry.maximum),
        )
        for entry in QUANTITIES.values()
    )
    return _table(head, rows)


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is None or maximum is None:
        return "any"
    return f"{minimum:,.0f} … {maximum:,.0f}".replace("-", "−")


# Metrics


def metrics_table() -> str:
    """Return the table of all metrics but those of devices."""
    rows = (
        (_code(one.name), _code(one.label), "counter" if one.counts else "gauge", one.meaning)
        for one in metrics.DECLARED
    )
    return _table(("metric", "label", "type", "what it tells"), rows)


def device_metrics_table() -> str:
    """Return the table of the metrics that devices have."""
    quantities = (metrics.metric_of(key) for key in QUANTITIES)
    rows = ((_code(one.name), one.meaning) for one in (metrics.READING_TIME, *quantities))
    return _table(("metric", "what it tells"), rows)


# Commands


def options_table(name: str) -> str:
    """Return the table of a command's options."""
    module = import_module(f"inverterproto_cli.{name.replace('-', '_')}")
    rows = (
        (_code(_spelling(option)), _code(option.envvar), *_told(option))
        for option in module.command.params
        if isinstance(option, click.Option) and not isinstance(option, SinkOption)
    )
    return _table(("option", "variable", "default", "what it is for"), rows)


def sink_settings_table(name: str = "") -> str:
    """Return the table of what can be set of a type of sink; of every sink without a name."""
    kind = next((one for one in BUILT_IN if one.name == name), None)
    assert name == "" or kind is not None, name  # noqa: S101 - a page asks for what there is
    rows = []
    for setting in COMMON if kind is None else kind.settings:
        flag = setting.flag if kind is None else flag_of(kind, setting)
        shown = f"{flag}-file" if flag and setting.secret else flag or ""
        if setting.kind is bool and setting.default:
            shown = f"--no-{shown[2:]}"
        default = "" if setting.default in (None, (), False) else setting.default
        told = default if not isinstance(default, bool) else "true"
        names = ", ".join(map(_code, variables_of(setting, flag)))
        rows.append((_code(setting.key), _code(shown), names, _code(told), setting.help))
    return _table(("key", "flag", "variable", "default", "what it is for"), rows)


def mqtt_topics_table() -> str:
    """Return the table of the MQTT sink's topics."""
    rows = ((_code(row.topic), row.retained, row.payload, row.when) for row in topics.rows())
    return _table(("topic", "retained", "what stands there", "when it is published"), rows)


def _spelling(option: click.Option) -> str:
    names = ", ".join(option.opts) + "".join(f"/{name}" for name in option.secondary_opts)
    if option.is_flag or option.count:
        return names
    kind = option.metavar or "|".join(getattr(option.type, "choices", ())) or "N"
    return f"{names} {kind}" + (" …" if option.multiple else "")


def _told(option: click.Option) -> tuple[str, str]:
    """Return an option's default and its help; some tell the default there."""
    text, _, default = (option.help or "").partition("  [default: ")
    if default:
        return default.removesuffix("]"), text
    if not option.show_default:
        return "", text
    if option.is_flag:
        return _code(option.opts[0] if option.default else option.secondary_opts[0]), text
    return _code(option.default), text


TABLES: dict[str, Callable[..., str]] = {
    "layout": layout_table,
    "layouts": layouts_table,
    "messages": messages_table,
    "functions": functions_table,
    "exceptions": exceptions_table,
    "keys": keys_table,
    "layout-keys": layout_keys_table,
    "field-keys": field_keys_table,
    "quantities": quantities_table,
    "options": options_table,
    "sink-settings": sink_settings_table,
    "metrics": metrics_table,
    "device-metrics": device_metrics_table,
    "mqtt-topics": mqtt_topics_table,
}
"""What a `table:` marker may ask for, by its first word."""


# The public names

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
_TITLES = {"Args": "Arguments"}
_ITEM = re.compile(r"    ([A-Za-z_]\w*): (.*)")


def api(module_name: str, names: list[str]) -> str:
    """Return the description of public names of a module."""
    module = import_module(module_name)
    return "\n\n".join(_describe(module, name) for name in names)


def _describe(module: ModuleType, name: str) -> str:
    thing = getattr(module, name)
    head = f"#### {_code(name)}"
    if not callable(thing):
        return f"{head}\n\n{_constant_doc(module, name)}"
    parts = [head]
    if not isinstance(thing, EnumMeta):
        parts.append(f"```py\n{name}{_signature(thing)}\n```")
    parts.append(_prose(inspect.getdoc(thing) or ""))
    if members := list(_members(thing)) if inspect.isclass(thing) else []:
        parts.append(f"*{'Values' if isinstance(thing, EnumMeta) else 'Methods and properties'}*")
        parts.append("\n".join(members))
    return "\n\n".join(part for part in parts if part)


def _constant_doc(module: ModuleType, name: str) -> str:
    """Return the text below a constant's assignment, or its value where there is none."""
    homes: dict[str, str] = getattr(module, "_HOMES", {})
    home = import_module(f".{homes[name]}", module.__name__) if name in homes else module
    body = ast.parse(Path(str(home.__file__)).read_text(encoding="utf-8")).body
    for statement, below in pairwise(body):
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            return str(below.value.value)
    return _code(_plain_names(str(getattr(module, name))))


def _signature(thing: Any) -> str:  # noqa: ANN401 - any callable
    text = _plain_names(str(inspect.signature(thing)))
    unquoted = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    return unquoted.replace("= <factory>", "= {}").removesuffix(" -> None")


def _plain_names(text: str) -> str:
    """Return the text of a type without the modules of its names."""
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)


def _members(thing: type) -> Iterator[str]:
    """Yield a line for each public attribute, method or enum member of a class."""
    if isinstance(thing, EnumMeta):
        yield from (f"- `{member.name}`: `{member.value!s}`" for member in thing)  # type: ignore[var-annotated]
        return
    for name, member in vars(thing).items():
        inner = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        known = inspect.isfunction(inner) or isinstance(inner, property | cached_property)
        if name.startswith("_") or not known:
            continue
        first = (inspect.getdoc(inner) or "").partition("\n\n")[0].replace("\n", " ")
        if not inspect.isfunction(inner):
            yield f"- `{name}`: {first}"
        else:
            shown = re.sub(r"\((?:self|cls)(?:, )?", "(", _signature(inner), count=1)
            yield f"- `{name}{shown}`: {first}"


def _prose(text: str) -> str:
    """Return a docstring as Markdown: its sections as lists, its examples as code."""
    lines: list[str] = []
    section = example = False
    for line in text.splitlines():
        example = line.startswith(">>>") or (example and line != "")
        if example:
            lines.append(f"    {line}")
        elif found := _SECTION.match(line):
            section = True
            lines += [f"*{_TITLES.get(found[1], found[1])}*", ""]
        elif section and (item := _ITEM.match(line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            section = section and (not line or line.startswith(" "))
            lines.append(line.strip() if section else line)
    return "\n".join(lines).strip()
