"""What the library costs, beside what else one could have used: `python -m benchmarks`.

    python -m benchmarks                    everything, some six minutes
    python -m benchmarks --quick            everything, shorter, less exact
    python -m benchmarks framing checksums  these groups only
    python -m benchmarks --json             one JSON object a line
    python -m benchmarks --check            exit 1 where a goal is missed

The peers come from the registry (`pip install 'inverterproto[bench]'`); Node is taken where it is
found, and left out with a line where it is not.

Method
------
*Ratios count.* Absolute times drift from machine to machine and from minute to minute. So what is
compared is measured in one run, in turns (ours, peer, peer, …, ours, peer, peer, …), each turn some
tens of milliseconds; the ratio is taken turn by turn, and the median of all turns is printed. The
process and those it starts keep to one core where the system allows that.

*Same work.* Before anything is timed, all contenders decode the same real frame, and what they make
of it is compared, field by field. Where a peer does less (no scaling, no checksum), the line says
so and has no goal.

*In the peers' favour.* Peers return bare dicts or objects, we return what the library returns; the
calls of one another's helpers, the garbage collector and exceptions are as they come.

A goal of `≥ 25×` says how many times as long as ours the peer takes; one of `≤ 1.3×` how many
times as long as the peer's ours may take.

*Servers* are processes, pinned to one core; `load` plays the devices on another, waits for each
answer, and makes each frame a new record. What is said of `store` and `connections` is absolute,
so there the ratio is to the goal's figure, and a bare `executemany` stands beside the store.

A file a group: `micro_inverter`, `alphaess`, `framing`, `startup`, `bulk`, `logs`, `redact`,
`checksums`, `server`, `store`, `export`, `connections`, `relay`, `mqtt`, `sinks`; the peers stand
in `peers`, `plan` (the fastest Python we could write by hand), `parse.js` and `server.js`;
`measure` takes the times, `table` shows them.
"""
