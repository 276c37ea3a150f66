"""Writers of every form of dump: bytes in, the text that a tool or a person makes of them out."""

import base64
import json
import textwrap
from collections.abc import Callable, Iterator

Writer = Callable[[bytes], str]


def rows(data: bytes, width: int = 16) -> Iterator[tuple[int, bytes]]:
    for at in range(0, len(data), width):
        yield at, data[at : at + width]


def shown(row: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)


def xxd(data: bytes, prefix: str = "") -> str:
    """`xxd`."""
    return "".join(
        f"{prefix}{at:08x}: {row.hex(' ', -2):<39}  {shown(row)}\n" for at, row in rows(data)
    )


def squeezed(data: bytes, line: Callable[[int, bytes], str], end: Callable[[int], str]) -> str:
    text, before, starred = "", b"", False
    for at, row in rows(data):
        if row == before:
            text += "" if starred else "*\n"
            starred = True
        else:
            text += line(at, row)
            starred = False
        before = row
    return text + end(len(data))


def hexdump_c(data: bytes) -> str:
    """`hexdump -C`."""

    def line(at: int, row: bytes) -> str:
        return f"{at:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  |{shown(row)}|\n"

    return squeezed(data, line, lambda at: f"{at:08x}\n")


def od(form: str) -> Writer:
    """`od -A d -t x1` and the like."""

    def write(data: bytes) -> str:
        def line(at: int, row: bytes) -> str:
            return f"{at:{form}} {row.hex(' ')}\n"

        return squeezed(data, line, lambda at: f"{at:{form}}\n")

    return write


def od_text(data: bytes) -> str:
    """`od -An -v -t x1z`."""
    return "".join(f" {row.hex(' '):<47}  >{shown(row)}<\n" for _, row in rows(data))


def wireshark(data: bytes) -> str:
    """Wireshark: copied as a hex and ASCII dump."""
    return "".join(f"{at:04x}   {row.hex(' '):<47}   {shown(row)}\n" for at, row in rows(data))


def bars(data: bytes) -> str:
    """`0000 | a5 d4 … | ..`, in a log."""
    dump = "".join(f"  {at:04x} | {row.hex(' '):<47} | {shown(row)}\n" for at, row in rows(data))
    return f"2024-04-08 17:14:03,123 INFO [12] Received from 192.168.1.7:10000:\n{dump}\n"


def c_array(data: bytes) -> str:
    body = "\n".join("  " + ", ".join(f"0x{b:02x}" for b in row) + "," for _, row in rows(data, 12))
    return f"unsigned char dump_bin[] = {{\n{body}\n}};\nunsigned int dump_bin_len = {len(data)};\n"


def log_line(data: bytes) -> str:
    return f"2024-04-08 17:14:03,123 DEBUG pysolarmanv5 SENT: {data.hex(' ')}\n"


def request_line(data: bytes) -> str:
    return f"[17:14:03.5][I][solarman:123]: Request frame: {data.hex()} ({len(data)} bytes)\n"


def data_line(data: bytes) -> str:
    return f"Apr  8 17:14:03 host app[4711]: 10.0.0.7:4431 Data {data.hex()}\n"


def log_rows(data: bytes) -> str:
    """A line of the log for each row, without addresses, as ESPHome writes."""
    return "".join(
        f"[17:14:{at // 16 % 60:02}][D][uart_debug:114]: <<< {row.hex(':').upper()}\n"
        for at, row in rows(data)
    )


def node(data: bytes) -> str:
    return f"received <Buffer {data.hex(' ')}>\n"


def wrapped(data: bytes) -> str:
    """Broken wherever the line ends, in the middle of a byte too."""
    return "\n".join(textwrap.wrap(data.hex(), 71)) + "\n"


WRITERS: dict[str, Writer] = {
    "xxd": xxd,
    "xxd in a log": lambda data: xxd(data, "2024-04-08 17:14:03.123 DEBUG "),
    "hexdump -C": hexdump_c,
    "od -A d": od("07d"),
    "od -A o": od("07o"),
    "od -A x": od("06x"),
    "od -A n with text": od_text,
    "Wireshark": wireshark,
    "bars": bars,
    "C array": c_array,
    "Python literal": lambda data: f"recv {data!r}\n",
    "C string": lambda data: 'char s[] = "' + "".join(f"\\x{b:02x}" for b in data) + '";\n',
    "escapes": lambda data: "got " + "".join(f"\\x{b:02X}" for b in data) + "\n",
    "Node": node,
    "decimals": lambda data: f"data: {list(data)}\n",
    "signed decimals": lambda data: f"{[b - 256 if b > 127 else b for b in data]}\n",
    "decimals by line": lambda data: json.dumps(list(data), indent=2) + "\n",
    "base64": lambda data: "frame=" + base64.b64encode(data).decode() + ";\n",
    "base64 in lines": lambda data: base64.encodebytes(data).decode(),
    "base64 for URLs": lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode() + "\n",
    "log line": log_line,
    "request line": request_line,
    "data line": data_line,
    "log rows": log_rows,
    "wrapped": wrapped,
    "wrapped in a log": lambda data: f"Request frame:\n{wrapped(data)}done\n",
    "JSON": lambda data: "x " + json.dumps({"type": "frame", "raw": data.hex()}) + "\n",
    "hex with h": lambda data: " ".join(f"{b:02X}h" for b in data) + "\n",
    "no-break spaces": lambda data: "hex: " + data.hex(" ").replace(" ", "\xa0") + "\n",
    "coloured": lambda data: f"\x1b[32mDEBUG\x1b[0m {data.hex(' ')}\x1b[0m\n",
    "plain": lambda data: data.hex() + "\n",
}
