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


def words(form: str) -> Writer:
    """`od -x`, `hexdump`: 16-bit words of a little-endian machine."""

    def write(data: bytes) -> str:
        def line(at: int, row: bytes) -> str:
            row = row + b"\0" if len(row) % 2 else row
            pairs = (row[at : at + 2][::-1].hex() for at in range(0, len(row), 2))
            return f"{at:{form}} {' '.join(pairs)}\n"

        return squeezed(data, line, lambda at: f"{at:{form}}\n")

    return write


def octal(cell: Callable[[int], str]) -> Writer:
    """`od -b`, `od -c`."""

    def write(data: bytes) -> str:
        def line(at: int, row: bytes) -> str:
            return f"{at:07o} " + " ".join(cell(byte).rjust(3) for byte in row) + "\n"

        return squeezed(data, line, lambda at: f"{at:07o}\n")

    return write


ESCAPES = {0: "\\0", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


def octal_words(data: bytes) -> str:
    """`od`."""

    def line(at: int, row: bytes) -> str:
        pairs = (int.from_bytes(row[at : at + 2], "little") for at in range(0, len(row), 2))
        return f"{at:07o} " + " ".join(f"{pair:06o}" for pair in pairs) + "\n"

    return squeezed(data, line, lambda at: f"{at:07o}\n")


def od_decimal(data: bytes) -> str:
    """`od -t u1`."""

    def line(at: int, row: bytes) -> str:
        return f"{at:07o} " + " ".join(f"{byte:3}" for byte in row) + "\n"

    return squeezed(data, line, lambda at: f"{at:07o}\n")


def xxd_bits(data: bytes) -> str:
    """`xxd -b`."""
    return "".join(
        f"{at:08x}: {' '.join(f'{b:08b}' for b in row):<53}  {shown(row)}\n"
        for at, row in rows(data, 6)
    )


def xxd_words(data: bytes) -> str:
    """`xxd -e`: 32-bit words."""

    def word(part: bytes) -> str:
        return part[::-1].hex().rjust(8)

    return "".join(
        f"{at:08x}: {' '.join(word(row[n : n + 4]) for n in range(0, len(row), 4)):<35}"
        f"   {shown(row)}\n"
        for at, row in rows(data)
    )


def tshark(data: bytes) -> str:
    """`tshark -x`."""
    return (
        "".join(f"{at:04x}  {row.hex(' '):<47}   {shown(row)}\n" for at, row in rows(data)) + "\n"
    )


def tcpdump(data: bytes) -> str:
    """`tcpdump -X`: the headers of IP and TCP stand before the data."""
    packet = bytes.fromhex("4500017f1c464000400662a0c0a80105c0a80107b3a52710") + bytes(16) + data
    dump = "".join(
        f"\t0x{at:04x}:  {row.hex(' ', -2):<39}  {shown(row)}\n" for at, row in rows(packet)
    )
    return (
        f"17:14:03.123456 IP 192.168.1.5.45989 > 192.168.1.7.10000: Flags [P.], length 343\n{dump}"
    )


def netcat(data: bytes) -> str:
    """`nc -o`."""
    return "".join(f"< {at:08x} {row.hex(' '):<47} # {shown(row)}\n" for at, row in rows(data))


def socat(data: bytes) -> str:
    """`socat -x`, in two segments."""
    half = len(data) // 2
    return "".join(
        f"> 2024/04/08 17:14:03.000123  length={len(part)} from={at} to={at + len(part) - 1}\n"
        f" {part.hex(' ')}\n--\n"
        for at, part in ((0, data[:half]), (half, data[half:]))
    )


def socat_text(data: bytes) -> str:
    """`socat -v -x`."""
    lines = "".join(f" {row.hex(' '):<48} {shown(row)}\n" for _, row in rows(data))
    return (
        f"< 2024/04/08 17:14:03.000123  length={len(data)} from=0 to={len(data) - 1}\n{lines}--\n"
    )


def powershell(data: bytes) -> str:
    """`Format-Hex`."""
    head = " " * 11 + bytes(range(16)).hex(" ").upper()
    lines = (f"{at:08X}   {row.hex(' ').upper():<47}  {shown(row)}" for at, row in rows(data))
    return "\n".join(["", head, "", *lines, "", ""])


def mitmproxy(data: bytes) -> str:
    return "".join(f"{at:010x} {row.hex(' '):<47}  {shown(row)}\n" for at, row in rows(data))


def wireshark_c(data: bytes) -> str:
    """Wireshark: copied as a C array."""
    body = "\n".join(
        ", ".join(f"0x{b:02x}" for b in row) + f", /* {shown(row).replace('*/', '..')} */"
        for _, row in rows(data, 8)
    )
    return (
        f"/* Frame (377 bytes) */\nstatic const unsigned char pkt1[{len(data)}] = {{\n{body}\n}};\n"
    )


def wireshark_string(data: bytes) -> str:
    """Wireshark: copied as an escaped string."""
    return "".join('"' + "".join(f"\\x{b:02x}" for b in row) + '" \\\n' for _, row in rows(data))


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
    "od -x": words("07o"),
    "hexdump": words("07x"),
    "od -b": octal(lambda byte: f"{byte:03o}"),
    "od -c": octal(
        lambda byte: ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"{byte:03o}")
    ),
    "od": octal_words,
    "od -t u1": od_decimal,
    "xxd -b": xxd_bits,
    "xxd -e": xxd_words,
    "tshark -x": tshark,
    "tcpdump -X": tcpdump,
    "nc -o": netcat,
    "socat -x": socat,
    "socat -v -x": socat_text,
    "Format-Hex": powershell,
    "mitmproxy": mitmproxy,
    "Wireshark's C array": wireshark_c,
    "Wireshark's string": wireshark_string,
    "Go": lambda data: "x := []byte{" + ", ".join(f"{b:#x}" for b in data) + "}\n",
    "Rust's {:x?}": lambda data: "got [" + ", ".join(f"{b:x}" for b in data) + "]\n",
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
